"""From an appointment to the event that GHL should hold. Pure.

Belongs here: title, times, status, calendar, assignee. Does not: whether it is written (`planner`), who is told (`announce`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.events.source import AppointmentRow, Client
from phorest_ghl.sync.rules import folded

PROJECTION_VERSION = 1
CONFIRMED, CANCELLED, SHOWED = "confirmed", "cancelled", "showed"
CALENDAR, TITLE, DESCRIPTION, START, END, STATUS, USER = (
    "calendar", "title", "description", "start", "end", "status", "assignee",
)  # fmt: skip
FIELDS = (CALENDAR, TITLE, DESCRIPTION, START, END, STATUS, USER)
RESTORED = frozenset({CALENDAR, START, END})
"""Fields that GHL must not hold otherwise; a person's edit of the others stands until Phorest's value changes (S16)."""
_CAME = frozenset({"CHECKED_IN", "PAID"})
_UNNAMED = "Appointment"


@dataclass(frozen=True)
class Team:
    """Who may be assigned to in which calendar: GHL refuses others (facts/ghl-api §11.2)."""

    members: Mapping[str, frozenset[str]]

    def member(self, calendar_id: str, *wanted: str | None) -> str | None:
        """The first of the wanted users who is in the calendar's team."""
        team = self.members.get(calendar_id, frozenset())
        return next((user for user in wanted if user is not None and user in team), None)


@dataclass(frozen=True, kw_only=True)
class DesiredEvent:
    """The event of one appointment. Times are aware, in the branch's zone; `source_hash` is keyed."""

    row: AppointmentRow
    calendar_id: str
    contact_id: str
    title: str
    description: str
    status: str
    user_id: str
    starts_at: datetime
    ends_at: datetime
    secondary: bool
    source_hash: str

    @property
    def phorest_id(self) -> str:
        """The appointment."""
        return self.row.phorest_id

    @property
    def values(self) -> dict[str, str]:
        """What it holds by field, times in UTC."""
        return {
            CALENDAR: self.calendar_id,
            TITLE: self.title,
            DESCRIPTION: self.description,
            START: moment_text(self.starts_at),
            END: moment_text(self.ends_at),
            STATUS: self.status,
            USER: self.user_id,
        }


def moment_text(moment: datetime | None) -> str:
    """An instant as plans and hashes hold it: UTC, whole seconds."""
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def status_of(row: AppointmentRow, now: datetime) -> str:
    """GHL's status of an appointment (facts/phorest-api §7.5.2); `showed` only once its start has passed (safety S2)."""
    if row.cancelled:
        return CANCELLED
    return SHOWED if row.state in _CAME and row.starts_at <= now else CONFIRMED


@dataclass(frozen=True)
class EventProjector:
    """Projects the appointments of one run. `now` is the vendor's clock; `zones` and `stylists` are by branch and staff."""

    keyring: Keyring
    rules: EventRules
    team: Team
    now: datetime
    zones: Mapping[str, str]
    stylists: Mapping[str, str]

    def desired(self, row: AppointmentRow, client: Client) -> DesiredEvent | None:
        """The event; None where its branch has no calendar, or nobody in its team to assign it to."""
        calendar = self.rules.calendar_of(row.branch_id, row.staff_id, row.category)
        user = None if calendar is None else self.team.member(calendar, *self._wanted(row))
        if calendar is None or user is None or client.contact_id is None:
            return None
        zone = self.zone(row.branch_id)
        named = tuple(name for name in (row.service, row.category) if name)
        hidden = not self.rules.unnamed.isdisjoint(folded(named))
        title = _UNNAMED if hidden else " ".join((row.service or "").split()) or _UNNAMED
        description = self.stylists.get(row.staff_id or "", "")
        status = status_of(row, self.now)
        start, end = row.starts_at.astimezone(zone), row.ends_at.astimezone(zone)
        parts = (calendar, client.contact_id, title, description, status, user, moment_text(start), moment_text(end))
        return DesiredEvent(
            row=row,
            calendar_id=calendar,
            contact_id=client.contact_id,
            title=title,
            description=description,
            status=status,
            user_id=user,
            starts_at=start,
            ends_at=end,
            secondary=client.secondary,
            source_hash=self.keyring.digest("event", *parts),
        )

    def zone(self, branch_id: str) -> ZoneInfo:
        """A branch's zone."""
        return ZoneInfo(self.zones.get(branch_id, "UTC"))

    def _wanted(self, row: AppointmentRow) -> tuple[str | None, ...]:
        return (self.rules.users.get(row.staff_id or ""), self.rules.user)


def value_hash(keyring: Keyring, name: str, value: str) -> str:
    """The keyed hash of a field's value, as mappings hold it."""
    return keyring.digest("event field", name, value)
