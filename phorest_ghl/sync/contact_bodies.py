"""What is sent when a contact is written. Pure.

Belongs here: from a planned change, and the contact as it was read a moment ago, to the body of one call. Does not:
sending it (`contact_sender`).
"""

from collections.abc import Mapping

from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import EMAIL, GUARD_TAG, PHONE, SOURCE, VALUE_FACETS, Rule
from phorest_ghl.ghl.models import Contact, ContactWrite, DndSetting
from phorest_ghl.sync import consent
from phorest_ghl.sync.filling import fillable
from phorest_ghl.sync.plan import Action, FieldDiff, PlannedChange
from phorest_ghl.sync.projection import DesiredContact


def create_body(
    desired: DesiredContact, blocked: consent.Blocks, field_ids: Mapping[str, str], *, quiet: bool
) -> ContactWrite:
    """A create carries its consent, its tags, and the guard tag while the location is quiet (S1, S6)."""
    return ContactWrite(
        identity={**desired.identity, **desired.once},
        source=SOURCE,
        dnd_settings=consent.settings(blocked),
        custom_fields=_custom(desired, desired.sent_custom, field_ids),
        tags=(*((GUARD_TAG,) if quiet else ()), *sorted(desired.tags)),
    )


def update_body(
    change: PlannedChange, settings: Mapping[str, DndSetting] | None, field_ids: Mapping[str, str]
) -> ContactWrite:
    """The changed fields of all facets in one call; an address never travels without its consent (S6)."""
    names = {diff.name for diff in change.diffs if diff.facet in VALUE_FACETS}
    assert settings is not None or not names & {EMAIL.name, PHONE.name}
    desired = change.desired
    return ContactWrite(
        identity={name: value for name, value in desired.identity.items() if name in names},
        dnd_settings=settings,
        custom_fields=_custom(desired, [name for name in desired.custom if name in names], field_ids),
    )


def fill_if_empty(change: PlannedChange, held: Contact) -> tuple[FieldDiff, ...]:
    """The planned fields without those to fill that somebody has filled in GHL since the plan was made (S14)."""
    filling = {diff.name for diff in change.diffs if diff.rule is Rule.FILL_IF_EMPTY}
    empty = {name for name in filling if not _held(held, name)}
    if change.action is Action.ADOPT:
        empty &= fillable(lambda name: _held(held, name))
    return tuple(diff for diff in change.diffs if diff.name not in filling - empty)


def _held(held: Contact, name: str) -> str | None:
    special = {"first_name": held.given_name, "last_name": held.family_name}
    return special[name] if name in special else getattr(held, name)


def _custom(
    desired: DesiredContact, names: Mapping[str, str] | list[str], field_ids: Mapping[str, str]
) -> dict[str, object]:
    specs = {spec.name: spec for spec in fields.CUSTOM}
    return {field_ids[name]: fields.wire(specs[name], desired.custom[name]) for name in names}
