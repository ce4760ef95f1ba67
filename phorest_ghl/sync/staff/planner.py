"""Which contacts of the staff are missing, differ, or are another's: a pure function of the staff and of what is on record.

Belongs here: the decisions. Does not: reading rows (`humans`, `road`), carrying them out (`writer`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.fields import EMAIL, IDENTITY, PHONE, Facet, Rule
from phorest_ghl.sync import consent, normalise
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.differences import consent_held, field_hash
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.outcomes import Deferred, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import ABSENT, BLOCKED, GONE, NO_CONTACT_POINT, NOT_AGAIN, OPEN, PRESENT, Edited, FieldDiff
from phorest_ghl.sync.staff.known import Known
from phorest_ghl.sync.staff.members import WORKING_TAGS, Member
from phorest_ghl.sync.staff.plan import NO_CONTACT, StaffAction, StaffChange, StaffFinding, StaffPlan

SEVERAL = "several contacts in GHL are this member of the staff by name and address; merge them in GHL"
TAKEN = "a contact of another name holds an address of this member of the staff; decide in GHL whose it is"
TWO_OF_ONE = "one member of the staff has two contacts of ours; merge them in GHL"
ANOTHERS = "its contact is another member's by now; correct the two in Phorest, or make it a contact in GHL"
ELSEWHERE = "another contact holds an address of this member of the staff, who has one already; merge the two in GHL"
CLIENT_NOW = "made for the staff with all channels closed, and a client's contact by now; open it in GHL if they agreed"
KINDS = (SEVERAL, TAKEN, TWO_OF_ONE, ANOTHERS, ELSEWHERE, CLIENT_NOW, GONE)
"""Kinds of findings."""
_FIELDS = tuple(spec for spec in IDENTITY if spec.name in ("first_name", "last_name", EMAIL.name, PHONE.name))
_CARRIES = "the contact carries this member's tag"
_NOTHING: Mapping[str, str] = {}


@dataclass
class _Draft:
    changes: list[StaffChange] = field(default_factory=list[StaffChange])
    settled: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    findings: list[StaffFinding] = field(default_factory=list[StaffFinding])
    edited: list[Edited] = field(default_factory=list[Edited])


def plan_staff(members: Iterable[Member], known: Known, keyring: Keyring) -> StaffPlan:
    """One change or one outcome for every member, and so for every row of the staff."""
    return _Planner(known, keyring).plan(members)


class _Planner:
    def __init__(self, known: Known, keyring: Keyring) -> None:
        self._known = known
        self._keyring = keyring
        self._draft = _Draft()
        self._taken: set[str] = set()

    def plan(self, members: Iterable[Member]) -> StaffPlan:
        for member in members:
            self._member(member)
        draft = self._draft
        ordered = sorted(draft.changes, key=lambda change: change.action is StaffAction.CREATE)
        return StaffPlan(
            tuple(ordered), draft.settled, tuple(draft.findings), tuple(draft.edited), quiet=self._known.quiet
        )

    def _member(self, member: Member) -> None:
        mapped = {row.ghl_id for item in member.item_ids if (row := self._known.mappings.get(item)) is not None}
        if len(mapped) > 1:
            self._found(TWO_OF_ONE, member, min(mapped), contacts=sorted(mapped))
            self._settle(member, Rejected(TWO_OF_ONE))
        elif mapped:
            self._mapped(member, mapped.pop())
        else:
            outcome = self._unmapped(member)
            if outcome is not None:
                self._without(member, outcome)

    # --- who has a contact

    def _mapped(self, member: Member, ghl_id: str) -> None:
        primary = self._known.mapped.get(ghl_id)
        if primary not in member.item_ids:
            self._found(ANOTHERS, member, ghl_id, staff=primary)
            self._settle(member, Rejected(ANOTHERS))
            return
        held = self._known.mirror.get(ghl_id)
        if held is not None and held.gone_at is not None:
            self._gone(member, ghl_id)
            return
        mapping = self._known.mappings[primary]
        diffs = [*self._values(member, mapping, held), *self._tags(member, mapping, held)]
        refused = self._known.refused.get(member.human.key) == member.source_hash(self._keyring)
        left = [diff for diff in diffs if diff.facet is not Facet.IDENTITY] if refused else diffs
        if left:
            reason = ", ".join(sorted({diff.rule.value for diff in left}))
            self._change(StaffAction.UPDATE, member, ghl_id, left, reason)
        else:
            self._settle(member, Rejected(NOT_AGAIN) if diffs else Unchanged())

    def _values(self, member: Member, mapping: MappingRow, held: MirrorContact | None) -> list[FieldDiff]:
        """Name, addresses and closed channels, on contacts that were made for the staff and that no client has."""
        if member.left_out is not None or mapping.adopted:
            return []
        if mapping.ghl_id in self._known.of_clients:
            if any(map(consent.is_for_staff, (held.dnd_settings or {}).values() if held is not None else ())):
                self._found(CLIENT_NOW, member, mapping.ghl_id)
            return []
        acked = mapping.acked.get(Facet.IDENTITY.value, _NOTHING)
        diffs: list[FieldDiff] = []
        for spec in _FIELDS:
            after = member.identity.get(spec.name)
            before = getattr(held, spec.name) if held is not None else None
            # A search may show names in lower case alone (facts/ghl-api §5.3).
            searched = held is None or held.seen_by == "search"
            if after is None or before == after or (searched and (before or "").casefold() == after.casefold()):
                continue
            if acked.get(spec.name) == field_hash(self._keyring, spec.name, after):
                if held is not None:  # a person edited it, and Phorest has not changed since (S16)
                    self._draft.edited.append(
                        Edited(phorest_id=member.human.key, ghl_id=mapping.ghl_id, field=spec.name)
                    )
                continue
            others = [c.ghl_id for c in self._known.by_address.get(after, ()) if c.ghl_id != mapping.ghl_id]
            if spec.name in (EMAIL.name, PHONE.name) and others:
                self._found(ELSEWHERE, member, mapping.ghl_id, field=spec.name, contacts=sorted(others))
                continue
            diffs.append(FieldDiff(spec.name, Facet.IDENTITY, before, after, spec.rule))
        shown = consent_held(held)
        closing = () if shown is None else consent.to_tighten(consent.closed(), shown)
        return [*diffs, *(FieldDiff(c.value, Facet.CONSENT, OPEN, BLOCKED, Rule.STRICTEST) for c in closing)]

    def _tags(self, member: Member, mapping: MappingRow, held: MirrorContact | None) -> list[FieldDiff]:
        """Tags that we never added, and of who left those that we did. What a person took off stays off (S16)."""
        ours = mapping.acked.get(Facet.TAGS.value, _NOTHING).keys()
        there = held.tags if held is not None else frozenset(ours)
        if member.left_out is not None:
            return [_tag(tag, ABSENT) for tag in sorted(WORKING_TAGS & ours & there)]
        return [_tag(tag, PRESENT) for tag in sorted(member.tags - there - ours)]

    def _gone(self, member: Member, ghl_id: str) -> None:
        """Merged there into another contact that carries our tag now, or deleted: then nobody makes it again (S9)."""
        carrying = self._carrying(member)
        if len(carrying) == 1 and member.left_out is None:
            self._change(StaffAction.REMAP, member, carrying[0].ghl_id, [], _CARRIES)
            return
        if member.left_out is None:
            self._found(GONE, member, ghl_id)
        self._settle(member, Skipped(GONE))

    # --- who has none

    def _unmapped(self, member: Member) -> Outcome | None:
        """Why a member gets no contact now; None where a change was planned."""
        if member.left_out is not None:
            return Skipped(member.left_out)
        carrying = self._carrying(member)
        if len(carrying) == 1:
            self._change(StaffAction.REMAP, member, carrying[0].ghl_id, [], _CARRIES)
            return None
        if carrying:
            return self._asked(SEVERAL, member, [contact.ghl_id for contact in carrying])
        if not member.addresses and not self._known.without_contact_point:
            return Skipped(NO_CONTACT_POINT)
        clients = self._known.clients_like(member)
        ours = self._known.contacts_of(clients)
        if not ours and any(person.live for person in clients):
            return Deferred(NO_CONTACT)
        return self._claimed(member, ours)

    def _claimed(self, member: Member, ours: Sequence[str]) -> Outcome | None:
        """The contact that the same person has already, as a client (`ours`) or by somebody else's hand; else a new one."""
        present = self._known.holding(member)
        same = ours or [key for key, held in present.items() if self._known.is_free(key) and _named(member, held)]
        if len(same) > 1:
            return self._asked(SEVERAL, member, same)
        if same:
            return self._adopt(member, same[0], client=bool(ours))
        if present:
            return self._asked(TAKEN, member, list(present))
        if self._known.refused.get(member.human.key) == member.source_hash(self._keyring):
            return Rejected(NOT_AGAIN)
        self._change(StaffAction.CREATE, member, None, _created(member), "no contact yet")
        return None

    def _adopt(self, member: Member, ghl_id: str, *, client: bool) -> Outcome | None:
        """Tag the contact that the same person has. Another member's it cannot be."""
        if ghl_id in self._known.mapped or ghl_id in self._taken:
            return self._asked(ANOTHERS, member, [ghl_id])
        if self._known.unsettled(member):
            return Deferred(NO_CONTACT)  # first what an earlier run may have made is found; the next run goes on
        held = self._known.mirror.get(ghl_id)
        reason = (
            "the same person is a client" if client else "a contact of the same name holds an address of the member"
        )
        missing = member.tags - (held.tags if held is not None else frozenset())
        self._change(
            StaffAction.ADOPT, member, ghl_id, [_tag(t, PRESENT) for t in sorted(missing)], reason, client=client
        )
        return None

    def _without(self, member: Member, outcome: Outcome) -> None:
        """No contact is to be made; one that may have been made is looked for all the same."""
        if any(item in self._known.intents for item in member.item_ids):
            self._change(StaffAction.LOOK_UP, member, None, [], str(outcome.reason), otherwise=outcome)
        else:
            self._settle(member, outcome)

    def _asked(self, kind: str, member: Member, contacts: Sequence[str]) -> Outcome:
        self._found(kind, member, min(contacts), contacts=sorted(contacts))
        return Rejected(kind)

    # --- bookkeeping

    def _carrying(self, member: Member) -> list[MirrorContact]:
        return [contact for contact in self._known.carrying(member) if contact.ghl_id not in self._taken]

    def _found(self, kind: str, member: Member, ghl_id: str | None, **detail: object) -> None:
        self._draft.findings.append(StaffFinding(kind, member.human.key, ghl_id, detail))

    def _settle(self, member: Member, outcome: Outcome) -> None:
        self._draft.settled.update(dict.fromkeys(member.item_ids, outcome))

    def _change(
        self,
        action: StaffAction,
        member: Member,
        ghl_id: str | None,
        diffs: Iterable[FieldDiff],
        reason: str,
        *,
        client: bool = False,
        otherwise: Outcome | None = None,
    ) -> None:
        if ghl_id is not None:
            self._taken.add(ghl_id)
        self._draft.changes.append(
            StaffChange(
                action=action,
                member=member,
                ghl_id=ghl_id,
                diffs=tuple(diffs),
                reason=reason,
                unsettled=self._known.unsettled(member),
                client=client,
                otherwise=otherwise,
            )
        )


def _created(member: Member) -> list[FieldDiff]:
    """All that a create carries."""
    values = [
        FieldDiff(spec.name, Facet.IDENTITY, None, member.identity[spec.name], spec.rule)
        for spec in _FIELDS
        if spec.name in member.identity
    ]
    channels = [FieldDiff(c.value, Facet.CONSENT, None, BLOCKED, Rule.STRICTEST) for c in Channel]
    return [*values, *channels, *(_tag(tag, PRESENT) for tag in sorted(member.tags))]


def _named(member: Member, contact: MirrorContact) -> bool:
    return normalise.folded_name(contact.first_name, contact.last_name) == member.name


def _tag(name: str, after: str) -> FieldDiff:
    return FieldDiff(name, Facet.TAGS, ABSENT if after == PRESENT else PRESENT, after, Rule.ADDITIVE)
