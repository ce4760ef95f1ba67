"""The database's side of forgetting: the tombstone first, and at the end every row and column of the registry.

Belongs here: the two transactions. Does not: what is personal (`registry`), whose it is (`people`), GHL.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB

from phorest_ghl.db.forgotten import key_of
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.tables import metadata
from phorest_ghl.privacy.people import Person
from phorest_ghl.privacy.registry import ERASED, IDS, KEPT, UNLINKED, How, Kept
from phorest_ghl.sync import consent_ledger, consent_step, mirror
from phorest_ghl.sync.consent import Policy
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.source import load_clients, load_names

MASKED = "forgotten"
"""What stands where an id stood."""
_IMPORTED = "phorest_clients, phorest_appointments, phorest_purchases, phorest_versions"


def begin(
    connection: Connection,
    keyring: Keyring,
    person: Person,
    *,
    named: str,
    operator: str,
    location_id: str,
    policy: Policy,
) -> None:
    """Set the tombstone. From now on nothing of the person is imported, and what is here counts as deleted in Phorest.

    The tables are locked for this transaction, so that no import that is under way can have missed it. Safe to repeat,
    under another of the person's ids too. What the person refused goes on record first: it outlives the rows that say it
    (S9), which no run may have looked at yet.
    """
    connection.execute(text(f"lock table {_IMPORTED} in share row exclusive mode"))
    if _is_new(connection, keyring, person):  # else it counts as deleted already, and so would the refusals of it
        _remember(connection, keyring, person, location_id, policy)
    connection.execute(
        text("""insert into forgotten (key_hash, kind, person_hash, operator)
                select key_hash, kind, :person, :operator
                from jsonb_to_recordset(cast(:keys as jsonb)) as k (key_hash text, kind text)
                on conflict (key_hash) do update
                set person_hash = excluded.person_hash, operator = excluded.operator, completed_at = null"""),
        {
            "keys": orjson.dumps(_keys(keyring, person)).decode(),
            "person": key_of(keyring, "client", named),
            "operator": operator,
        },
    )
    connection.execute(
        text("""update phorest_clients set deleted = true, deleted_at = coalesce(deleted_at, now())
                where phorest_id = any(:clients)"""),
        {"clients": list(person.clients)},
    )


def _is_new(connection: Connection, keyring: Keyring, person: Person) -> bool:
    """Whether nobody has begun to forget the person."""
    keys = [key_of(keyring, "client", one) for one in person.clients]
    return not connection.execute(
        text("select exists (select from forgotten where key_hash = any(:keys))"), {"keys": keys}
    ).scalar_one()


def _remember(connection: Connection, keyring: Keyring, person: Person, location_id: str, policy: Policy) -> None:
    """Put on record what the person's flags refuse now, at each of their addresses. Nothing is lifted."""
    found = people(load_clients(connection, person.clients), load_names(connection).countries)
    keys = {mirror.address_key(keyring, one) for one in person.addresses}
    record = consent_ledger.load(
        connection, location_id, consent_ledger.Part(phorest_ids=person.clients, address_keys=keys)
    )
    step = consent_step.step(found, record, keyring, policy=policy, bulk_limit=0)
    refused = replace(step, lift=(), opted_in=(), observe=(), waiting={}, used=frozenset[str]())
    consent_ledger.keep(connection, location_id, refused, entity_type="client", batch_id="forget", partial=True)


def count(connection: Connection, person: Person) -> dict[str, int]:
    """How many rows would be erased, by table; tables with none are left out."""
    found: dict[str, int] = {}
    for one in ERASED:
        statement = f"select count(*) from {one.table} where {one.where}"  # noqa: S608 - names of ours
        found[one.table] = connection.execute(text(statement), _of(person, one.where)).scalar_one()
    return {table: rows for table, rows in found.items() if rows}


