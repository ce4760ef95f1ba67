"""Callers of a budget in simulated time: what the tests of the rules run, without clocks or threads."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_rules import Departure, Wait, decide
from phorest_ghl.http.budget_state import BudgetState, dump_state, load_state

START = 1_800_000_000.0


@dataclass(order=True)
class Caller:
    """Asks, waits as told, departs, thinks for `pause_s`, asks again; with `pause_s` 0 as soon as it has a turn."""

    at: float
    order: int
    lane: Lane = field(compare=False)
    pause_s: float = field(compare=False, default=0.0)
    bulk: bool = field(compare=False, default=False)


@dataclass
class Simulation:
    """One bucket. `departures` are (moment, lane); `verdicts` are (asked at, verdict)."""

    limits: Limits
    lateness_s: float = 0.004
    seed: int = 0
    state: BudgetState = field(default_factory=BudgetState)
    departures: list[tuple[float, Lane]] = field(default_factory=list)
    verdicts: list[tuple[float, object]] = field(default_factory=list)
    on_departure: Callable[["Simulation", float], None] | None = None

    def run(self, callers: Iterable[tuple[Lane, float]], seconds: float, *, start: float = START) -> "Simulation":
        """Let the callers (lane, pause between a turn and the next question) ask for so long."""
        chance = random.Random(self.seed)
        order = itertools.count()
        queue = [Caller(start + chance.random() * 0.01, next(order), lane, pause) for lane, pause in callers]
        heapq.heapify(queue)
        while queue and queue[0].at < start + seconds:
            caller = heapq.heappop(queue)
            now = caller.at
            # Through JSON and back, as in the row.
            state, verdict = decide(load_state(dump_state(self.state)), caller.lane, now, self.limits, caller.bulk)
            self.state = state
            self.verdicts.append((now, verdict))
            if isinstance(verdict, Departure):
                self.departures.append((verdict.at, caller.lane))
                if self.on_departure:
                    self.on_departure(self, verdict.at)
                caller.at = now if caller.pause_s == 0 else verdict.at + caller.pause_s
            elif isinstance(verdict, Wait):
                caller.at = now + verdict.seconds + chance.random() * self.lateness_s
            else:
                continue
            caller.order = next(order)
            heapq.heappush(queue, caller)
        return self

    def count(self, lane: Lane | None = None) -> int:
        """Departures, of one lane or all."""
        return sum(1 for _, departed in self.departures if lane in {None, departed})


def most_in_window(moments: list[float], window_s: float) -> int:
    """The most departures in any stretch of that length."""
    moments = sorted(moments)
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window_s - 1e-6:  # the moments carry microseconds at best
            first += 1
        most = max(most, last - first + 1)
    return most
