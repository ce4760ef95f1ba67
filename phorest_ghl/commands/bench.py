"""The body of `phorest-ghl bench NAME`: pick a benchmark, run it, show its report.

Belongs here: names, exit codes, output. Does not: measuring (the package `benchmarks`).
"""

import difflib
import importlib
import sys
from collections.abc import Callable
from types import MappingProxyType

from rich.console import Console
from rich.table import Table

from benchmarks.report import BenchError, Figure, Options, Report, Say
from phorest_ghl.commands.console import Exit, Out, run

MODULES = MappingProxyType(
    {
        "import": "benchmarks.import_clients",
        "budget": "benchmarks.budget",
        "shared-budget": "benchmarks.shared_budget",
        "unchanged": "benchmarks.unchanged",
        "first-load": "benchmarks.first_load",
        "tick": "benchmarks.tick",
        "product-tags": "benchmarks.product_tags",
        "repair": "benchmarks.repair",
        "chaos": "benchmarks.chaos",
    }
)
"""The benchmarks there are, by name; imported when asked for, since they bring what the product does not need."""


def run_bench(
    name: str,
    *,
    as_json: bool = False,
    clients: int | None = None,
    rounds: int | None = None,
    requests: int | None = None,
    rate_window_s: float | None = None,
    seed: int | None = None,
    only_round: int | None = None,
) -> int:
    """Run benchmark `name` and return the exit code; sizes that are None are the benchmark's own.

    0 the bar holds, 1 it does not, 2 wrong usage or a missing package, 3 the database or the sandbox cannot be reached.
    With `as_json` the report is the only thing on standard output; progress and complaints go to standard error.
    """
    options = Options(
        clients=clients,
        rounds=rounds,
        requests=requests,
        rate_window_s=rate_window_s,
        seed=seed,
        only_round=only_round,
    )
    out = Out(as_json=as_json)

    def command() -> Exit:
        report = _measure(name, options)
        out.result(report.as_dict())
        _show(report, out.text)
        return Exit.WELL if report.holds else Exit.NEEDS_A_PERSON

    try:
        return run(command)
    except BenchError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return Exit.WRONG_USE


def _measure(name: str, options: Options) -> Report:
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise BenchError(f"There is no benchmark {name!r} yet.{meant} Benchmarks: {', '.join(sorted(MODULES))}.")
    measure: Callable[[Options, Say], Report] = importlib.import_module(MODULES[name]).run
    return measure(options, _say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(report: Report, console: Console) -> None:
    """A table for each kind of case; cases with the same figures stand side by side."""
    shapes: dict[tuple[str, ...], list[str]] = {}
    for case, figures in report.figures.items():
        shapes.setdefault(tuple(figures), []).append(case)
    for names, cases in shapes.items():
        table = Table(f"bench {report.name}", *cases)
        for name in names:
            table.add_row(name.replace("_", " "), *(_cell(report.figures[case][name]) for case in cases))
        console.print(table)
    verdict = "holds" if report.holds else "does not hold"
    console.print(f"ratio {report.ratio:.3f}, bar {report.bar:.2f}: {verdict}")


def _cell(value: Figure) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
