"""What would be done, field by field, and why, before anything is written. Read-only by construction.

Belongs here: comparing desired contacts with the mirror and the mapping. Does not: reading GHL (`mirror`), writing it
(`apply`). A record without a change has no row in the plan, only its outcome.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.fields import CUSTOM, EMAIL, IDENTITY, PHONE, Facet, Rule
from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync import consent
from phorest_ghl.sync.identity import why_not_live
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.outcomes import Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.projection import DesiredContact

NO_CONTACT_POINT = "no contact point"
ADDRESS_TAKEN = (
    "a contact that we did not make holds an address of this client; decide in GHL whether it is the same person"
)
GONE = "contact gone from GHL"
NOT_AGAIN = "GHL refused this content before, and it has not changed"


class Action(StrEnum):
    """What a planned change does in GHL."""

    CREATE = "create"
    UPDATE = "update"
    REMAP = "remap"
    """Take up a contact that carries this client's Phorest id: our mapping was lost, the contact was not."""
    LINK = "link"
    """Map further members of a household to its contact; nothing is written in GHL."""


@dataclass(frozen=True)
class FieldDiff:
    """One field: what GHL holds, what it should hold, and the rule that says so. Values are personal."""

    name: str
    facet: Facet
    before: str | None
    after: str
    rule: Rule


