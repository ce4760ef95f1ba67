"""Which custom field of a location is which of ours: found, or made, once, and remembered.

Belongs here: matching the registry (`ghl.fields`) with what a location defines. Does not: values.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine, text

from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.ghl.fields import CUSTOM, CustomFieldSpec
from phorest_ghl.ghl.models import CustomField
from phorest_ghl.http.errors import ApiError, Category

_ENTITY = "custom_field"


class ForeignField(Exception):
    """A field of our name exists and is not ours: writing to it would overwrite what somebody else keeps there (S18)."""


FIELDS_EVERY = timedelta(days=1)
"""How long the location's list of fields is believed (design §7)."""


class Standing(StrEnum):
    """How a field of ours stands in a location."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"
    """It has our key and we did not make it, nor did anybody confirm it."""
    OTHER_TYPE = "other type"


def standings(
    engine: Engine, client: GhlReader, wanted: Sequence[CustomFieldSpec] = CUSTOM
) -> Mapping[CustomFieldSpec, Standing]:
    """How each field of ours stands in the location; nothing is made and nothing is kept. Raises ApiError."""
    with engine.connect() as connection:
        ours = _stored(connection, client.location_id)
    listed = client.custom_fields()

    def standing(spec: CustomFieldSpec) -> Standing:
        present = _by_key(listed, spec)
        if present is None:
            return Standing.ABSENT
        if present.data_type != spec.data_type:
            return Standing.OTHER_TYPE
        made = ours.get(spec.key) == present.id or _was_sent(engine, client, spec)
        return Standing.OURS if made else Standing.FOREIGN

    return {spec: standing(spec) for spec in wanted}


def resolve_fields(
    engine: Engine,
    client: GhlReader,
    wanted: Sequence[CustomFieldSpec],
    *,
    may_create: bool,
    adopt_existing: bool = False,
    read_at: datetime | None = None,
) -> Mapping[str, str]:
    """The location's field ids by our field's name; missing ones are made if `may_create`. Only `wanted` ones are (S18).

    The list is asked for once a day (`read_at` is when it last was), and whenever one of ours is not known. A create that
    may have happened without its answer is found by listing again, before it is repeated.

    Raises:
        ForeignField: a field of our key exists that we did not make, and `adopt_existing` does not confirm it; or its type
            is another one.
        ApiError: GHL refused.
    """
    with engine.connect() as connection:
        ours = _stored(connection, client.location_id)
    known = {spec.name: ours[spec.key] for spec in wanted if spec.key in ours}
    fresh = read_at is not None and datetime.now(UTC) - read_at < FIELDS_EVERY
    if fresh and len(known) == len(wanted):
        return known
    listed = client.custom_fields()
    found: dict[str, str] = {}
    for spec in wanted:
        present = _by_key(listed, spec)
        if present is not None:
            _require_ours(
                spec, present, ours.get(spec.key), adopt_existing=adopt_existing or _was_sent(engine, client, spec)
            )
            _store(engine, client.location_id, present, confirmed=adopt_existing)
            found[spec.name] = present.id
        elif may_create and isinstance(client, GhlClient):
            found[spec.name] = _create(engine, client, spec).id
    with engine.begin() as connection:
        connection.execute(
            text("update ghl_locations set fields_read_at = now() where location_id = :location_id"),
            {"location_id": client.location_id},
        )
    return found


def known_fields(connection: Connection, location_id: str, wanted: Sequence[CustomFieldSpec]) -> dict[str, str]:
    """The location's field ids by our field's name, of those that are known here; GHL is not asked."""
    ours = _stored(connection, location_id)
    return {spec.name: ours[spec.key] for spec in wanted if spec.key in ours}


def _require_ours(spec: CustomFieldSpec, present: CustomField, stored_id: str | None, *, adopt_existing: bool) -> None:
    if present.data_type != spec.data_type:
        raise ForeignField(
            f"The custom field {spec.key} exists in this location with the type {present.data_type}, where ours is "
            f"{spec.data_type}. Rename or delete that field in GHL (Settings, Custom Fields), then run again."
        )
    if stored_id != present.id and not adopt_existing:
        raise ForeignField(
            f"The custom field {spec.key} exists in this location and was not made by this deployment. If it is left from "
            "an earlier one and may be overwritten, run `phorest-ghl sync clients --adopt-fields` once; if somebody else "
            "uses it, rename it in GHL first."
        )


def _create(engine: Engine, client: GhlClient, spec: CustomFieldSpec) -> CustomField:
    _note_sent(engine, client, spec)
    try:
        made = client.create_custom_field(spec.label, spec.data_type, options=spec.options)
    except ApiError as error:
        # Perhaps it was made and only the answer is lost, or another process made it a moment ago.
        if error.category not in (Category.UNKNOWN_OUTCOME, Category.DUPLICATE, Category.INVALID):
            raise
        present = _by_key(client.custom_fields(), spec)
        if present is None or present.data_type != spec.data_type:
            raise
        made = present
    _store(engine, client.location_id, made, confirmed=False)
    return made


def _by_key(listed: Sequence[CustomField], spec: CustomFieldSpec) -> CustomField | None:
    return next((field for field in listed if field.field_key == spec.key), None)


def _stored(connection: Connection, location_id: str) -> dict[str, str]:
    rows = connection.execute(
        text("select field_key, field_id from ghl_fields where location_id = :location_id"),
        {"location_id": location_id},
    )
    return {row.field_key: row.field_id for row in rows}


def _store(engine: Engine, location_id: str, field: CustomField, *, confirmed: bool) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                insert into ghl_fields (location_id, field_key, field_id, name, data_type, confirmed)
                values (:location_id, :key, :id, :name, :data_type, :confirmed)
                on conflict (location_id, field_key) do update
                set field_id = excluded.field_id, name = excluded.name, data_type = excluded.data_type,
                    confirmed = ghl_fields.confirmed or excluded.confirmed
            """),
            {
                "location_id": location_id,
                "key": field.field_key,
                "id": field.id,
                "name": field.name,
                "data_type": field.data_type,
                "confirmed": confirmed,
            },
        )
        connection.execute(
            text("""update sync_intents set state = 'confirmed', ghl_id = :id, settled_at = now()
                    where location_id = :location_id and entity_type = :entity and phorest_id = :key and state = 'sent'"""),
            {"location_id": location_id, "entity": _ENTITY, "key": field.field_key, "id": field.id},
        )


def _note_sent(engine: Engine, client: GhlReader, spec: CustomFieldSpec) -> None:
    """Journal the create before it is sent: a field found later under our key is then known to be ours."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                insert into sync_intents (location_id, entity_type, phorest_id, target_kind, state, batch_id, sent_at)
                values (:location_id, :entity, :key, :entity, 'sent', 'registry', now()) on conflict do nothing
            """),
            {"location_id": client.location_id, "entity": _ENTITY, "key": spec.key},
        )


def _was_sent(engine: Engine, client: GhlReader, spec: CustomFieldSpec) -> bool:
    with engine.connect() as connection:
        return connection.execute(
            text("""select exists (select from sync_intents where location_id = :location_id and entity_type = :entity
                                          and phorest_id = :key)"""),
            {"location_id": client.location_id, "entity": _ENTITY, "key": spec.key},
        ).scalar_one()
