"""`bench shared-budget`: what `bench budget` measures, with the work spread over three processes that share one location.

Each process has a runtime of its own and 8 threads; all they share is the location's row in PostgreSQL. Together they
send creates at 98 % of 100 requests per 10 s. Cases, windows and what counts are those of `bench budget`; beside the
share of all three stands the smallest part that one of them had of the requests that were sent while all were sending,
since a budget that starves one of them is not shared.

The ratio is the worst share of any case; a single 429 makes the bar fail.
"""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from statistics import mean
from typing import IO, Self

import orjson

from benchmarks import budget
from benchmarks.budget import BAR, WINDOWS, Case, shares
from benchmarks.lab import Database, Lab, sandbox
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.db.engine import make_engine
from phorest_ghl.db.migrate import upgrade
from phorest_ghl.sandbox.server import SandboxProcess

TAKES = frozenset({"--requests", "--rate-window-s"})
PROCESSES = 3
_TRUE_WINDOW_S = 10.0
_SHARE = 0.98
_THREADS = 8
_REQUESTS = 1_000
_PATIENCE_S = 600


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark or too small, or a process of it failed.
    """
    options.check("shared-budget", TAKES)
    requests, window_s = options.requests or _REQUESTS, options.rate_window_s or _TRUE_WINDOW_S
    if requests < 3 * budget.LIMIT:
        raise BenchError(f"--requests must be at least {3 * budget.LIMIT}: the first and the last window do not count.")
    figures: dict[str, Mapping[str, Figure]] = {}
    with Lab() as lab, ThreadPoolExecutor(len(WINDOWS)) as side_by_side:
        for latency in budget.LATENCIES_MS:
            cases = [Case(latency_ms=latency, window=kind, window_s=window_s, requests=requests) for kind in WINDOWS]
            measured = side_by_side.map(partial(_measure, lab, say), cases)
            figures |= {case.name: found for case, found in zip(cases, measured, strict=True)}
    worst = min(float(found["share"]) for found in figures.values())
    refused = sum(int(found["refused"]) for found in figures.values())
    return Report(name="shared-budget", figures=figures, ratio=worst, bar=BAR, holds=worst >= BAR and refused == 0)


def least_part(sent: list[list[float]]) -> float:
    """The smallest part that one process had of what was sent while all of them were sending; 0 where that was nothing."""
    start, end = max(min(moments) for moments in sent), min(max(moments) for moments in sent)
    counts = [sum(start <= moment <= end for moment in moments) for moments in sent]
    return min(counts) / sum(counts) if sum(counts) else 0.0


def _measure(lab: Lab, say: Say, case: Case) -> dict[str, Figure]:
    with sandbox(case.sandbox()) as served, lab.database() as database:
        engine = make_engine(database.url)
        upgrade(engine)  # once, before anybody asks for it
        engine.dispose()
        sent = _send(served, database, case)
        seen = served.control("GET", "/requests")["apis"]["ghl"]
    together = [moment for moments in sent for moment in moments]
    used = shares(together, case.window_s, budget.LIMIT)
    say(
        f"shared-budget, {case.name}: {mean(used):.1%} of the limit by {PROCESSES} processes, "
        f"{seen['rejected_429']} refused"
    )
    return {
        "window_s": case.window_s,
        "processes": PROCESSES,
        "share": rounded_down(mean(used)),
        "lowest_window": rounded_down(min(used)),
        "most_in_any_window": int(seen["most_in_window"]),
        "refused": int(seen["rejected_429"]),
        "least_part_of_one": rounded_down(least_part(sent)),
        "seconds": round(max(together) - min(together), 1),
    }


def _send(served: SandboxProcess, database: Database, case: Case) -> list[list[float]]:
    """The moments of acceptance, a list a process; all begin together."""
    settings = {
        **served.settings,
        "DATABASE_URL": database.url,
        "GHL_RATE_LIMIT": str(budget.LIMIT),
        "GHL_RATE_WINDOW_S": str(case.window_s),
        "GHL_BUDGET_SHARE": str(_SHARE),
    }
    parts = [case.requests // PROCESSES + (place < case.requests % PROCESSES) for place in range(PROCESSES)]
    with ExitStack() as stack:
        senders = [stack.enter_context(_Sender()) for _ in parts]
        for place, (sender, requests) in enumerate(zip(senders, parts, strict=True)):
            first = sum(parts[:place])
            sender.tell({"settings": settings, "requests": requests, "first": first, "threads": _THREADS})
        for sender in senders:
            sender.hear()
        for sender in senders:
            sender.tell({})
        return [orjson.loads(sender.hear()) for sender in senders]


class _Sender:
    """One process that sends."""

    def __enter__(self) -> Self:
        # Its environment is not read: the settings come by its standard input.
        command = [sys.executable, "-m", "benchmarks.budget_sender"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=_PATIENCE_S)

    def tell(self, words: Mapping[str, object]) -> None:
        """A line to it."""
        stream = _stream(self._process.stdin)
        try:
            stream.write(orjson.dumps(words).decode() + "\n")
            stream.flush()
        except BrokenPipeError:
            raise BenchError(self._why()) from None

    def hear(self) -> str:
        """Its next line. Raises BenchError where it ended instead."""
        line = _stream(self._process.stdout).readline()
        if not line:
            raise BenchError(self._why())
        return line

    def _why(self) -> str:
        said = _stream(self._process.stderr).read().strip().splitlines()
        return f"A process of bench shared-budget ended early: {said[-1] if said else 'it did not say why'}"


def _stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
