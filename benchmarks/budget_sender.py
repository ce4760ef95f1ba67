"""A process of its own that sends creates through the shared budget: `python -m benchmarks.budget_sender`.

Its order comes as one JSON object on the first line of standard input: the product's settings, how many creates, in how
many threads, and the first of its invented people's numbers. It answers `ready`, waits for another line, sends, and
answers with each acceptance's moment (seconds since the epoch, for the clocks of processes are one), one JSON array.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import quiet_logs
from phorest_ghl.ghl.models import ContactWrite
from phorest_ghl.settings import load_settings


def main() -> None:
    """Send as many as ordered."""
    quiet_logs()  # standard output is for the answer
    order: dict[str, Any] = orjson.loads(sys.stdin.readline())
    with open_runtime(load_settings(order["settings"], None)) as runtime:
        client = runtime.ghl()

        def create(number: int) -> float:
            client.create_contact(ContactWrite(identity=_identity(number)))
            return time.time()

        _say("ready")
        sys.stdin.readline()
        with ThreadPoolExecutor(order["threads"]) as pool:
            accepted = list(pool.map(create, range(order["first"], order["first"] + order["requests"])))
    _say(orjson.dumps(accepted).decode())


def _identity(number: int) -> dict[str, str]:
    """Somebody invented, with an address of her own, so that no create is refused as a duplicate."""
    return {
        "first_name": "Aoife",
        "last_name": f"Byrne {number}",
        "email": f"client{number}@example.com",
        "phone": f"+35385{number:07d}",
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
