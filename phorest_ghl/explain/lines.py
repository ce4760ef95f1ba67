"""The fields of a contact, channels and tags among them: what each should hold, what GHL holds, and what becomes of it. Pure.

Belongs here: putting the planner's answer beside both sides. Does not: deciding (`sync.planner`, `sync.differences`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import GUARD_TAG, IDENTITY, TAG_PREFIXES, Facet, Rule
from phorest_ghl.sync.consent import Channel, is_ours
from phorest_ghl.sync.differences import consent_held, field_hash
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.plan import ABSENT, BLOCKED, OPEN, PRESENT, FieldDiff, PlannedChange
from phorest_ghl.sync.projection import DesiredContact

AS_IT_SHOULD_BE = "as it should be"
EDITED = "changed in GHL by a person, and Phorest did not change it since: left (safety S16)"
KEPT = "Phorest has none, so GHL keeps its own"
TAKEN_OFF = "taken off in GHL: never put on again (safety S16)"
GUARD = "the guard tag: only go-live takes it off (safety S1)"
NOT_READ = "GHL does not show it: never read"
NO_CONTACT = "no contact in GHL"
LEFT = "left as it is"
UNKNOWN = "unknown"
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One field. `desired` and `held` are personal, but for channels and tags; None where there is none.

    `acknowledged`: GHL has once acknowledged the desired value. `causes` are those that close a channel.
    """

    name: str
    facet: Facet
    rule: Rule
    desired: str | None
    held: str | None
    acknowledged: bool
    verdict: str
    causes: Sequence[str] = ()
    sent: tuple[str, datetime] | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Both sides of one contact. `edited` are fields that the planner leaves to a person; `why_left` is the item's outcome."""

    desired: DesiredContact
    held: MirrorContact | None
    mapping: MappingRow | None
    change: PlannedChange | None
    field_ids: Mapping[str, str]
    switches: frozenset[str]
    fills_only: bool = False
    edited: frozenset[str] = frozenset()
    why_left: str | None = None
    sent: Mapping[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])


def lines(of: Compared, keyring: Keyring) -> list[Line]:
    """All fields that are on, channels and tags: standard fields first, then ours, channels, tags."""
    return [*_identity(of, keyring), *_custom(of, keyring), *_channels(of), *_tags(of)]


def _identity(of: Compared, keyring: Keyring) -> Iterator[Line]:
    for spec in IDENTITY:
        desired = of.desired.identity.get(spec.name)
        held = None if of.held is None else getattr(of.held, spec.name)
        rule = Rule.FILL_IF_EMPTY if of.fills_only else spec.rule
        if desired is None and held is None:
            continue
        yield _line(of, keyring, spec.name, spec.facet, rule, desired, held, same=_same(desired, held))


def _custom(of: Compared, keyring: Keyring) -> Iterator[Line]:
    for spec in fields.enabled(of.switches):
        desired = of.desired.custom.get(spec.name)
        there = None if of.held is None else of.held.custom_fields.get(of.field_ids.get(spec.name, ""))
        held = fields.canonical(spec, there)
        if not desired and held is None:
            continue
        same = desired is not None and (held or "") == desired
        yield _line(of, keyring, spec.name, spec.facet, spec.rule, desired, held, same=same)


def _channels(of: Compared) -> Iterator[Line]:
    known = consent_held(of.held)
    for channel in Channel:
        causes = of.desired.blocked.get(channel, ())
        setting = None if known is None else known.get(channel.value)
        held = UNKNOWN if setting is None else BLOCKED if setting.blocked else OPEN
        if setting is not None and setting.blocked:
            held = f"{BLOCKED} by us" if is_ours(setting) else f"{BLOCKED} by somebody else"
        desired = BLOCKED if causes else OPEN
        diff = _diff(of, channel.value, Facet.CONSENT)
        verdict = _verdict(of, channel.value, Facet.CONSENT, same=held.startswith(desired), edited=False)
        if of.held is not None and setting is None and diff is None:
            verdict = "not known from a read by id; it is read before the next write (safety S10)"
        elif held == f"{BLOCKED} by somebody else" and not causes:
            verdict = "closed in GHL by a person or a carrier: never opened by us (safety S7)"
        rule = Rule.REVERSED if diff is not None and diff.after == OPEN else Rule.STRICTEST
        yield Line(
            name=channel.value,
            facet=Facet.CONSENT,
            rule=rule,
            desired=desired,
            held=None if of.held is None else held,
            acknowledged=False,
            verdict=verdict,
            causes=causes,
            sent=of.sent.get(channel.value),
        )


def _tags(of: Compared) -> Iterator[Line]:
    there = of.held.tags if of.held is not None else frozenset[str]()
    acked = _acked(of, Facet.TAGS)
    ours = {tag for tag in there if tag.startswith(TAG_PREFIXES)}
    for tag in sorted(of.desired.tags | ours | acked.keys()):
        wanted, held = tag in of.desired.tags, tag in there
        verdict = _verdict(of, tag, Facet.TAGS, same=wanted == held, edited=False)
        if verdict.startswith(LEFT) and tag == GUARD_TAG:
            verdict = GUARD
        elif verdict.startswith(LEFT) and wanted and tag in acked:
            verdict = TAKEN_OFF
        yield Line(
            name=tag,
            facet=Facet.TAGS,
            rule=Rule.ADDITIVE,
            desired=PRESENT if wanted else ABSENT,
            held=None if of.held is None else PRESENT if held else ABSENT,
            acknowledged=tag in acked,
            verdict=verdict,
            sent=of.sent.get(tag),
        )


def _line(
    of: Compared,
    keyring: Keyring,
    name: str,
    facet: Facet,
    rule: Rule,
    desired: str | None,
    held: str | None,
    *,
    same: bool,
) -> Line:
    acked = _acked(of, facet)
    verdict = _verdict(of, name, facet, same=same, edited=name in of.edited)
    if desired is None and verdict.startswith(LEFT):
        verdict = KEPT
    return Line(
        name=name,
        facet=facet,
        rule=rule,
        desired=desired,
        held=held,
        acknowledged=desired is not None and acked.get(name) == field_hash(keyring, name, desired),
        verdict=verdict,
        sent=of.sent.get(name),
    )


def _verdict(of: Compared, name: str, facet: Facet, *, same: bool, edited: bool) -> str:
    diff = _diff(of, name, facet)
    if diff is not None and of.change is not None:
        return f"to be written ({of.change.action.value}): {diff.rule.value}"
    if of.mapping is None and of.held is None:
        return NO_CONTACT
    if of.held is None:
        return NOT_READ
    if same:
        return AS_IT_SHOULD_BE
    if edited:
        return EDITED
    return f"{LEFT}: {of.why_left}" if of.why_left else LEFT


def _diff(of: Compared, name: str, facet: Facet) -> FieldDiff | None:
    diffs = () if of.change is None else of.change.diffs
    return next((diff for diff in diffs if diff.name == name and diff.facet is facet), None)


def _same(desired: str | None, held: str | None) -> bool:
    return desired is not None and (held or "").casefold() == desired.casefold()


def _acked(of: Compared, facet: Facet) -> Mapping[str, str]:
    return of.mapping.acked.get(facet.value, _NOTHING) if of.mapping is not None else _NOTHING
