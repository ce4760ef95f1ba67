"""When an appointment is: from the date and times that Phorest prints to instants.

Belongs here: the one function that does it, and reading a printed time. Does not: which zone a branch is in.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal, cast

from phorest_ghl.phorest.models import Appointment

TimeMode = Literal["branch_local", "utc"]
"""How Phorest's `appointmentDate` and times are meant. Three live systems read them as the branch's own clock, two
pages say UTC (facts/phorest-api §11.1), so it is a choice, and branch_local is the default."""


def instants_of(day: date, start: time, end: time, zone: tzinfo, mode: TimeMode) -> tuple[datetime, datetime]:
    """Start and end of an appointment as UTC instants.

    An end before the start is on the next day; an end at the start means no length (facts/phorest-api §7.5.2). A time
    that the clocks skip is moved forward by what they skip, a time that they show twice is its first (§11.1). The end is
    never before the start: where the clocks make it so, the printed length counts.

    Args:
        day: the printed date.
        start: the printed start.
        end: the printed end.
        zone: the branch's time zone; not used when `mode` is utc.
        mode: what the printed times are.
    """
    begins = datetime.combine(day, start)
    ends = datetime.combine(day, end)
    if ends < begins:
        ends += timedelta(days=1)
    clock = UTC if mode == "utc" else zone
    first, last = (moment.replace(tzinfo=clock, fold=0).astimezone(UTC) for moment in (begins, ends))
    return first, max(last, first + (ends - begins)) if last < first else last


def local_key(day: date | str, start: str, end: str) -> str:
    """What an appointment's printed date and times are looked up by; `LOCAL_KEY_SQL` makes the same of a payload."""
    return f"{day} {start} {end}"


def instants_by_key(rows: Iterable[object], zone: tzinfo, mode: TimeMode) -> dict[str, tuple[datetime, datetime]]:
    """The instants of every date and times that a page of appointments prints, by `local_key`."""
    found: dict[str, tuple[datetime, datetime]] = {}
    for row in rows:
        assert isinstance(row, Appointment)
        key = local_key(row.appointmentDate, row.startTime, row.endTime)
        if key not in found:
            start, end = time.fromisoformat(row.startTime), time.fromisoformat(row.endTime)
            found[key] = instants_of(row.appointmentDate, start, end, zone, mode)
    return found


LOCAL_KEY_SQL = "concat_ws(' ', item ->> 'appointmentDate', item ->> 'startTime', item ->> 'endTime')"


def time_text(printed: object) -> object:
    """A time as text where it came as an object with hour and minute (an old description of the API, §2.5)."""
    if not isinstance(printed, dict):
        return printed
    parts = cast("dict[str, object]", printed)
    try:
        hour, minute, second = (int(str(parts.get(name, 0))) for name in ("hour", "minute", "second"))
        return time(hour, minute, second).isoformat(timespec="milliseconds")
    except ValueError:
        return parts
