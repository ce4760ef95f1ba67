"""What the processes that share a bucket know together: one value, kept as JSON in one row.

Belongs here: the state and its format. Does not: what follows from it (`budget_rules`), the row (`budget_postgres`).

All moments are seconds since the epoch by the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

import orjson

from phorest_ghl.http.budget import Lane

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane's claim: when its next guaranteed departure is due, and until when it is believed to be asking."""

    due: float = 0.0
    asking_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Recent:
    """Departures of a short stretch of time: its beginning, its length in seconds, how many."""

    start: float
    length: float
    count: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A bucket.

    Attributes:
        next_slot: before this nobody departs.
        paused_until: before this nobody departs either; set by a 429 or an empty bucket.
        day: the UTC day that `used` counts, as days since the epoch.
        used: our departures of that day.
        daily: the vendor's daily quota as its headers say it.
        day_left: requests left for the day as the vendor said at `day_left_at`, less our departures since.
        most: the vendor's requests a window as its headers say it; `window_s` likewise.
        foreign: requests a window that others make, believed until `foreign_until`.
        lanes: the lanes that ever asked.
        recent: our departures of about the last two windows, oldest first.
    """

    next_slot: float = 0.0
    paused_until: float = 0.0
    day: int = 0
    used: int = 0
    daily: int | None = None
    day_left: int | None = None
    day_left_at: float = 0.0
    most: int | None = None
    window_s: float | None = None
    foreign: float = 0.0
    foreign_until: float = 0.0
    lanes: Mapping[Lane, LaneState] = field(default_factory=dict[Lane, LaneState])
    recent: tuple[Recent, ...] = ()


_PLAIN = tuple(member.name for member in fields(BudgetState) if member.name not in {"lanes", "recent"})


def dump_state(state: BudgetState) -> str:
    """The state as JSON text."""
    plain = {name: getattr(state, name) for name in _PLAIN}
    lanes = {lane.value: (claim.due, claim.asking_until) for lane, claim in state.lanes.items()}
    recent = [(stretch.start, stretch.length, stretch.count) for stretch in state.recent]
    return orjson.dumps({"format": FORMAT, **plain, "lanes": lanes, "recent": recent}).decode()


def load_state(text: str) -> BudgetState:
    """The state in the JSON text; a new one where the text is of another format.

    Forgetting the state costs a little: pacing starts anew, and the next answer's headers correct the day's count.
    """
    try:
        raw: Any = orjson.loads(text)
        if raw.pop("format") != FORMAT:
            return BudgetState()
        lanes = {Lane(name): LaneState(*lane) for name, lane in raw.pop("lanes").items()}
        recent = tuple(Recent(*stretch) for stretch in raw.pop("recent"))
        return BudgetState(**cast("dict[str, Any]", raw), lanes=lanes, recent=recent)
    except (AttributeError, KeyError, TypeError, ValueError):
        return BudgetState()
