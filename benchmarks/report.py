"""What a benchmark is told and what it says.

Belongs here: the options, the report, and mistakes in using a benchmark. Does not: printing, measuring.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

Say = Callable[[str], None]
"""Takes one line of progress, which goes to a person and never into the report."""

Figure = float | int | str | bool


class BenchError(Exception):
    """The benchmark cannot be run as asked: a sentence for a person."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large a benchmark runs. None takes the benchmark's own size, which is the one that counts.

    Attributes:
        clients: clients of the sandbox's salon.
        rounds: rounds whose median is taken.
        requests: requests that each of our runs sends.
        rate_window_s: GHL's window, seconds; below 10 all times shrink with it.
        seed: what everything random follows from.
        only_round: the number of the one round to run, from 1.
    """

    clients: int | None = None
    rounds: int | None = None
    requests: int | None = None
    rate_window_s: float | None = None
    seed: int | None = None
    only_round: int | None = None

    def given(self) -> Iterator[str]:
        """Names of the options that were given, as on the command line."""
        for item in fields(self):
            if getattr(self, item.name) is not None:
                yield f"--{item.name.replace('_', '-')}"

    def check(self, name: str, taken: frozenset[str]) -> None:
        """Raise BenchError for an option that benchmark `name` does not take, or a number that is not above 0."""
        for option in self.given():
            if option not in taken:
                raise BenchError(f"bench {name} takes no {option}; it takes {' and '.join(sorted(taken))}.")
            if getattr(self, option[2:].replace("-", "_")) <= 0:
                raise BenchError(f"{option} needs a number above 0.")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of one benchmark.

    Attributes:
        name: of the benchmark.
        figures: by measured case, then by figure; the name of a figure ends in its unit.
        ratio: what the benchmark is about, rounded down to three digits so that it never looks better than it is.
        bar: what `ratio` is held against.
        holds: whether the ratio reaches the bar and nothing that must not happen happened.
    """

    name: str
    figures: Mapping[str, Mapping[str, Figure]]
    ratio: float
    bar: float
    holds: bool

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        figures = {case: dict(found) for case, found in self.figures.items()}
        return {"name": self.name, "figures": figures, "ratio": self.ratio, "bar": self.bar, "holds": self.holds}


def rounded_down(value: float) -> float:
    """Three digits after the point, never rounded up."""
    return int(value * 1_000) / 1_000
