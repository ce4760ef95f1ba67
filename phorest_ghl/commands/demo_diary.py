"""Is GHL's calendar the salon's diary? Judged by the sandbox's own truth, with nothing of our code for events.

Belongs here: comparing both sides' appointments. Does not: contacts (`demo_truth`), running anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from phorest_ghl.commands.demo_truth import Row, holders

DAYS_BACK, DAYS_AHEAD = 60, 120
"""The window that scheduled runs create events in, days from today."""


@dataclass(frozen=True, kw_only=True)
class Diary:
    """How the appointments of clients with one contact came out.

    Attributes:
        appointments: those that stand in Phorest.
        on_one_event: those of them that have one standing event of their contact at their start.
        missing: those that have none.
        extra: standing events at a contact and start for which no appointment stands: cancelled, moved away, made twice.
    """

    appointments: int = 0
    on_one_event: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def holds(self) -> bool:
        """Whether each appointment has its one event and nothing else stands in the calendar."""
        return self.on_one_event == self.appointments and not (self.missing or self.extra)

    def document(self) -> dict[str, int]:
        """As the demo reports it."""
        return asdict(self)


def judge_diary(
    appointments: Iterable[Row],
    events: Iterable[Row],
    clients: Iterable[Row],
    contacts: Iterable[Row],
    branches: Iterable[Row],
    today: date,
) -> Diary:
    """Compare the salon's appointments of the window around `today` with the calendar, start by start.

    Left out on both sides: clients whose household is not on exactly one contact, or of whom somebody must not be synced.
    """
    zones = {branch["branchId"]: ZoneInfo(branch["timeZone"]) for branch in branches}
    household = {row["clientId"]: row["truth"]["household"] for row in clients}
    closed = {row["truth"]["household"] for row in clients if not row["truth"]["syncable"]}
    at = {
        key: next(iter(ids)) for key, ids in holders(contacts, household).items() if len(ids) == 1 and key not in closed
    }
    first, last = today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD)
    wanted: Counter[tuple[str, int]] = Counter()
    for row in appointments:
        contact = at.get(household.get(row.get("clientId") or "", ""))
        if contact and _stands(row) and first <= date.fromisoformat(row["appointmentDate"]) <= last:
            wanted[contact, _start_ms(row, zones)] += 1
    mine = set(at.values())
    found = Counter(
        (event["contactId"], event["startMs"])
        for event in events
        if event["contactId"] in mine
        and not event["deleted"]
        and event["appointmentStatus"] != "cancelled"
        and first <= datetime.fromtimestamp(event["startMs"] / 1000, tz=next(iter(zones.values()))).date() <= last
    )
    missing, extra = (wanted - found).total(), (found - wanted).total()
    return Diary(appointments=wanted.total(), on_one_event=wanted.total() - missing, missing=missing, extra=extra)


def _stands(row: Row) -> bool:
    """Archived is not cancelled, and neither is a row that says nothing of it (safety S4)."""
    return row.get("activationState") != "CANCELED" and not row["deleted"]


def _start_ms(row: Row, zones: Mapping[str, ZoneInfo]) -> int:
    local = datetime.fromisoformat(f"{row['appointmentDate']}T{row['startTime']}")
    return round(local.replace(tzinfo=zones[row["branchId"]]).timestamp() * 1000)