@dataclass(frozen=True)
class PlannedChange:
    """One contact's change. `read_first`: what decides whether or how it may be written is read by id before."""

    action: Action
    desired: DesiredContact
    ghl_id: str | None
    diffs: tuple[FieldDiff, ...]
    reason: str
    read_first: bool = False

    @property
    def touches_consent(self) -> bool:
        """Whether consent has to travel with it: it closes a channel, or brings an address (S6)."""
        return any(diff.facet is Facet.CONSENT or diff.name in (EMAIL.name, PHONE.name) for diff in self.diffs)

    @property
    def requests(self) -> int:
        """How many calls it takes if nothing goes wrong."""
        return 0 if self.action is Action.LINK else 2 if self.read_first else 1

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The clients whose outcome this change decides: the primary, and the members that may have a contact."""
        primary = self.desired.phorest_id
        return tuple(m.phorest_id for m in self.desired.household.members if m.live or m.phorest_id == primary)


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


@dataclass(frozen=True)
class Plan:
    """The changes of one entity, and the outcomes of all records that have none."""

    changes: tuple[PlannedChange, ...]
    settled: Mapping[str, Outcome]
    reviews: tuple[Review, ...] = ()
    edited: tuple[Edited, ...] = ()
    total: int = 0

    @property
    def requests(self) -> int:
        """Calls that applying it takes, retries and read-backs after odd answers apart."""
        return sum(change.requests for change in self.changes)

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        return {action.value: sum(change.action is action for change in self.changes) for action in Action}

    def with_settled(self, more: Mapping[str, Outcome]) -> "Plan":
        """The same plan, with the outcomes of items that no projection reads."""
        return replace(self, settled={**self.settled, **more}, total=self.total + len(more))

    def consent_changes(self) -> dict[str, int]:
        """Channels that the plan closes, on new contacts and on present ones. It never opens any."""
        closing = [
            (c.action, d) for c in self.changes for d in c.diffs if d.facet is Facet.CONSENT and d.after == "blocked"
        ]
        return {
            "closed_on_create": sum(action is Action.CREATE for action, _ in closing),
            "closed_on_update": sum(action is Action.UPDATE for action, _ in closing),
            "opened": 0,
        }


@dataclass
class _Draft:
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])
    settled: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    reviews: list[Review] = field(default_factory=list[Review])
    edited: list[Edited] = field(default_factory=list[Edited])


class Planner:
    """Compares desired contacts with what GHL holds. Pure: all it needs is handed over.

    `refused` holds, by Phorest id, the source hash of content that GHL has refused and that waits for a change.
    `duplicates` is on where the location allows them: then the contact of another client of ours stands in nobody's way.
    While the location is `quiet`, every update reads first: nothing is written to a contact without the guard tag (S1).
    """

    def __init__(
        self,
        *,
        mirror: Mapping[str, MirrorContact],
        mappings: Mapping[str, MappingRow],
        field_ids: Mapping[str, str],
        refused: Mapping[str, str],
        keyring: Keyring,
        duplicates: bool = False,
        quiet: bool = False,
    ) -> None:
        self._mirror = mirror
        self._mappings = mappings
        self._field_ids = field_ids
        self._refused = refused
        self._keyring = keyring
        self._by_address = _by_address(mirror.values())
        self._primary_of = {row.ghl_id: row.phorest_id for row in mappings.values() if row.role == "primary"}
        self._duplicates = duplicates
        self._quiet = quiet
        self._given_up: set[tuple[str, str]] = set()

    def plan(self, desired: Iterable[DesiredContact]) -> Plan:
        """The plan for these contacts; every member of every household is either in a change or settled."""
        draft = _Draft()
        total = 0
        unknown: list[DesiredContact] = []
        for contact in desired:
            total += len(contact.member_ids)
            mapping = self._mappings.get(contact.phorest_id)
            if contact.household.anchor is not None and mapping is not None:
                self._known(draft, contact, mapping)
            else:
                unknown.append(contact)
        self._given_up = _given_up(draft.changes)
        for contact in unknown:
            self._unknown(draft, contact)
        return Plan(tuple(draft.changes), draft.settled, tuple(draft.reviews), tuple(draft.edited), total)

    def _unknown(self, draft: _Draft, desired: DesiredContact) -> None:
        if not desired.household.live:
            self._settle(draft, desired)
        elif not desired.addresses:
            self._settle(draft, desired, Skipped(NO_CONTACT_POINT))
        elif self._was_refused(desired):
            self._settle(draft, desired, Rejected(NOT_AGAIN))
        else:
            present = self._holding(desired)
            if not present:
                diffs = self._create_diffs(desired)
                self._add(draft, PlannedChange(Action.CREATE, desired, None, diffs, "no contact yet"))
            else:
                self._present(draft, desired, present)

    def _present(self, draft: _Draft, desired: DesiredContact, present: Sequence[MirrorContact]) -> None:
        """An address of the household is on a contact already: ours if it says so, else a person decides."""
        field_id = self._field_ids.get(CUSTOM[0].name)
        ours = [
            c
            for c in present
            if field_id and c.custom_fields.get(field_id) in desired.member_ids and c.ghl_id not in self._primary_of
        ]
        if len(ours) == 1:
            reason = "the contact carries this client's Phorest id"
            self._add(draft, PlannedChange(Action.REMAP, desired, ours[0].ghl_id, (), reason))
            return
        draft.reviews.append(Review(desired=desired, ghl_id=present[0].ghl_id, cause="adoption", reason=ADDRESS_TAKEN))
        self._settle(draft, desired, Rejected(ADDRESS_TAKEN))

    def _known(self, draft: _Draft, desired: DesiredContact, mapping: MappingRow) -> None:
        held = self._mirror.get(mapping.ghl_id)
        if held is not None and held.gone_at is not None:
            reason = "the contact is gone from GHL; it is made again only by command, for somebody may have deleted it"
            draft.reviews.append(Review(desired=desired, ghl_id=mapping.ghl_id, cause="gone", reason=reason))
            self._settle(draft, desired, Skipped(GONE))
            return
        diffs = wanted = self._update_diffs(draft, desired, mapping, held)
        if self._was_refused(desired):  # closing a channel is never held up by a refused name
            diffs = tuple(diff for diff in wanted if diff.facet is Facet.CONSENT)
        if wanted and not diffs:
            self._settle(draft, desired, Rejected(NOT_AGAIN))
        elif diffs:
            reason = ", ".join(sorted({diff.rule.value for diff in diffs}))
            change = PlannedChange(Action.UPDATE, desired, mapping.ghl_id, diffs, reason)
            self._add(
                draft, replace(change, read_first=self._quiet or change.touches_consent or _consent_held(held) is None)
            )
        elif not self._linked(desired, mapping.ghl_id):
            self._add(draft, PlannedChange(Action.LINK, desired, mapping.ghl_id, (), "new in the household"))
        else:
            self._settle(draft, desired, Unchanged())

    def _update_diffs(
        self, draft: _Draft, desired: DesiredContact, mapping: MappingRow, held: MirrorContact | None
    ) -> tuple[FieldDiff, ...]:
        """Fields that differ from the mirror and that a rule lets us write (design §2 "plan", safety S16)."""
        acked = mapping.acked.get(Facet.IDENTITY.value, {})
        diffs: list[FieldDiff] = []
        for spec in IDENTITY:
            after = desired.identity.get(spec.name)
            before = _held(held, spec.name)
            if after is None or _same(before, after, exactly=held is not None and held.seen_by != "search"):
                continue
            if held is not None and acked.get(spec.name) == field_hash(self._keyring, spec.name, after):
                draft.edited.append(Edited(phorest_id=desired.phorest_id, ghl_id=mapping.ghl_id, field=spec.name))
                continue
            diffs.append(FieldDiff(spec.name, spec.facet, before, after, spec.rule))
        for spec in CUSTOM:
            field_id = self._field_ids.get(spec.name)
            present = held.custom_fields.get(field_id) if held is not None and field_id else None
            if present != desired.custom[spec.name]:
                before = None if present is None else str(present)
                diffs.append(FieldDiff(spec.name, spec.facet, before, desired.custom[spec.name], spec.rule))
        diffs += [
            FieldDiff(channel.value, Facet.CONSENT, "open or unknown", "blocked", Rule.STRICTEST)
            for channel in consent.to_tighten(desired.blocked, _consent_held(held))
        ]
        return tuple(diffs)

    def _create_diffs(self, desired: DesiredContact) -> tuple[FieldDiff, ...]:
        identity = [
            FieldDiff(s.name, s.facet, None, desired.identity[s.name], s.rule)
            for s in IDENTITY
            if s.name in desired.identity
        ]
        custom = [FieldDiff(spec.name, spec.facet, None, desired.custom[spec.name], spec.rule) for spec in CUSTOM]
        channels = [
            FieldDiff(c.value, Facet.CONSENT, None, "blocked" if c in desired.blocked else "open", Rule.STRICTEST)
            for c in consent.Channel
        ]
        return (*identity, *custom, *channels)

    def _holding(self, desired: DesiredContact) -> list[MirrorContact]:
        """Contacts that hold an address of it, but for those of ours that this very plan makes give it up."""
        found = {
            contact.ghl_id: contact
            for address in desired.addresses
            for contact in self._by_address.get(address, ())
            if (contact.ghl_id, address) not in self._given_up
            and not (self._duplicates and contact.ghl_id in self._primary_of)
        }
        return list(found.values())

    def _linked(self, desired: DesiredContact, ghl_id: str) -> bool:
        return all(
            (mapping := self._mappings.get(member.phorest_id)) is not None and mapping.ghl_id == ghl_id
            for member in desired.household.members
            if member.live or member.phorest_id == desired.phorest_id
        )

    def _was_refused(self, desired: DesiredContact) -> bool:
        return self._refused.get(desired.phorest_id) == desired.source_hash

    def _add(self, draft: _Draft, change: PlannedChange) -> None:
        draft.changes.append(change)
        concerned = set(change.item_ids)
        for member in change.desired.household.members:
            if member.phorest_id not in concerned:
                draft.settled[member.phorest_id] = Skipped(why_not_live(member.client) or NO_CONTACT_POINT)

    def _settle(self, draft: _Draft, desired: DesiredContact, outcome: Outcome | None = None) -> None:
        """The outcome of every member; who gets no contact anyway has that as the reason, but for a mapped primary."""
        for member in desired.household.members:
            reason = why_not_live(member.client)
            speaks = member.phorest_id == desired.phorest_id and desired.household.anchor is not None
            if outcome is None or (reason is not None and not speaks):
                draft.settled[member.phorest_id] = Skipped(reason or NO_CONTACT_POINT)
            else:
                draft.settled[member.phorest_id] = outcome


def field_hash(keyring: Keyring, name: str, value: str) -> str:
    """The keyed hash under which a field's acknowledged value is kept."""
    return keyring.digest("field", name, value)


