"""What would be done to GHL's calendars, field by field, whom it tells, and why.

Belongs here: the shape of a plan. Does not: making one (`planner`), carrying it out (`writer`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from phorest_ghl.ghl.fields import Rule
from phorest_ghl.sync.events.announce import Decision, Told, Visit
from phorest_ghl.sync.events.projection import DesiredEvent
from phorest_ghl.sync.outcomes import Outcome

GONE = "event gone from GHL"
NEVER = "never existed in GHL"
NO_CONTACT = "its client has no contact yet"
STILL_STANDS = "an event that another one replaced still stands"
VANISHED = "too many appointments vanished at once; a person has to look"


SILENT = Decision(notify=False, reason="a technical write is silent")


class EventAction(StrEnum):
    """What a planned change does in GHL."""

    CREATE = "create"
    UPDATE = "update"
    CANCEL = "cancel"
    MOVE = "move"
    """A new event for another contact, then the old one cancelled: events cannot change their contact (safety S3)."""
    SETTLE = "settle"
    """Look up a create that nobody has an answer to, of an appointment that is no longer to be created."""


@dataclass(frozen=True)
class EventDiff:
    """One field: what GHL holds, what it should hold, and the rule that says so."""

    name: str
    before: str | None
    after: str
    rule: Rule


@dataclass(frozen=True, kw_only=True)
class EventChange:
    """One event's change. `decision` is its `toNotify`; `told` is what the client then knows of its visit."""

    action: EventAction
    desired: DesiredEvent
    ghl_id: str | None
    diffs: tuple[EventDiff, ...]
    reason: str
    decision: Decision = SILENT
    told: tuple[Visit, Told] | None = None

    @property
    def phorest_id(self) -> str:
        """The appointment."""
        return self.desired.phorest_id

    @property
    def field_names(self) -> list[str]:
        """The fields that it changes, sorted."""
        return sorted(diff.name for diff in self.diffs)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The appointment whose outcome it decides."""
        return (self.desired.phorest_id,)

    @property
    def requests(self) -> int:
        """How many calls it takes if nothing goes wrong."""
        return 2 if self.action is EventAction.MOVE else 1


@dataclass(frozen=True)
class Finding:
    """A discrepancy that a person should see; `detail` holds ids and counts."""

    kind: str
    phorest_id: str | None
    ghl_id: str | None
    detail: Mapping[str, object]


@dataclass(frozen=True)
class EventEdited:
    """Fields of an event that a person changed in GHL and that Phorest did not change since: left alone (safety S16)."""

    phorest_id: str
    ghl_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class EventPlan:
    """The changes, and the outcomes of all appointments that have none.

    `unremembered` are appointments outside the window that Phorest changed in nothing that an event shows.
    `waiting` are appointments whose client may get a contact, each with that client, the soonest first. `edited` are
    events that people changed in what is theirs to change.
    """

    changes: tuple[EventChange, ...]
    settled: Mapping[str, Outcome]
    findings: tuple[Finding, ...] = ()
    future: int = 0
    """Creates whose start is still to come: GHL sends no reminder that hangs on the creation of these (safety S2)."""
    unremembered: Mapping[str, str] | None = None
    waiting: Mapping[str, str] = field(default_factory=dict[str, str])
    edited: tuple[EventEdited, ...] = ()

    @property
    def total(self) -> int:
        """Appointments that entered the plan."""
        return len(self.changes) + len(self.settled)

    @property
    def requests(self) -> int:
        """Calls that applying it takes, look-ups after lost answers apart."""
        return sum(change.requests for change in self.changes)

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        return {action.value: sum(change.action is action for change in self.changes) for action in EventAction}

    def announcements(self) -> dict[str, int]:
        """Changes by why GHL may write to the client, or why not; `notify` counts those that may."""
        found = Counter(change.decision.reason for change in self.changes)
        return {"notify": sum(change.decision.notify for change in self.changes), **dict(sorted(found.items()))}
