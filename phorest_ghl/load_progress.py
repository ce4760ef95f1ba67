"""How far a first load is: of this step, of all that it writes, and how long the rest takes.

Belongs here: counting. Does not: the load (`first_load`), showing it (`commands.backfill`, `defs`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from phorest_ghl.http.budget import Limits
from phorest_ghl.sync.events.plan import NO_CONTACT as EVENT_WAITS
from phorest_ghl.sync.notes.planning import NO_CONTACT as NOTE_WAITS
from phorest_ghl.sync.outcomes import Outcome
from phorest_ghl.sync.staff.plan import NO_CONTACT as STAFF_WAIT
from phorest_ghl.sync.summary import Planned

EVERY_S = 10.0
"""Where every change would be too much, progress is told so often."""
_WAITS = frozenset({EVENT_WAITS, NOTE_WAITS, STAFF_WAIT})
_TELLING = 10
"""Changes of a step after which its own pace says more than the budget's."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a load is: `done` of `known` parts of this step; `written` of `to_write` records in all of GHL.

    `to_write` is at most: what the later steps have to do is planned anew when they begin. `minutes_left` are those of all
    that is to be written, and of an import those of the import; None where nobody can tell yet.
    `entity` is what is written, as the CLI calls it; None while everything is imported.
    """

    step: str
    done: int
    known: int
    written: int = 0
    to_write: int = 0
    minutes_left: float | None = None
    entity: str | None = None

    def __str__(self) -> str:
        """A line for people."""
        whole = f", {self.written} of {self.to_write} records in all" if self.to_write else ""
        left = "" if self.minutes_left is None else f", about {self.minutes_left:.1f} minutes left"
        return f"{self.step}: {self.done} of {self.known}{whole}{left}"


class EntityPlan(Planned, Protocol):
    """What the plans of all entities have in common."""

    @property
    def settled(self) -> Mapping[str, Outcome]:
        """Outcomes of what has no change."""
        ...

    @property
    def requests(self) -> int:
        """Calls that applying it takes."""
        ...

    @property
    def total(self) -> int:
        """Items that entered it."""
        ...


def at_most(plan: EntityPlan) -> int:
    """Records that a step may have to write: its changes, and what only waits for contacts that are still to be made."""
    waiting = sum(getattr(outcome, "reason", None) in _WAITS for outcome in plan.settled.values())
    return len(plan.changes) + waiting


class Left:
    """How much of a load is left, as its steps go on."""

    def __init__(self, known: Mapping[str, int], limits: Limits, tell: Callable[[Progress], None]) -> None:
        """`known` is how many records each step may have to write, at most."""
        self._known = dict(known)
        self._written = dict.fromkeys(known, 0)
        self._each_s = limits.window_s / (limits.share * limits.requests)
        self._tell = tell
        self._step = ""
        self._began = 0.0

    def begin(self, name: str, plan: EntityPlan) -> None:
        """A step is planned: what it has to write is known from now on."""
        self._step, self._began = name, time.monotonic()
        self._known[name] = len(plan.changes)
        self.progress(0, len(plan.changes))

    def progress(self, done: int, known: int) -> None:
        """So many of a step's changes have been dealt with."""
        self._written[self._step] = done
        written, to_write = sum(self._written.values()), sum(self._known.values())
        measured = (time.monotonic() - self._began) / done if done >= _TELLING else 0.0
        minutes = (to_write - written) * max(self._each_s, measured) / 60
        self._tell(
            Progress(
                step=f"Writing {self._step}",
                done=done,
                known=known,
                written=written,
                to_write=to_write,
                minutes_left=minutes,
                entity=self._step,
            )
        )

    def end(self) -> None:
        """A step is over."""
        self.progress(self._known[self._step], self._known[self._step])


class Spaced:
    """Passes progress on at the beginning and the end of each step, and some seconds apart in between."""

    def __init__(
        self,
        tell: Callable[[Progress], None],
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._last: Progress | None = None
        self._told_at = 0.0

    def tell(self, progress: Progress) -> None:
        """Tell it, unless the same step has told the same, or something else a moment ago."""
        if progress == self._last:
            return
        new = self._last is None or progress.step != self._last.step
        if new or progress.done == progress.known or self._clock() - self._told_at >= self._every_s:
            self._last, self._told_at = progress, self._clock()
            self._tell(progress)
