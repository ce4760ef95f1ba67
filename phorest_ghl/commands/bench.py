"""The body of `phorest-ghl bench NAME`: pick a benchmark, run it, show its report.

Belongs here: names, exit codes, output. Does not: measuring (the package `benchmarks`).

Exit codes: 0 the bar holds, 1 it does not, 2 wrong usage or a missing package, 3 the database or the sandbox is away.
"""

import contextlib
import difflib
import importlib
import logging
import sys
from collections.abc import Callable, Generator
from types import MappingProxyType

import orjson
import structlog
from benchmarks.report import BenchError, Figure, Options, Report, Say
from rich.console import Console
from rich.table import Table

from phorest_ghl.db.embedded import EmbeddedServerError
from phorest_ghl.db.engine import DatabaseUnreachable
from phorest_ghl.http.errors import ApiError

MODULES = MappingProxyType({"import": "benchmarks.import_clients", "budget": "benchmarks.budget"})
"""The benchmarks there are, by name; imported when asked for, since they bring what the product does not need."""


def run_bench(
    name: str,
    *,
    as_json: bool = False,
    clients: int | None = None,
    rounds: int | None = None,
    requests: int | None = None,
    rate_window_s: float | None = None,
) -> int:
    """Run benchmark `name` and return the exit code; sizes that are None are the benchmark's own.

    With `as_json` the report is the only thing on standard output; progress and complaints go to standard error.
    """
    to_person = Console(stderr=True, highlight=False, soft_wrap=True)
    options = Options(clients=clients, rounds=rounds, requests=requests, rate_window_s=rate_window_s)
    try:
        with _quiet_logs():
            report = _run(name, options, to_person)
    except BenchError as wrong:
        to_person.print(str(wrong), markup=False)
        return 2
    except (EmbeddedServerError, DatabaseUnreachable, ApiError) as away:
        to_person.print(str(away), markup=False)
        return 3
    if as_json:
        sys.stdout.write(orjson.dumps(report.as_dict()).decode() + "\n")
    else:
        _show(report, Console())
    return 0 if report.holds else 1


def _run(name: str, options: Options, to_person: Console) -> Report:
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise BenchError(f"There is no benchmark {name!r} yet.{meant} Benchmarks: {', '.join(sorted(MODULES))}.")

    def say(line: str) -> None:
        to_person.print(line, markup=False)

    run: Callable[[Options, Say], Report] = importlib.import_module(MODULES[name]).run
    return run(options, say)


@contextlib.contextmanager
def _quiet_logs() -> Generator[None]:
    """Warnings only, on standard error: a line a request would be measured too, and would spoil the JSON."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _show(report: Report, console: Console) -> None:
    """A table for each kind of case; cases with the same figures share one."""
    shapes: dict[tuple[str, ...], Table] = {}
    for case, figures in report.figures.items():
        shape = tuple(figures)
        if shape not in shapes:
            shapes[shape] = Table(f"bench {report.name}", *(name.replace("_", " ") for name in shape))
        shapes[shape].add_row(case, *(_cell(value) for value in figures.values()))
    for table in shapes.values():
        console.print(table)
    verdict = "holds" if report.holds else "does not hold"
    console.print(f"ratio {report.ratio:.3f}, bar {report.bar:.2f}: {verdict}", highlight=False)


def _cell(value: Figure) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
