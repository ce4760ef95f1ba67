"""Comparing desired contacts with the mirror and the mapping: what is to change, by which rule. Pure.

Belongs here: the decisions. Does not: reading GHL (`mirror`), writing it (`apply`), the shape of a plan (`plan`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import VALUE_FACETS
from phorest_ghl.sync import normalise
from phorest_ghl.sync.decisions import Decisions, Kind, side_hash
from phorest_ghl.sync.differences import Differences, consent_held
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.identity import Former, Household, Person, why_not_live
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.outcomes import Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import (
    ADDRESS_TAKEN,
    GONE,
    NO_CONTACT_POINT,
    NOT_AGAIN,
    Action,
    Edited,
    Plan,
    PlannedChange,
    Review,
    TagAstray,
)
from phorest_ghl.sync.projection import DesiredContact, Projector

TWO_OF_THEM = "several contacts in GHL hold addresses of this client under its name; merge them in GHL"
MIXED = "a contact of this client's name also holds an address of another client; decide in GHL whose it is"
REFUSED = "a person decided that the contact in GHL is somebody else"
_GONE_REASON = "the contact is gone from GHL; it is made again only by command, for somebody may have deleted it"


@dataclass
class _Draft:
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])
    settled: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    reviews: list[Review] = field(default_factory=list[Review])
    edited: list[Edited] = field(default_factory=list[Edited])
    astray: list[TagAstray] = field(default_factory=list[TagAstray])


class Planner:
    """Makes plans. All it needs is handed over; `projector` is asked again where another member should speak."""

    def __init__(
        self,
        held: Held,
        projector: Projector,
        keyring: Keyring,
        *,
        decided: Decisions = Decisions(),  # noqa: B008 - frozen
    ) -> None:
        self._held = held
        self._projector = projector
        self._keyring = keyring
        self._decided = decided
        self._differences = Differences(held, projector, keyring, decided)
        self._given_up: set[tuple[str, str]] = set()
        self._owners: Mapping[str, Collection[str]] = {}

    def plan(self, households: Iterable[Household]) -> Plan:
        """The plan for these households; every member of each is either in a change or settled."""
        households = list(households)
        self._owners = _owners(households)
        draft = _Draft()
        total = 0
        unknown: list[Household] = []
        for household in households:
            total += len(household.members)
            mapping = self._held.primary(household.anchor or "")
            if mapping is not None:
                desired = self._projector.contact(household)
                self._known(draft, desired, mapping)
                for former in household.former:
                    self._former(draft, former, mapping.ghl_id)
            else:
                unknown.append(household)
        self._given_up = _given_up(draft.changes)
        for household in unknown:
            self._unknown(draft, household)
        return Plan(
            tuple(draft.changes),
            draft.settled,
            tuple(draft.reviews),
            tuple(draft.edited),
            total,
            astray=tuple(draft.astray),
            to_guard=self._to_guard(draft.changes),
            first_write=not self._held.mappings
            and any(change.action in (Action.CREATE, Action.ADOPT) for change in draft.changes),
        )

    # --- households that have no contact of ours

    def _unknown(self, draft: _Draft, household: Household, *, replaces: str | None = None) -> None:
        if not household.live:
            self._settle(draft, household)
            return
        if not household.wants_a_contact and not self._projector.rules.without_contact_point:
            self._settle(draft, household, Skipped(NO_CONTACT_POINT))
            return
        desired = self._projector.contact(household)
        if self._was_refused(desired):
            self._settle(draft, household, Rejected(NOT_AGAIN))
        elif self._carried(draft, desired):
            return
        elif present := self._holding(desired):
            self._present(draft, desired, present)
        else:
            change = PlannedChange(Action.CREATE, desired, None, self._differences.created(desired), "no contact yet")
            self._add(draft, replace(change, replaces=replaces))

    def _carried(self, draft: _Draft, desired: DesiredContact) -> bool:
        """Take up the one contact that carries a member's Phorest id and is nobody's: ours, whatever became of its mapping."""
        ours = [
            contact
            for member in desired.member_ids
            for contact in self._held.carrying.get(member, ())
            if self._held.is_free(contact)
        ]
        if len(ours) != 1:
            return False
        reason = "the contact carries this client's Phorest id"
        self._add(draft, PlannedChange(Action.REMAP, desired, ours[0].ghl_id, (), reason, read_first=True))
        return True

    def _present(self, draft: _Draft, desired: DesiredContact, present: Sequence[MirrorContact]) -> None:
        """An address of the household is on a contact already: the same person by name, or a person decides (S14)."""
        if self._refused_to_adopt(desired, present):
            self._settle(draft, desired.household, Skipped(REFUSED))
            return
        free = [contact for contact in present if self._held.is_free(contact)]
        decision = self._decided.of(Kind.ADOPT, desired.member_ids)
        chosen = [c for c in free if decision is not None and decision.ghl_id in (None, c.ghl_id)]
        if decision is not None and len(chosen) == 1:
            self._adopt(draft, desired, chosen[0], decided=True)
            return
        named = [(c, m) for c in free if (m := _named_like(desired.household, c)) is not None]
        mixed = len(named) == 1 and self._is_anothers_too(desired.household, named[0][0])
        if len(named) == 1 and not mixed:
            contact, member = named[0]
            if member is not desired.household.primary:
                desired = self._projector.contact(desired.household.spoken_for_by(member))
            self._adopt(draft, desired, contact)
            return
        reason = MIXED if mixed else TWO_OF_THEM if named else ADDRESS_TAKEN
        draft.reviews.append(Review(desired=desired, ghl_id=present[0].ghl_id, cause="adoption", reason=reason))
        self._settle(draft, desired.household, Rejected(reason))

    def _is_anothers_too(self, household: Household, contact: MirrorContact) -> bool:
        """Whether the contact also holds an address of a client outside the household, so that it is not clear whose it is."""
        ours = {person.phorest_id for person in (*household.members, *household.kin)}
        return any(
            set(self._owners.get(address, ())) - ours
            for address in (contact.email, contact.phone)
            if address is not None
        )

    def _refused_to_adopt(self, desired: DesiredContact, present: Sequence[MirrorContact]) -> bool:
        """Whether a person has said that they are two people, while both were what they are now."""
        decision = self._decided.of(Kind.REFUSE_ADOPTION, desired.member_ids)
        if decision is None:
            return False
        client = desired.household.primary.client
        mine = side_hash(
            self._keyring,
            first_name=client.first_name,
            last_name=client.last_name,
            email=client.email,
            phone=client.mobile,
        )
        return any(decision.still_about(client=mine, contact=self._contact_hash(contact)) for contact in present)

    def _contact_hash(self, contact: MirrorContact) -> str:
        return side_hash(
            self._keyring,
            first_name=contact.first_name,
            last_name=contact.last_name,
            email=contact.email,
            phone=contact.phone,
        )

    def _adopt(self, draft: _Draft, desired: DesiredContact, contact: MirrorContact, *, decided: bool = False) -> None:
        desired, diffs = self._differences.adopted(desired, contact)
        reason = "a contact of the same name holds an address of this client"
        if decided:
            reason = "a person decided that the contact is this client's"
        change = PlannedChange(Action.ADOPT, desired, contact.ghl_id, diffs, reason, read_first=True)
        self._add(draft, replace(change, decided=decided))

    # --- households that have a contact of ours

    def _known(self, draft: _Draft, desired: DesiredContact, mapping: MappingRow) -> None:
        held = self._held.mirror.get(mapping.ghl_id)
        if held is not None and held.gone_at is not None:
            self._gone(draft, desired, mapping)
            return
        desired, found = self._differences.known(desired, mapping, held)
        draft.edited.extend(found.edited)
        draft.astray.extend(found.astray)
        draft.reviews.extend(found.reviews)
        diffs = wanted = found.diffs
        if self._was_refused(desired):  # closing a channel is never held up by a refused name
            diffs = tuple(diff for diff in wanted if diff.facet not in VALUE_FACETS)
        if wanted and not diffs:
            self._settle(draft, desired.household, Rejected(NOT_AGAIN))
        elif diffs:
            reason = ", ".join(sorted({diff.rule.value for diff in diffs}))
            change = PlannedChange(Action.UPDATE, desired, mapping.ghl_id, diffs, reason)
            first = self._held.quiet or change.touches_consent or consent_held(held) is None
            self._add(draft, replace(change, read_first=change.writes and first))
        elif not self._linked(desired, mapping):
            self._add(draft, PlannedChange(Action.LINK, desired, mapping.ghl_id, (), "new in the household"))
        else:
            self._settle(draft, desired.household, Unchanged())

    def _gone(self, draft: _Draft, desired: DesiredContact, mapping: MappingRow) -> None:
        """Merged there into another contact, or deleted: then it is made again only by command (S9)."""
        if self._decided.of(Kind.RECREATE, desired.member_ids) is not None:
            self._unknown(draft, desired.household, replaces=mapping.ghl_id)
        elif self._carried(draft, desired):
            return
        else:
            same = [
                contact
                for contact in self._holding(desired)
                if self._held.is_free(contact)
                and _named_like(desired.household, contact) is not None
                and not self._is_anothers_too(desired.household, contact)
            ]
            if len(same) == 1 and desired.household.live:
                self._adopt(draft, desired, same[0])
                return
            draft.reviews.append(Review(desired=desired, ghl_id=mapping.ghl_id, cause="gone", reason=_GONE_REASON))
            self._settle(draft, desired.household, Skipped(GONE))

    def _former(self, draft: _Draft, former: Former, joins: str) -> None:
        """The contact of a client that was merged into another: closed and tagged, and its client joins the other's."""
        desired = self._projector.former(former)
        mapping = self._held.mappings.get(former.person.phorest_id)
        held = self._held.mirror.get(former.ghl_id)
        diffs = self._differences.former(desired, mapping, held)
        if self._was_refused(desired):
            draft.settled[desired.phorest_id] = Rejected(NOT_AGAIN)
            return
        reason = "its client was merged into another one in Phorest"
        change = PlannedChange(Action.RETIRE, desired, former.ghl_id, diffs, reason, read_first=True, joins=joins)
        draft.changes.append(change)

    # --- bookkeeping

    def _holding(self, desired: DesiredContact) -> list[MirrorContact]:
        """Contacts that hold an address of it, but for those of ours that this very plan makes give it up."""
        found = {
            contact.ghl_id: contact
            for address in desired.addresses
            for contact in self._held.by_address.get(address, ())
            if (contact.ghl_id, address) not in self._given_up
            and not (self._held.duplicates and not self._held.is_free(contact))
        }
        return list(found.values())

    def _linked(self, desired: DesiredContact, mapping: MappingRow) -> bool:
        if len(desired.household.members) == 1:
            return mapping.phorest_id == desired.phorest_id
        change = PlannedChange(Action.LINK, desired, mapping.ghl_id, (), "")
        return mapping.phorest_id == desired.phorest_id and all(
            (row := self._held.mappings.get(member)) is not None and row.ghl_id == mapping.ghl_id
            for member in change.mapped_ids
        )

    def _was_refused(self, desired: DesiredContact) -> bool:
        refused = self._held.refused.get(desired.phorest_id)
        return refused is not None and refused == desired.source_hash

    def _to_guard(self, changes: Iterable[PlannedChange]) -> tuple[str, ...]:
        """Present contacts that are about to be written to and are not known to carry the guard tag (S1)."""
        if not self._held.quiet:
            return ()
        wanted = {change.ghl_id: change for change in changes if change.ghl_id is not None and change.diffs}
        return tuple(
            ghl_id
            for ghl_id, change in wanted.items()
            # Where only tags change nothing is read before, so that nobody would see that the guard tag was taken off.
            if not change.writes
            or ghl_id not in self._held.guarded
            or ((held := self._held.mirror.get(ghl_id)) is not None and fields.GUARD_TAG not in held.tags)
        )

    def _add(self, draft: _Draft, change: PlannedChange) -> None:
        draft.changes.append(change)
        concerned = set(change.item_ids)
        for member in _settling(change.desired.household):
            if member.phorest_id not in concerned:
                draft.settled[member.phorest_id] = Skipped(why_not_live(member.client) or NO_CONTACT_POINT)

    def _settle(self, draft: _Draft, household: Household, outcome: Outcome | None = None) -> None:
        """The outcome of every member; who gets no contact anyway has that as the reason, but for a mapped primary."""
        for member in _settling(household):
            reason = why_not_live(member.client)
            speaks = member is household.primary and household.anchor is not None
            if outcome is None or (reason is not None and not speaks):
                draft.settled[member.phorest_id] = Skipped(reason or NO_CONTACT_POINT)
            else:
                draft.settled[member.phorest_id] = outcome


def _owners(households: Iterable[Household]) -> dict[str, set[str]]:
    """Who has which address."""
    found: dict[str, set[str]] = {}
    for household in households:
        for member in household.members:
            for address in (member.email, member.phone):
                if address:
                    found.setdefault(address, set()).add(member.phorest_id)
    return found


def _settling(household: Household) -> list[Person]:
    """The members whose outcome the household decides; one that leaves a contact behind has a change of its own."""
    leaving = {former.person.phorest_id for former in household.former}
    return [member for member in household.members if member.phorest_id not in leaving]


def _named_like(household: Household, contact: MirrorContact) -> Person | None:
    """The living member whose name is the contact's, the primary first (S13, S14). No name is nobody's."""
    name = normalise.folded_name(contact.first_name, contact.last_name)
    alike = (
        member
        for member in household.members
        if member.live and normalise.folded_name(member.client.first_name, member.client.last_name) == name
    )
    return next(alike, None) if name else None


def _given_up(changes: Iterable[PlannedChange]) -> set[tuple[str, str]]:
    """(contact, address) pairs that updates of this plan replace. An address that is only no longer wanted stays there."""
    return {(str(change.ghl_id), address) for change in changes for address in change.gives_up}