def _held(held: MirrorContact | None, name: str) -> str | None:
    return getattr(held, name) if held is not None else None


def _consent_held(held: MirrorContact | None) -> Mapping[str, DndSetting] | None:
    """What GHL holds of consent, or None for unknown; what a search showed of it is no ground for a decision (S10)."""
    return None if held is None or held.seen_by == "search" else held.dnd_settings


def _given_up(changes: Iterable[PlannedChange]) -> set[tuple[str, str]]:
    """(contact, address) pairs that updates of this plan replace. An address that is only no longer wanted stays there."""
    return {
        (str(change.ghl_id), diff.before)
        for change in changes
        if change.action is Action.UPDATE
        for diff in change.diffs
        if diff.name in (EMAIL.name, PHONE.name) and diff.before is not None
    }


def _same(before: str | None, after: str, *, exactly: bool) -> bool:
    """Search answers may carry lower-cased names only, so a name seen there compares without case (facts/ghl-api §5.3)."""
    return before == after if exactly else (before or "").casefold() == after.casefold()


def _by_address(contacts: Iterable[MirrorContact]) -> dict[str, list[MirrorContact]]:
    found: dict[str, list[MirrorContact]] = {}
    for contact in contacts:
        if contact.gone_at is None:
            for address in (contact.email, contact.phone):
                if address:
                    found.setdefault(address, []).append(contact)
    return found
