"""Who is told of what: `toNotify` of every event write, with its reason (safety S2, S3, S4, S5). Pure.

Belongs here: the decision. Does not: what is written (`planner`), what was told (`keeper`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from phorest_ghl.sync.contact_hours import ContactHours

FRESH = timedelta(hours=2)
"""How old a change of Phorest's may be that is told as news."""
SOON = timedelta(hours=12)
AFTER_A_VISIT = timedelta(hours=24)


class Visit(NamedTuple):
    """All rows of a client, branch and local date: told of once, however many services it has."""

    client_id: str
    branch_id: str
    day: str


@dataclass(frozen=True)
class Told:
    """What the client was last told of a visit: by which row, whether that it is cancelled, true up to which change."""

    phorest_id: str
    cancelled: bool
    up_to: datetime


class Kind(StrEnum):
    """What a write means to a client."""

    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"
    SHOWED = "showed"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class News:
    """One write of an event as its client would see it. Times are aware.

    `before` is the visit that the row was of until now, `was_at` its start until now. `technical`: a move, repair or other
    write that nobody in the salon made. `changed_at` is Phorest's time of the change.
    """

    phorest_id: str
    visit: Visit
    kind: Kind
    starts_at: datetime
    ends_at: datetime
    changed_at: datetime | None
    calendar_id: str
    before: Visit | None = None
    was_at: datetime | None = None
    technical: bool = False
    vanished: bool = False
    secondary: bool = False
    online: bool = False

    @property
    def order(self) -> tuple[datetime, str]:
        """Earliest first."""
        return self.starts_at, self.phorest_id


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the decision rests on besides the news. `now` is the vendor's clock.

    `active` are the rows of each visit that stand, as (start, id), the new ones among them; `live_at` is None while the
    location is quiet.
    """

    now: datetime
    live_at: datetime | None
    announcing: frozenset[str]
    times_confirmed: bool
    hours: ContactHours
    zone: Callable[[str], ZoneInfo]
    told: Mapping[Visit, Told]
    active: Mapping[Visit, Sequence[tuple[datetime, str]]]


@dataclass(frozen=True)
class Decision:
    """Whether GHL may write to the client, and why or why not."""

    notify: bool
    reason: str


def decide(news: Iterable[News], at: Circumstances) -> dict[str, Decision]:
    """The decision on each write, by appointment; at most one of a visit is told."""
    found: dict[str, Decision] = {}
    telling: dict[Visit, list[News]] = {}
    for one in news:
        barred = _barred(one, at) or _not_news(one, at) or _wrong_hour(one, at)
        if barred is None:
            telling.setdefault(one.visit, []).append(one)
        else:
            found[one.phorest_id] = Decision(notify=False, reason=barred)
    for visit, candidates in telling.items():
        told = at.told.get(visit)
        first = min(candidates, key=lambda one: (told is None or one.phorest_id != told.phorest_id, one.order))
        for one in candidates:
            mine = one is first
            found[one.phorest_id] = Decision(
                notify=mine, reason=one.kind.value if mine else "another row of the visit tells it"
            )
    return found


def _barred(one: News, at: Circumstances) -> str | None:
    """What no freshness outweighs."""
    reasons = (
        (one.technical, "a technical write is silent"),
        (one.vanished, "a row that vanished is cancelled in silence"),
        (at.live_at is None, "the location is quiet"),
        (one.calendar_id not in at.announcing, "GHL was not chosen to write to this calendar's clients"),
        (not at.times_confirmed, "nobody has confirmed a summer appointment's time"),
        (one.secondary, "the client is not the one who speaks for its contact"),
        (one.kind is Kind.OTHER, "nothing changed that a client needs to know"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _not_news(one: News, at: Circumstances) -> str | None:
    """Why this is nothing to tell: over, told already, too old, or not the row that speaks for its visit."""
    was_at = one.was_at or one.starts_at
    told = at.told.get(one.before or one.visit) or at.told.get(one.visit)
    active = at.active.get(one.visit, ())
    over = _over(one, at.now, remains=bool(active))
    if over is not None:
        return over
    if one.changed_at is None:
        return "Phorest does not say when it changed"
    if told is not None and one.kind in (Kind.CANCELLED, Kind.MOVED):
        if one.changed_at <= told.up_to or (told.cancelled and one.kind is Kind.CANCELLED):
            return "the client knows already"
        if not told.cancelled and was_at > at.now:
            return None  # of a visit that we announced: whatever its age and row
    old = _old(one.changed_at, at)
    if old is None and one.kind is not Kind.CANCELLED:
        speaks = announcing_row(active, at.told.get(one.visit))
        return None if speaks == one.phorest_id else "another row of the visit announces it"
    return old


def _over(one: News, now: datetime, *, remains: bool) -> str | None:
    if one.kind is Kind.CANCELLED and remains:
        return "another row of the visit remains"
    if one.kind is Kind.SHOWED:
        return "the visit ended more than a day ago" if one.ends_at + AFTER_A_VISIT < now else None
    starts_at = (one.was_at or one.starts_at) if one.kind is Kind.CANCELLED else one.starts_at
    return "the start is past" if starts_at <= now else None


def _old(changed_at: datetime, at: Circumstances) -> str | None:
    if at.live_at is None or changed_at <= at.live_at:
        return "it changed before the location went live"
    return "it changed more than two hours ago" if at.now - changed_at >= FRESH else None


def announcing_row(active: Sequence[tuple[datetime, str]], told: Told | None) -> str | None:
    """The row that speaks for a visit: the one that did while it stands, else the earliest that stands."""
    if told is not None and any(phorest_id == told.phorest_id for _, phorest_id in active):
        return told.phorest_id
    return min(active)[1] if active else None


def _wrong_hour(one: News, at: Circumstances) -> str | None:
    """S5: at night only what cannot wait, or what the client has just done itself."""
    if at.hours.permit(at.now, at.zone(one.visit.branch_id)):
        return None
    if one.kind is Kind.BOOKED and one.online:
        return None
    soonest = min(one.starts_at, one.was_at or one.starts_at)
    if one.kind in (Kind.CANCELLED, Kind.MOVED) and soonest - at.now <= SOON:
        return None
    return "quiet hours"
