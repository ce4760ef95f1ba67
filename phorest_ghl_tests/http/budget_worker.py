"""A process of its own that sends through the shared budget: `python -m phorest_ghl_tests.http.budget_worker`.

Arguments: dsn, seconds, threads. Prints each departure's moment, by the machine's clock, one a line.
"""

import sys
import threading
import time

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_postgres import PostgresBudget

LIMITS = Limits(requests=50, window_s=1.0, share=0.8, daily=None)
KEY = "ghl:shared"


def main(dsn: str, seconds: float, threads: int) -> None:
    """Take turns for so long in so many threads."""
    budget = PostgresBudget(dsn, KEY, LIMITS)
    moments: list[float] = []
    end = time.monotonic() + seconds

    def take_turns(lane: Lane) -> None:
        while time.monotonic() < end:
            budget.acquire(lane)
            moments.append(time.time())

    workers = [threading.Thread(target=take_turns, args=[list(Lane)[n % 4]]) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    budget.close()
    sys.stdout.write("\n".join(f"{moment:.6f}" for moment in moments))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
