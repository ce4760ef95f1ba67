"""What a run does with the contacts of the staff, field by field, and why.

Belongs here: the shape of a plan. Does not: making one (`planner`), carrying it out (`writer`, `road`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.ghl.fields import Facet
from phorest_ghl.sync.outcomes import Deferred, Outcome
from phorest_ghl.sync.plan import BEYOND_LIMIT, Edited, FieldDiff
from phorest_ghl.sync.staff.members import Member

NO_CONTACT = "the same person is a client, whose contact is still to be made"


class StaffAction(StrEnum):
    """What a planned change does in GHL."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    """Tag the contact that the same person has already, as a client or by somebody else's hand, and nothing else (S17)."""
    REMAP = "remap"
    """Take up a contact that carries the tag of this row: our mapping was lost, or GHL merged the contact."""
    LOOK_UP = "look up"
    """Find out whether a contact was made whose answer was lost, and make none: there is to be none any more."""


@dataclass(frozen=True, kw_only=True)
class StaffChange:
    """One human's change.

    `unsettled`: an earlier create may have made its contact. `client`: the contact is a client's. `otherwise`: what becomes
    of the rows where a look-up finds nothing.
    """

    action: StaffAction
    member: Member
    ghl_id: str | None
    diffs: tuple[FieldDiff, ...] = ()
    reason: str
    unsettled: bool = False
    client: bool = False
    otherwise: Outcome | None = None

    @property
    def phorest_id(self) -> str:
        """The human, by the least id of its rows."""
        return self.member.human.key

    @property
    def field_names(self) -> list[str]:
        """The fields, channels and tags that it changes, sorted."""
        return sorted(diff.name for diff in self.diffs)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The rows whose outcome it decides."""
        return self.member.item_ids

    @property
    def tag_diffs(self) -> tuple[FieldDiff, ...]:
        """Tags that go by bulk calls; those of a create travel in its own body (S1)."""
        return () if self.action is StaffAction.CREATE else tuple(d for d in self.diffs if d.facet is Facet.TAGS)

    @property
    def writes(self) -> bool:
        """Whether the contact itself is written, and not only its tags."""
        return self.action is StaffAction.CREATE or any(diff.facet is not Facet.TAGS for diff in self.diffs)

    @property
    def requests(self) -> int:
        """How many calls it takes if nothing goes wrong, bulk calls for tags apart."""
        if self.action is StaffAction.CREATE:
            return 1 + self.unsettled
        if self.action is StaffAction.UPDATE:
            return 2 * self.writes
        return 0 if self.client else 1


@dataclass(frozen=True)
class StaffFinding:
    """A discrepancy that a person should see; `detail` holds ids."""

    kind: str
    phorest_id: str
    ghl_id: str | None
    detail: Mapping[str, object]


@dataclass(frozen=True)
class StaffPlan:
    """The changes, and the outcomes of all rows that have none."""

    changes: tuple[StaffChange, ...]
    settled: Mapping[str, Outcome]
    findings: tuple[StaffFinding, ...] = ()
    edited: tuple[Edited, ...] = ()
    quiet: bool = False

    @property
    def total(self) -> int:
        """Rows of the staff that entered the plan."""
        return len(self.settled) + sum(len(change.item_ids) for change in self.changes)

    @property
    def to_guard(self) -> frozenset[str]:
        """Present contacts that get the guard tag before anything else is written to them (S1)."""
        if not self.quiet:
            return frozenset()
        return frozenset(change.ghl_id for change in self.changes if change.ghl_id is not None and change.diffs)

    @property
    def requests(self) -> int:
        """Calls that applying it takes, look-ups after odd answers apart."""
        tags = Counter((diff.name, diff.after) for change in self.changes for diff in change.tag_diffs)
        bulk = sum(-(-count // BULK_LIMIT) for count in (*tags.values(), len(self.to_guard)))
        return bulk + sum(change.requests for change in self.changes)

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        found = Counter(change.action for change in self.changes)
        return {action.value: found[action] for action in StaffAction}

    def limited(self, most: int) -> "StaffPlan":
        """The first changes alone; the others are deferred to a later run. Raises ValueError for less than one."""
        if most < 1:
            raise ValueError("A run that is limited makes at least one change.")
        later = {item: Deferred(BEYOND_LIMIT) for change in self.changes[most:] for item in change.item_ids}
        return replace(self, changes=self.changes[:most], settled={**self.settled, **later})
