"""What a salon has decided about its calendar events. Does not belong here: reading settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.rules import folded


@dataclass(frozen=True, kw_only=True)
class EventRules:
    """Decisions that a run of appointments is bound by.

    Attributes:
        calendar: id of the calendar of branches that have none of their own; None where there is none.
        calendars: id of the calendar by branch.
        staff_calendars: id of the calendar by Phorest staff id; goes before all others.
        category_calendars: id of the calendar by name of a category of services, folded; goes before the branch's.
        user: GHL user of stylists without one of their own; None where there is none.
        users: GHL user by Phorest staff id, as a person has reviewed them.
        days_back: scheduled runs create events from so many days ago.
        days_ahead: and up to so many days ahead.
        days: the first and last day that a backfill names for itself, in place of these two.
        announcing: calendars whose clients GHL, and not Phorest, writes to (safety S2).
        times_confirmed: a person has compared a summer appointment with the salon's screen (safety S5).
        hours: when people may be written to.
        unnamed: services and categories of them, by name, folded, that no title names (safety S19).
    """

    calendar: str | None = None
    calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    staff_calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    category_calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str | None = None
    users: Mapping[str, str] = field(default_factory=dict[str, str])
    days_back: int = 60
    days_ahead: int = 120
    days: tuple[date, date] | None = None
    announcing: frozenset[str] = frozenset()
    times_confirmed: bool = False
    hours: ContactHours = field(default_factory=ContactHours)
    unnamed: frozenset[str] = frozenset()

    def scheduled(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when scheduled runs create events."""
        return now - timedelta(days=self.days_back), now + timedelta(days=self.days_ahead)

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when this run creates events; of a backfill's days, the midnights with which they begin."""
        if self.days is None:
            return self.scheduled(now)
        first, last = self.days
        return datetime.combine(first, time(), UTC), datetime.combine(last, time(), UTC)

    def calendar_of(self, branch_id: str, staff_id: str | None = None, category: str | None = None) -> str | None:
        """The calendar that an event is in: its stylist's, else its service category's, else its branch's."""
        by_category = self.category_calendars.get(folded((category,))[0]) if category else None
        return self.staff_calendars.get(staff_id or "") or by_category or self.calendars.get(branch_id, self.calendar)

    @property
    def all_calendars(self) -> tuple[str, ...]:
        """Every calendar that events may be in, sorted."""
        named = (self.calendars, self.staff_calendars, self.category_calendars)
        every = {calendar for table in named for calendar in table.values()}
        return tuple(sorted({*every, *([self.calendar] if self.calendar else [])}))
