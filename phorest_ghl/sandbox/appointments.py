"""Phorest's appointments with the indexes that its windows need.

Belongs here: finding rows by branch and month, client or booking. Does not belong here: what a request may ask.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from phorest_ghl.sandbox.store import Journal, Row, Store


class AppointmentStore(Store):
    """Appointments by id, by branch and month, and by booking."""

    def __init__(self, journal: Journal | None) -> None:
        super().__init__("phorest.appointments", journal)
        self._months: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._bookings: dict[str, dict[str, None]] = defaultdict(dict)
        self._holds: set[str] = set()

    def load(self, key: str, row: Row | None) -> None:
        """Keep the indexes true."""
        before = self.rows.get(key)
        if before is not None:
            self._months[_month(before)].pop(key, None)
            self._bookings[before.get("bookingId") or ""].pop(key, None)
            self._holds.discard(key)
        super().load(key, row)
        if row is not None:
            self._months[_month(row)][key] = None
            self._bookings[row.get("bookingId") or ""][key] = None
            if row.get("activationState") == "RESERVED":
                self._holds.add(key)

    def between(self, branch: str, first: date, last: date) -> Iterator[Row]:
        """Rows of a branch on local dates from `first` to `last`, both included."""
        low, high = first.isoformat(), last.isoformat()
        month = first.replace(day=1)
        while month <= last:
            for key in self._months[branch, month.isoformat()[:7]]:
                row = self.rows[key]
                if low <= row["appointmentDate"] <= high:
                    yield row
            month = (month + timedelta(days=32)).replace(day=1)

    def expire(self, before: str) -> None:
        """RESERVED holds made before an instant vanish (facts/phorest-api §7.6)."""
        for key in [key for key in self._holds if self.rows[key]["createdAt"] < before]:
            self.remove(key)

    def of_booking(self, key: str) -> list[Row]:
        """Rows that share a booking."""
        return [self.rows[found] for found in self._bookings.get(key, ())]


def _month(row: Row) -> tuple[str, str]:
    return row["branchId"], row["appointmentDate"][:7]