def finish(connection: Connection, keyring: Keyring, person: Person, *, named: str) -> dict[str, int]:
    """Erase all of the registry, and close the tombstone with the counts as its proof; how many rows, by table."""
    _promote(connection, person)
    hashes = {
        **{one: key_of(keyring, "client", one) for one in person.records},
        **{one: key_of(keyring, "contact", one) for one in person.objects},
    }
    done: dict[str, int] = {}
    for one in ERASED:
        rows = connection.execute(text(f"delete from {one.table} where {one.where}"), _of(person, one.where)).rowcount  # noqa: S608 - names of ours
        done[one.table] = done.get(one.table, 0) + rows
    for kept in KEPT:
        statement = f"update {kept.table} set {_assignments(kept)} where {kept.where}"  # noqa: S608 - names of ours
        values = {**_of(person, statement), "hashes": orjson.dumps(hashes).decode(), "unlinked": list(UNLINKED)}
        rows = connection.execute(text(statement), {k: v for k, v in values.items() if f":{k}" in statement}).rowcount
        done[kept.table] = done.get(kept.table, 0) + rows
    done = {table: rows for table, rows in done.items() if rows}
    connection.execute(
        text("update forgotten set completed_at = now(), proof = cast(:proof as jsonb) where person_hash = :person"),
        {"proof": orjson.dumps(done).decode(), "person": key_of(keyring, "client", named)},
    )
    return done


def completed(connection: Connection, keyring: Keyring, client_id: str) -> datetime | None:
    """When a client was forgotten, if that is done."""
    return connection.execute(
        text("select completed_at from forgotten where key_hash = :key"),
        {"key": key_of(keyring, "client", client_id)},
    ).scalar_one_or_none()


def _keys(keyring: Keyring, person: Person) -> list[dict[str, str]]:
    return [
        *({"kind": "client", "key_hash": key_of(keyring, "client", one)} for one in person.clients),
        *({"kind": "contact", "key_hash": key_of(keyring, "contact", one)} for one in person.contacts),
        *({"kind": "address", "key_hash": mirror.address_key(keyring, one)} for one in sorted(person.addresses)),
    ]


def _promote(connection: Connection, person: Person) -> None:
    """Where the person spoke for a contact that others are on, the next by rank does (S13), and writes it from the start."""
    for shared in person.shared:
        if not shared.spoken_for:
            continue
        key = {"ghl_id": shared.ghl_id, "clients": list(person.clients)}
        connection.execute(
            text("""update entity_mappings set role = 'secondary'
                    where entity_type = 'client' and ghl_id = :ghl_id and phorest_id = any(:clients)"""),
            key,
        )
        connection.execute(
            text("""
                update entity_mappings m
                set role = 'primary', acked = '{}', source_hash = null, updated_at = now(), metadata = (
                    select p.metadata from entity_mappings p
                    where p.entity_type = 'client' and p.ghl_id = :ghl_id and p.phorest_id = any(:clients)
                          and p.metadata ? 'adopted' limit 1)
                where id = (
                    select m.id from entity_mappings m join phorest_clients c using (phorest_id)
                    where m.entity_type = 'client' and m.ghl_id = :ghl_id and m.removed_at is null
                          and not m.phorest_id = any(:clients)
                    order by c.deleted_at is not null or c.deleted or c.banned or c.archived
                                 or c.merged_to_client_id is not null,
                             c.linked_client_id is not null, c.last_visit desc nulls last,
                             c.phorest_created_at nulls last, c.phorest_id
                    limit 1)
            """),
            key,
        )


def _assignments(kept: Kept) -> str:
    return ", ".join(f"{name} = {_assigned(kept.table, name, how)}" for name, how in kept.changed.items())


def _assigned(table: str, name: str, how: How) -> str:
    kind = "jsonb" if isinstance(metadata.tables[table].c[name].type, JSONB) else "text"
    values: Mapping[How, str] = {
        How.EMPTY: "default",
        How.HASH: f"coalesce(cast(:hashes as jsonb) ->> {name}, {name})",
        How.MASK: f"cast(regexp_replace({name}::text, :mask, '{MASKED}', 'g') as {kind})",
        How.UNLINK: f"{name} - cast(:unlinked as text[])",
    }
    return values[how]


def _of(person: Person, statement: str) -> dict[str, Any]:
    """The parameters that a statement uses."""
    return {name: person.parameters[name] for name in (*IDS, "mask") if f":{name}" in statement}
