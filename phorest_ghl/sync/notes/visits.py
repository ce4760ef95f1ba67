"""Checked-in and paid appointments, and the note that each becomes (facts/phorest-api §7.5.2).

Belongs here: the rows that the projection reads, and the projection. Does not: which notes are missing (`planning`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync import normalise
from phorest_ghl.sync.rules import folded

WITHOUT_SERVICE = "Appointment"
"""What a visit is called whose service has no name."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """An appointment. `happened`: it is checked in or paid, not cancelled, not taken out of the diary, and not too old."""

    phorest_id: str
    client_id: str | None
    service_id: str | None
    service_name: str | None
    category_id: str | None
    category_name: str | None
    appointment_date: date
    start_time: time
    starts_at: datetime
    zone_name: str | None
    happened: bool
    walk_in: bool = False
    client_deleted: bool = False

    @property
    def when(self) -> str:
        """The start by the clock on the branch's wall, `YYYY-MM-DD HH:mm`."""
        try:
            local = self.starts_at.astimezone(ZoneInfo(self.zone_name or ""))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            local = datetime.combine(self.appointment_date, self.start_time)
        return f"{local:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, kw_only=True)
class NoteRules:
    """A salon's choices about notes.

    Attributes:
        days: how long ago a visit may have begun that still gets a note.
        excluded: services and categories, by name, folded, whose visits get none (safety S19).
    """

    days: int = 7
    excluded: frozenset[str] = field(default_factory=frozenset[str])

    def excludes(self, visit: Visit) -> bool:
        """Whether the service of a visit is none that a note may name."""
        named = tuple(name for name in (visit.service_name, visit.category_name) if name)
        return not self.excluded.isdisjoint(folded(named))


def mark(phorest_id: str) -> str:
    """What a note of an appointment is known by."""
    return f"phorest:{phorest_id}"


def body(visit: Visit) -> str:
    """What the note says: nothing of the appointment but service, start and id (safety S19)."""
    return f"{normalise.name(visit.service_name) or WITHOUT_SERVICE} / {visit.when} / {mark(visit.phorest_id)}"


def content_hash(visit: Visit, keyring: Keyring) -> str:
    """A keyed hash of what the note says."""
    return keyring.digest("note", body(visit))


_VISITS = text("""
    with visits as (
        select a.*, starts_at >= :since and state in ('CHECKED_IN', 'PAID') and not deleted and deleted_at is null
                    -- A state that we do not know does not mean cancelled (safety S4).
                    and activation_state not in ('CANCELED', 'CANCELLED', 'RESERVED') as happened
        from phorest_appointments a
    )
    select a.phorest_id, a.client_id, a.service_id, a.service_name, s.category_id, s.category_name, a.appointment_date,
           a.start_time, a.starts_at, b.time_zone as zone_name, a.happened, coalesce(c.walk_in, false) as walk_in,
           -- One that was merged away is deleted too, and on its winner's contact.
           coalesce((c.deleted or c.deleted_at is not null) and c.merged_to_client_id is null, false) as client_deleted
    from visits a
    left join phorest_branches b on b.phorest_id = a.branch_id
    left join phorest_services s on s.branch_id = a.branch_id and s.phorest_id = a.service_id
    left join phorest_clients c on c.phorest_id = a.client_id
    where a.happened or a.phorest_id = any(:unsettled)
    order by a.starts_at, a.phorest_id
""")


def load_visits(connection: Connection, since: datetime, unsettled: Collection[str]) -> list[Visit]:
    """Visits that happened since then (aware), and those whose note may or may not have been made, by start."""
    rows = connection.execute(_VISITS, {"since": since, "unsettled": sorted(unsettled)}).mappings()
    return [Visit(**row) for row in rows]
