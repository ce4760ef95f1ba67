"""What differs between the contact that a household should have and the one that GHL holds, field by field and by rule. Pure.

Belongs here: comparing. Does not: which contact is compared with (`planner`), what should be there (`projection`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import IDENTITY, Facet, Rule
from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync import consent
from phorest_ghl.sync.decisions import Decisions, Kind
from phorest_ghl.sync.filling import fillable
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.plan import ABSENT, ADDRESS, BLOCKED, OPEN, PRESENT, Edited, FieldDiff, Review, TagAstray
from phorest_ghl.sync.projection import CLEARED, DesiredContact, Projector

_ELSEWHERE = "another contact in GHL holds an address of this client, which has a contact already; merge the two in GHL"
_NUMBERS = (int, float)
_NOTHING: Mapping[str, Mapping[str, str]] = {}
_STATES = frozenset({fields.ARCHIVED_TAG, fields.BANNED_TAG, fields.DELETED_TAG, fields.MERGED_TAG})


@dataclass(frozen=True)
class Compared:
    """The diffs of a contact, what a person has edited there, and what a person has to look at."""

    diffs: tuple[FieldDiff, ...]
    edited: tuple[Edited, ...] = ()
    reviews: tuple[Review, ...] = ()
    astray: tuple[TagAstray, ...] = ()


class Differences:
    """Compares with what is held. `decided` are a person's decisions on what an adopted contact holds."""

    def __init__(self, held: Held, projector: Projector, keyring: Keyring, decided: Decisions) -> None:
        self._held = held
        self._on_record = projector.on_record
        self._said = projector.facts.known | {Facet.TAGS}
        self._on = projector.rules.facets.on
        self._custom_specs = [
            (spec, spec.name, held.field_ids.get(spec.name, "")) for spec in fields.enabled(projector.rules.switches)
        ]
        self._keyring = keyring
        self._decided = decided

    def created(self, desired: DesiredContact) -> tuple[FieldDiff, ...]:
        """All that a create carries."""
        identity = [
            FieldDiff(s.name, s.facet, None, desired.identity[s.name], s.rule)
            for s in IDENTITY
            if s.name in desired.identity
        ]
        sent = desired.sent_custom
        custom = [
            FieldDiff(spec.name, spec.facet, None, desired.custom[spec.name], spec.rule)
            for spec, _, _ in self._custom_specs
            if spec.name in sent
        ]
        channels = [
            FieldDiff(c.value, Facet.CONSENT, None, BLOCKED if c in desired.blocked else OPEN, Rule.STRICTEST)
            for c in consent.Channel
        ]
        once = [FieldDiff(name, Facet.IDENTITY, None, value, Rule.ONCE) for name, value in desired.once.items()]
        return (*identity, *once, *custom, *channels, *(_tag(tag, PRESENT) for tag in sorted(desired.tags)))

    def adopted(self, desired: DesiredContact, contact: MirrorContact) -> tuple[DesiredContact, tuple[FieldDiff, ...]]:
        """What is filled in, closed and tagged on somebody else's contact (S14), and the record closed as it then has to be."""
        names = fillable(partial(getattr, contact)) - self._held.elsewhere(desired.identity, contact.ghl_id).keys()
        filled = [
            FieldDiff(spec.name, spec.facet, None, desired.identity[spec.name], Rule.FILL_IF_EMPTY)
            for spec in IDENTITY
            if spec.name in desired.identity and spec.name in names
        ]
        custom = self._custom(desired, contact)
        desired = self._at_held_addresses(desired, contact)
        # What a search showed of consent decides nothing (S10); what will be closed is told by the read before the write.
        closed = [
            FieldDiff(c.value, Facet.CONSENT, None, BLOCKED, Rule.STRICTEST)
            for c in consent.to_tighten(desired.blocked, contact.dnd_settings)
        ]
        return desired, (*filled, *custom, *closed, *self._tags(desired, contact, {}))

    def known(
        self, desired: DesiredContact, mapping: MappingRow, held: MirrorContact | None
    ) -> tuple[DesiredContact, Compared]:
        """All that differs on a contact of ours, and the record closed by what the addresses ask that the contact holds."""
        found = self._identity(desired, mapping, held)
        desired = self._at_held_addresses(desired, held)
        diffs = (
            *found.diffs,
            *self._custom(desired, held),
            *self._consent(desired, held, may_open=not self._fills_only(desired, mapping)),
            *self._tags(desired, held, mapping.acked),
        )
        return desired, Compared(diffs, found.edited, found.reviews, tuple(self._astray(desired, held, mapping)))

    def former(
        self, desired: DesiredContact, mapping: MappingRow | None, held: MirrorContact | None
    ) -> tuple[FieldDiff, ...]:
        """What closes and tags the contact that a merged-away client leaves; of one that is gone, nothing."""
        if held is not None and held.gone_at is not None:
            return ()
        tags = self._tags(desired, held, mapping.acked if mapping is not None else _NOTHING)
        return (*self._consent(desired, held), *tags)

    def _at_held_addresses(self, desired: DesiredContact, held: MirrorContact | None) -> DesiredContact:
        """Closed as well by what is on record at the addresses that the contact holds, whoever's they are (S6, S13).

        Also at one that this plan replaces: GHL may refuse the new one. When it shows it, the next plan opens.
        """
        if held is None:
            return desired
        at_held = consent.on_record_at(held.email, held.phone, self._on_record)
        if all(causes == desired.blocked.get(channel) for channel, causes in at_held.items()):
            return desired  # as where it holds the client's own
        return replace(desired, blocked=consent.together(desired.blocked, at_held))

    def _identity(self, desired: DesiredContact, mapping: MappingRow, held: MirrorContact | None) -> Compared:
        """Standard fields that differ from the mirror and that a rule lets us write (design §2 "plan", safety S16)."""
        acked = mapping.acked.get(Facet.IDENTITY.value, {})
        fill_only = self._fills_only(desired, mapping)
        empty = fillable(partial(getattr, held), acked) if held is not None and fill_only else frozenset[str]()
        elsewhere = self._held.elsewhere(desired.identity, mapping.ghl_id)
        diffs: list[FieldDiff] = []
        edited: list[Edited] = []
        reviews: list[Review] = []
        for spec in IDENTITY:
            after = desired.identity.get(spec.name)
            before = getattr(held, spec.name) if held is not None else None
            if after is None or _same(before, after, exactly=held is not None and held.seen_by != "search"):
                continue
            if held is not None and acked.get(spec.name) == field_hash(self._keyring, spec.name, after):
                edited.append(Edited(phorest_id=desired.phorest_id, ghl_id=mapping.ghl_id, field=spec.name))
                continue
            if fill_only and spec.name not in empty:
                continue
            if spec.name in elsewhere:
                other = elsewhere[spec.name].ghl_id
                reviews.append(Review(desired=desired, ghl_id=other, cause=ADDRESS, reason=_ELSEWHERE))
                continue
            diffs.append(
                FieldDiff(spec.name, spec.facet, before, after, Rule.FILL_IF_EMPTY if fill_only else spec.rule)
            )
        return Compared(tuple(diffs), tuple(edited), tuple(reviews))

    def _custom(self, desired: DesiredContact, held: MirrorContact | None) -> list[FieldDiff]:
        diffs: list[FieldDiff] = []
        wanted = desired.custom
        there: Mapping[str, Any] = held.custom_fields if held is not None else {}
        for spec, name, field_id in self._custom_specs:
            after = wanted.get(name)
            if after is None:
                continue
            value = there.get(field_id, CLEARED)
            if value == after or (type(value) in _NUMBERS and str(value) == after):
                continue
            before = fields.canonical(spec, value)
            if (before or CLEARED) != after:
                diffs.append(FieldDiff(name, spec.facet, before, after, spec.rule))
        return diffs

    def _fills_only(self, desired: DesiredContact, mapping: MappingRow) -> bool:
        """Whether somebody else made the contact and nobody has reviewed it yet: what it holds stands (S14)."""
        return mapping.adopted and self._decided.of(Kind.IDENTITY, desired.member_ids) is None

    def _consent(
        self, desired: DesiredContact, held: MirrorContact | None, *, may_open: bool = True
    ) -> list[FieldDiff]:
        """Channels to close and to open; on an adopted contact that nobody has reviewed consent only tightens (S14)."""
        known = consent_held(held)
        closing = [
            FieldDiff(channel.value, Facet.CONSENT, "open or unknown", BLOCKED, Rule.STRICTEST)
            for channel in consent.to_tighten(desired.blocked, known)
        ]
        opening = [
            FieldDiff(channel.value, Facet.CONSENT, BLOCKED, OPEN, Rule.REVERSED)
            for channel in consent.to_open(desired.blocked, known)
            if may_open
        ]
        return closing + opening

    def _tags(
        self, desired: DesiredContact, held: MirrorContact | None, acked: Mapping[str, Mapping[str, str]]
    ) -> list[FieldDiff]:
        """Tags to add that we never added, and to remove of those that we added. A person's removal stands (S16)."""
        ours = acked.get(Facet.TAGS.value, {}).keys()
        there = held.tags if held is not None else frozenset(ours)
        removable = ours & _STATES if desired.keeps_tags else ours
        return [
            *(_tag(tag, PRESENT) for tag in sorted(desired.tags - there - ours)),
            *(
                _tag(tag, ABSENT)
                for tag in sorted((removable & there) - desired.tags)
                # Of a facet that is on but was not read, nothing is known: its tags stay, but on who is deleted.
                if self._may_take_off(tag) or fields.DELETED_TAG in desired.tags
            ),
        ]

    def _astray(self, desired: DesiredContact, held: MirrorContact | None, mapping: MappingRow) -> Iterator[TagAstray]:
        """Tags of ours that people took off, and tags of our namespaces that they put on (S16). Of facets that were read."""
        if held is None:
            return
        ours = mapping.acked.get(Facet.TAGS.value, {}).keys()
        removed = (desired.tags & ours) - held.tags
        strange = {tag for tag in held.tags if tag.startswith(fields.TAG_PREFIXES)} - ours - desired.tags
        if desired.keeps_tags:
            strange.clear()
        for tag in sorted(removed | strange):
            if tag != fields.GUARD_TAG and (tag in removed or self._may_take_off(tag)):
                yield TagAstray(phorest_id=desired.phorest_id, ghl_id=mapping.ghl_id, tag=tag, removed=tag in removed)

    def _may_take_off(self, tag: str) -> bool:
        facet = fields.tag_facet(tag)
        return facet in self._said or facet not in self._on


def field_hash(keyring: Keyring, name: str, value: str) -> str:
    """The keyed hash under which a field's acknowledged value is kept."""
    return keyring.digest("field", name, value)


def _tag(name: str, after: str) -> FieldDiff:
    return FieldDiff(name, Facet.TAGS, ABSENT if after == PRESENT else PRESENT, after, Rule.ADDITIVE)


def consent_held(held: MirrorContact | None) -> Mapping[str, DndSetting] | None:
    """What GHL holds of consent, or None for unknown; what a search showed of it is no ground for a decision (S10)."""
    return None if held is None or held.seen_by == "search" else held.dnd_settings


def _same(before: str | None, after: str, *, exactly: bool) -> bool:
    """Search answers may carry lower-cased names only, so a name seen there compares without case (facts/ghl-api §5.3)."""
    return before == after if exactly else (before or "").casefold() == after.casefold()
