"""The facts of the diary once more, in the plainest Python there is: what the SQL is compared with.

Belongs here: definitions, as slow and as short as they can be. Does not: anything that the product runs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from phorest_ghl.sync.facts.visits import Visits

ZONES = {"DUBLIN": ZoneInfo("Europe/Dublin"), "AUCKLAND": ZoneInfo("Pacific/Auckland")}
STYLISTS = {"S1": "Siobhan Kelly", "S2": "Ada Grant", "S3": "Siobhan Kelly"}
CATEGORIES = {"CUT": "Hair", "COLOUR": "Hair", "FACIAL": "Skin"}
NO_SHOW, FEE, SECRET = "No show", "Storno", "Scalp treatment"


@dataclass(frozen=True)
class Row:
    """A row of the diary, and how it was before it became what it is."""

    phorest_id: str
    client: str | None
    branch: str
    starts_at: datetime
    service_id: str | None
    service: str | None
    staff: str | None
    state: str
    activation: str
    deleted: bool
    source: str
    booking: str | None
    touched: datetime
    was_active: bool
    missed_in_ghl: bool = False

    @property
    def day(self) -> date:
        return self.starts_at.astimezone(ZONES[self.branch]).date()

    def marks(self, now: datetime) -> bool:
        in_ghl = self.missed_in_ghl and self.starts_at <= now and self.state not in ("CHECKED_IN", "PAID")
        return in_ghl or self.service == NO_SHOW or self.staff == "NOBODY"

    def done(self, now: datetime) -> bool:
        here = self.state in ("CHECKED_IN", "PAID") and self.activation not in ("CANCELED", "RESERVED")
        return here and not self.marks(now) and self.service != FEE and self.starts_at <= now


def by_hand(rows: Sequence[Row], client: str, now: datetime) -> Visits:
    """The facts of one client."""
    mine = [row for row in rows if row.client == client and not row.deleted]
    done = sorted((row for row in mine if row.done(now)), key=lambda row: (row.starts_at, row.phorest_id))
    latest = done[::-1]
    coming = sorted(
        (
            row
            for row in mine
            if row.starts_at > now and row.activation not in ("CANCELED", "RESERVED") and not row.marks(now)
            if row.service != FEE
        ),
        key=lambda row: (row.starts_at, row.phorest_id),
    )
    due, at_risk = _rebook(latest, now)
    return Visits(
        visits=len({(row.branch, row.day) for row in done}),
        last_visit=max((row.day for row in done), default=None),
        last_service=next((row.service for row in latest if row.service and row.service != SECRET), None),
        last_stylist=next((STYLISTS[row.staff] for row in latest if row.staff in STYLISTS), None),
        favourite_stylist=_favourite(done),
        next_at=coming[0].starts_at if coming else None,
        next_branch=coming[0].branch if coming else None,
        late_cancels=len({(row.branch, row.day) for row in mine if _late(row, mine, now)}),
        no_shows=len(
            {
                (row.branch, row.day)
                for row in mine
                if row.marks(now) and row.activation != "CANCELED" and row.starts_at <= now
            }
        ),
        rebook_due=due,
        at_risk=at_risk,
    )


def _late(row: Row, mine: Sequence[Row], now: datetime) -> bool:
    if row.activation != "CANCELED" or row.marks(now) or row.service == FEE or not row.was_active:
        return False
    left = [o for o in mine if (o.branch, o.day) == (row.branch, row.day)]
    if any(o.activation not in ("CANCELED", "RESERVED") for o in left):
        return False
    return row.starts_at - timedelta(hours=24) < row.touched < row.starts_at


def _favourite(done: Sequence[Row]) -> str | None:
    days: dict[str, set[tuple[str, date]]] = {}
    last: dict[str, datetime] = {}
    for row in done:
        if row.staff in STYLISTS:
            name = STYLISTS[row.staff]
            days.setdefault(name, set()).add((row.branch, row.day))
            last[name] = row.starts_at
    ranked = sorted(days, key=lambda name: (-len(days[name]), -last[name].timestamp(), name))
    return ranked[0] if ranked else None


def _rebook(latest: Sequence[Row], now: datetime) -> tuple[date | None, bool]:
    if not latest:
        return None, False

    def category(row: Row) -> str:
        return CATEGORIES.get(row.service_id or "") or row.service_id or row.service or ""

    days = sorted({row.day for row in latest if category(row) == category(latest[0])}, reverse=True)[:6]
    gap = Decimal(42)
    if len(days) >= 3:
        gap = (Decimal((days[0] - days[-1]).days) / (len(days) - 1)).quantize(Decimal(1), ROUND_HALF_UP)
    due = days[0] + timedelta(days=int(gap))
    today = now.astimezone(ZONES[latest[0].branch]).date()
    return due, today >= due - timedelta(days=5)


def online_by_hand(rows: Sequence[Row]) -> Counter[str]:
    """How many bookings each client made online."""
    bookings = {
        (row.client, row.booking or f"alone {row.phorest_id}")
        for row in rows
        if row.client and not row.deleted and row.source == "WIDGET" and row.activation != "RESERVED"
    }
    return Counter(client for client, _ in bookings if client)
