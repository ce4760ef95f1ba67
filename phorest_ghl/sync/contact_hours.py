"""The hours in which people may be written to, by the clock of their branch (safety S5). Pure."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class ContactHours:
    """From when until when, by the clock of the client's branch."""

    opens: time = time(9)
    closes: time = time(20)

    def permit(self, now: datetime, zone: ZoneInfo) -> bool:
        """Whether people there may be written to at this moment (aware)."""
        return self.opens <= now.astimezone(zone).time() < self.closes

    def next_opening(self, now: datetime, zone: ZoneInfo) -> datetime:
        """When that is again (aware)."""
        local = now.astimezone(zone)
        day = local.date() if local.time() < self.opens else local.date() + timedelta(days=1)
        return datetime.combine(day, self.opens, zone)
