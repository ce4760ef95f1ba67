"""What would be done, field by field, and why, before anything is written.

Belongs here: the shape of a plan. Does not: making one (`planner`), carrying it out (`apply`). A record without a change
has no row in the plan, only its outcome.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.ghl.fields import EMAIL, PHONE, VALUE_FACETS, Facet, Rule
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.consent_step import Step
from phorest_ghl.sync.decisions import Decisions
from phorest_ghl.sync.outcomes import Deferred, Outcome
from phorest_ghl.sync.projection import DesiredContact

ADDRESS = "address"
"""The cause of a review: another contact holds an address that the client's own contact should have."""
NO_CONTACT_POINT = "no contact point"
ADDRESS_TAKEN = (
    "a contact that we did not make holds an address of this client; decide in GHL whether it is the same person"
)
GONE = "contact gone from GHL"
NOT_AGAIN = "GHL refused this content before, and it has not changed"
BEYOND_LIMIT = "beyond the limit that this run was given"
OPEN, BLOCKED = "open", "blocked"
"""How a channel reads in a plan."""
PRESENT, ABSENT = "present", ""
"""How a tag reads in a plan."""


class Action(StrEnum):
    """What a planned change does in GHL."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    """Take over a contact that somebody else made, of the same name at the same address (safety S14)."""
    REMAP = "remap"
    """Take up a contact that carries this client's Phorest id: our mapping was lost, the contact was not."""
    RETIRE = "retire"
    """Close and tag the contact of a client that was merged into another one."""
    LINK = "link"
    """Map further members of a household to its contact; nothing is written in GHL."""


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field: what GHL holds, what it should hold, and the rule that says so. Values are personal."""

    name: str
    facet: Facet
    before: str | None
    after: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One contact's change.

    `read_first`: what decides whether or how it may be written is read by id before. `joins` is the contact that the
    client of a retired one is on from now on; `replaces` a contact gone from GHL whose client gets a new one. `decided`: a
    person decided that a contact of another name is to be adopted. `partial`: a run of one part of contacts makes it, so
    what it writes proves nothing of the rest. `guarded`: a create of a live location at night, with the guard tag (S5).
    """

    action: Action
    desired: DesiredContact
    ghl_id: str | None
    diffs: tuple[FieldDiff, ...]
    reason: str
    read_first: bool = False
    joins: str | None = None
    replaces: str | None = None
    decided: bool = False
    partial: bool = False
    guarded: bool = False

    @property
    def phorest_id(self) -> str:
        """The client whose contact it is: the household's primary."""
        return self.desired.phorest_id

    @property
    def field_names(self) -> list[str]:
        """The fields, channels and tags that it changes, sorted."""
        return sorted(diff.name for diff in self.diffs)

    @property
    def touches_consent(self) -> bool:
        """Whether consent has to travel with it: it changes a channel, or brings an address (S6)."""
        return any(diff.facet is Facet.CONSENT or diff.name in (EMAIL.name, PHONE.name) for diff in self.diffs)

    @property
    def opens(self) -> tuple[Channel, ...]:
        """The channels that it opens."""
        return tuple(Channel(d.name) for d in self.diffs if d.facet is Facet.CONSENT and d.rule is Rule.REVERSED)

    @property
    def tag_diffs(self) -> tuple[FieldDiff, ...]:
        """Tags that go by bulk calls; those of a create travel in its own body (safety S1)."""
        return () if self.action is Action.CREATE else tuple(d for d in self.diffs if d.facet is Facet.TAGS)

    @property
    def clears(self) -> bool:
        """Whether it empties a field of ours: that is read back, for GHL's clearing is not documented (S18)."""
        return any(diff.facet in VALUE_FACETS and diff.after == "" for diff in self.diffs)

    @property
    def gives_up(self) -> frozenset[str]:
        """Addresses that its contact holds now and will hold no more, for it gets others."""
        if self.action is not Action.UPDATE:
            return frozenset()
        return frozenset(d.before for d in self.diffs if d.name in (EMAIL.name, PHONE.name) and d.before is not None)

    @property
    def read_backs(self) -> int:
        """Reads that follow the write: of what was opened, and of what was emptied (S10, S18)."""
        return bool(self.opens) + self.clears

    @property
    def writes(self) -> bool:
        """Whether the contact itself is written, and not only its tags."""
        if self.action in (Action.CREATE, Action.REMAP):
            return True
        return any(diff.facet is not Facet.TAGS for diff in self.diffs)

    @property
    def requests(self) -> int:
        """How many calls it takes if nothing goes wrong, bulk calls for tags apart."""
        if self.action is Action.LINK or not self.writes:
            return 0
        return (self.action is not Action.REMAP) + self.read_first + self.read_backs

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The clients whose outcome this change decides: the primary, and the members that may have a contact."""
        primary = self.desired.phorest_id
        return tuple(m.phorest_id for m in self.desired.household.members if m.live or m.phorest_id == primary)

    @property
    def mapped_ids(self) -> tuple[str, ...]:
        """The clients that are on the contact: those whose outcome it is, and records merged into one of them."""
        left = {former.person.phorest_id for former in self.desired.household.former}
        merged = (m.phorest_id for m in self.desired.household.members if m.client.merged_to is not None)
        return tuple(dict.fromkeys((*self.item_ids, *(m for m in merged if m not in left))))


@dataclass(frozen=True, kw_only=True)
class Review:
    """A contact that a person has to look at: why, and what GHL's side of it is."""

    desired: DesiredContact
    ghl_id: str | None
    cause: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A field that a person changed in GHL and that Phorest did not change since: left alone, and shown (S16)."""

    phorest_id: str
    ghl_id: str
    field: str


@dataclass(frozen=True, kw_only=True)
class TagAstray:
    """A tag in our namespaces that people changed: one of ours that they `removed`, or one that they put there (S16)."""

    phorest_id: str
    ghl_id: str
    tag: str
    removed: bool


@dataclass(frozen=True)
class Plan:
    """The changes of one entity, and the outcomes of all records that have none.

    `to_guard` are present contacts that get the guard tag before anything else is written to them (safety S1). `step` is
    what the clients' flags do to the causes on record, written down before the first change is carried out; `decisions` are
    people's that the plan was made with. `first_write`: nothing was ever written to the location, so what it makes of the
    first write is read back (S18). `unread` are facets that are on and whose source was never read completely: nothing of
    them is compared. `looked_at`: the only clients that were; None for all there are. `mornings`: the clients of whom
    something waits for the morning, and until when (S5). `astray` are tags that people changed, which no run touches.
    """

    changes: tuple[PlannedChange, ...]
    settled: Mapping[str, Outcome]
    reviews: tuple[Review, ...] = ()
    edited: tuple[Edited, ...] = ()
    total: int = 0
    to_guard: tuple[str, ...] = ()
    step: Step | None = None
    decisions: Decisions = field(default_factory=Decisions)
    first_write: bool = False
    unread: frozenset[Facet] = frozenset()
    looked_at: frozenset[str] | None = None
    mornings: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    astray: tuple[TagAstray, ...] = ()

    @property
    def requests(self) -> int:
        """Calls that applying it takes, retries and read-backs after odd answers apart."""
        return sum(change.requests for change in self.changes) + self.bulk_calls + self.first_write

    @property
    def bulk_calls(self) -> int:
        """Calls for tags, the guard tag among them: one for every 500 contacts of a tag (safety S22)."""
        tags = Counter((diff.name, diff.after) for change in self.changes for diff in change.tag_diffs)
        return sum(-(-count // BULK_LIMIT) for count in (*tags.values(), len(self.to_guard)))

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        return {action.value: sum(change.action is action for change in self.changes) for action in Action}

    def with_settled(self, more: Mapping[str, Outcome]) -> "Plan":
        """The same plan, with the outcomes of items that no projection reads."""
        return replace(self, settled={**self.settled, **more}, total=self.total + len(more))

    def limited(self, most: int) -> "Plan":
        """The same plan with at most so many changes, what closes channels first; the others wait for a later run.

        The order is that of applying: what is there before what is new, for an update may free an address (design §7).
        Raises ValueError for less than one.
        """
        if most < 1:
            raise ValueError("A run that is limited makes at least one change.")
        ordered = sorted(self.changes, key=lambda change: (change.action is Action.CREATE, not change.touches_consent))
        kept, left = tuple(ordered[:most]), ordered[most:]
        written = {change.ghl_id for change in kept}
        waiting: dict[str, Outcome] = {item: Deferred(BEYOND_LIMIT) for change in left for item in change.item_ids}
        return replace(
            self,
            changes=kept,
            settled={**self.settled, **waiting},
            to_guard=tuple(ghl_id for ghl_id in self.to_guard if ghl_id in written),
        )

    def about(self, phorest_ids: Collection[str]) -> "Plan":
        """The same plan with the changes, or the outcomes, that these clients have part in.

        Of others only what makes room for them: an update by which a contact gives up an address that they need.
        """
        wanted = frozenset(phorest_ids)
        theirs = {change.phorest_id: change for change in self.changes if not wanted.isdisjoint(change.item_ids)}
        needed = {address for change in theirs.values() for address in change.desired.addresses}
        kept = tuple(c for c in self.changes if theirs.get(c.phorest_id) is c or not needed.isdisjoint(c.gives_up))
        settled = {item: outcome for item, outcome in self.settled.items() if item in wanted}
        written = {change.ghl_id for change in kept}
        return replace(
            self,
            changes=kept,
            settled=settled,
            total=len(settled) + sum(len(change.item_ids) for change in kept),
            to_guard=tuple(ghl_id for ghl_id in self.to_guard if ghl_id in written),
        )

    def consent_changes(self) -> dict[str, int]:
        """Channels that the plan closes, by what it does to their contact, and those that it opens."""
        found = Counter[str]()
        for change in self.changes:
            closed = sum(diff.facet is Facet.CONSENT and diff.after == BLOCKED for diff in change.diffs)
            found[f"closed_on_{change.action.value}"] += closed
            found["opened"] += len(change.opens)
        return {name: found[name] for name in _CONSENT_COUNTS}


_CONSENT_COUNTS = (
    "closed_on_create",
    "closed_on_update",
    "closed_on_adopt",
    "closed_on_retire",
    "opened",
)
