"""What we did and what GHL acknowledged: mappings, intents, guarded contacts, changes field by field.

Belongs here: the SQL of the ledger. Does not: when to write it (`apply`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, text

IntentState = Literal["planned", "sent", "unknown", "confirmed", "refused", "withdrawn"]
Role = Literal["primary", "secondary"]


@dataclass(frozen=True)
class MappingRow:
    """A Phorest record's GHL object. `acked` is {facet: {field: keyed hash of what GHL acknowledged}}."""

    phorest_id: str
    ghl_id: str
    role: Role
    acked: Mapping[str, Mapping[str, str]]
    source_hash: str | None
    projection_version: int | None
    adopted: bool = False
    """Whether somebody else made the contact: then what it holds stays, until a person has reviewed it (safety S14)."""


@dataclass(frozen=True)
class Intent:
    """A create that was journalled and is not settled: it may or may not have happened."""

    phorest_id: str
    state: IntentState
    sent_at: datetime | None
    vendor_date: datetime | None
    attempts: int
    address_keys: Sequence[str]
    """Keyed hashes of the addresses that it was sent with."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One field of one write: what was there, what is there now (keyed hashes), by which rule."""

    phorest_id: str
    ghl_id: str | None
    action: str
    facet: str
    field: str
    rule: str
    before_hash: str | None
    after_hash: str | None
    outcome: str


@dataclass(frozen=True)
class Ledger:
    """The ledger of one entity in one location, for one run."""

    location_id: str
    entity_type: str
    batch_id: str

    @property
    def _key(self) -> dict[str, str]:
        return {"location_id": self.location_id, "entity_type": self.entity_type, "batch_id": self.batch_id}

    def mappings(self, connection: Connection, phorest_ids: Sequence[str] | None = None) -> dict[str, MappingRow]:
        """Mappings in force, by Phorest id; all, or those of some records."""
        only = "" if phorest_ids is None else " and phorest_id = any(:phorest_ids)"
        rows = connection.execute(
            text(f"""select phorest_id, ghl_id, role, acked, source_hash, projection_version,
                            coalesce((metadata ->> 'adopted')::boolean, false) as adopted
                     from entity_mappings
                     where location_id = :location_id and entity_type = :entity_type and removed_at is null{only}
                     order by phorest_id"""),
            {**self._key, "phorest_ids": list(phorest_ids or ())},
        ).all()
        return {row[0]: MappingRow(*row) for row in rows}

    def has_mappings(self, connection: Connection) -> bool:
        """Whether any record of the entity was ever mapped in the location."""
        return connection.execute(
            text("""select exists (select from entity_mappings
                                   where location_id = :location_id and entity_type = :entity_type)"""),
            self._key,
        ).scalar_one()

    def primary_of(self, connection: Connection, ghl_id: str) -> str | None:
        """The Phorest id that a GHL object is the primary mapping of, if any."""
        return connection.execute(
            text("""select phorest_id from entity_mappings
                    where location_id = :location_id and entity_type = :entity_type and ghl_id = :ghl_id
                          and role = 'primary' and removed_at is null"""),
            {**self._key, "ghl_id": ghl_id},
        ).scalar_one_or_none()

    def map(
        self,
        connection: Connection,
        *,
        ghl_id: str,
        primary: str,
        secondaries: Sequence[str],
        acked: Mapping[str, Mapping[str, str]],
        source_hash: str | None,
        projection_version: int,
        adopted: bool = False,
    ) -> None:
        """Map a household to its contact, in the same transaction as GHL's answer is stored.

        Without a `source_hash` what it was before stays: only a part of the contact was written.
        `adopted` is kept once it is true, whoever speaks for the contact later.
        """
        # Whoever spoke for the contact before a merge makes room first: it has one primary at any time.
        before = connection.execute(
            text("""update entity_mappings set role = 'secondary', updated_at = now()
                    where location_id = :location_id and entity_type = :entity_type and ghl_id = :ghl_id
                          and role = 'primary' and phorest_id <> :primary and removed_at is null
                    returning coalesce((metadata ->> 'adopted')::boolean, false) as adopted"""),
            {**self._key, "ghl_id": ghl_id, "primary": primary},
        ).all()
        adopted = adopted or any(row.adopted for row in before)
        rows = [
            {"phorest_id": phorest_id, "role": "primary" if phorest_id == primary else "secondary"}
            for phorest_id in dict.fromkeys([primary, *secondaries])
        ]
        connection.execute(
            text("""
                insert into entity_mappings (location_id, entity_type, phorest_id, ghl_id, role, acked, source_hash,
                                             projection_version, metadata)
                select :location_id, :entity_type, row.phorest_id, :ghl_id, row.role,
                       case row.role when 'primary' then cast(:acked as jsonb) else '{}' end,
                       :source_hash, :projection_version,
                       case when :adopted and row.role = 'primary' then '{"adopted": true}'::jsonb end
                from jsonb_to_recordset(cast(:rows as jsonb)) as row (phorest_id text, role text)
                order by row.phorest_id
                on conflict (location_id, entity_type, phorest_id) do update
                set ghl_id = excluded.ghl_id, role = excluded.role, acked = excluded.acked,
                    source_hash = coalesce(excluded.source_hash, entity_mappings.source_hash),
                    projection_version = case when excluded.source_hash is null then entity_mappings.projection_version
                                              else excluded.projection_version end,
                    -- Another contact is another story; on the same one it stays adopted.
                    metadata = case when entity_mappings.ghl_id = excluded.ghl_id
                                    then coalesce(excluded.metadata, entity_mappings.metadata)
                                    else excluded.metadata end,
                    removed_at = null, updated_at = now()
            """),
            {
                **self._key,
                "ghl_id": ghl_id,
                "rows": orjson.dumps(rows).decode(),
                "acked": orjson.dumps(acked).decode(),
                "source_hash": source_hash,
                "projection_version": projection_version,
                "adopted": adopted,
            },
        )

    def acknowledge(self, connection: Connection, phorest_id: str, facet: str, acked: Mapping[str, str | None]) -> None:
        """Add to what GHL acknowledged of one facet of a primary's contact; None takes a field out again."""
        kept = {name: value for name, value in acked.items() if value is not None}
        connection.execute(
            text("""update entity_mappings set updated_at = now(), acked = acked || jsonb_build_object(
                        cast(:facet as text),
                        (coalesce(acked -> cast(:facet as text), '{}') - cast(:dropped as text[])) || cast(:kept as jsonb))
                    where location_id = :location_id and entity_type = :entity_type and phorest_id = :phorest_id
                          and role = 'primary' and removed_at is null"""),
            {
                **self._key,
                "phorest_id": phorest_id,
                "facet": facet,
                "kept": orjson.dumps(kept).decode(),
                "dropped": [name for name, value in acked.items() if value is None],
            },
        )

    def join(self, connection: Connection, phorest_id: str, *, leaves: str, joins: str) -> None:
        """A merged-away client is on its winner's contact from now on; the one that it leaves is nobody's (design §6)."""
        key = {**self._key, "phorest_id": phorest_id, "leaves": leaves, "joins": joins}
        connection.execute(
            text("""insert into former_contacts (location_id, ghl_id, phorest_id, cause, batch_id)
                    values (:location_id, :leaves, :phorest_id, 'merged', :batch_id) on conflict do nothing"""),
            key,
        )
        connection.execute(
            text("""update entity_mappings set ghl_id = :joins, role = 'secondary', acked = '{}', metadata = null,
                                               updated_at = now()
                    where location_id = :location_id and entity_type = :entity_type and phorest_id = :phorest_id"""),
            key,
        )

    def open_intents(self, connection: Connection) -> dict[str, Intent]:
        """Creates that are not settled, by Phorest id."""
        rows = connection.execute(
            text("""select phorest_id, state, sent_at, vendor_date, attempts, address_keys from sync_intents
                    where location_id = :location_id and entity_type = :entity_type
                          and state in ('planned', 'sent', 'unknown') order by phorest_id"""),
            self._key,
        )
        return {row.phorest_id: Intent(*row) for row in rows}

    def open_intent(self, connection: Connection, phorest_ids: Sequence[str]) -> Intent | None:
        """The unsettled create of a household, whoever of it spoke for it then; one that was sent comes first."""
        row = connection.execute(
            text("""select phorest_id, state, sent_at, vendor_date, attempts, address_keys from sync_intents
                    where location_id = :location_id and entity_type = :entity_type and phorest_id = any(:phorest_ids)
                          and state in ('planned', 'sent', 'unknown')
                    order by state = 'planned', sent_at desc limit 1"""),
            {**self._key, "phorest_ids": list(phorest_ids)},
        ).one_or_none()
        return None if row is None else Intent(*row)

    def plan_intent(
        self,
        connection: Connection,
        phorest_id: str,
        *,
        target_kind: str,
        address_keys: Sequence[str],
        request_hash: str,
    ) -> None:
        """Journal that a create is about to be sent. Commit before sending; an open intent of the record is taken over."""
        connection.execute(
            text("""
                insert into sync_intents (location_id, entity_type, phorest_id, target_kind, state, address_keys,
                                          request_hash, batch_id)
                values (:location_id, :entity_type, :phorest_id, :target_kind, 'planned', cast(:address_keys as jsonb),
                        :request_hash, :batch_id)
                on conflict (location_id, entity_type, phorest_id, target_kind)
                    where state in ('planned', 'sent', 'unknown')
                do update set batch_id = excluded.batch_id, address_keys = excluded.address_keys,
                              request_hash = excluded.request_hash
            """),
            {
                **self._key,
                "phorest_id": phorest_id,
                "target_kind": target_kind,
                "address_keys": orjson.dumps(list(address_keys)).decode(),
                "request_hash": request_hash,
            },
        )

    def settle_intent(
        self,
        connection: Connection,
        phorest_ids: Sequence[str],
        state: IntentState,
        *,
        ghl_id: str | None = None,
        vendor_date: datetime | None = None,
        detail: str | None = None,
    ) -> None:
        """Move the open intents of these records on.

        `sent` counts an attempt; confirmed, refused and withdrawn close it.
        """
        connection.execute(
            text("""
                update sync_intents set state = :state, ghl_id = coalesce(:ghl_id, ghl_id),
                    vendor_date = coalesce(:vendor_date, vendor_date), detail = :detail, batch_id = :batch_id,
                    attempts = attempts + case when :state = 'sent' then 1 else 0 end,
                    sent_at = case when :state = 'sent' then now() else sent_at end,
                    settled_at = case when :state in ('confirmed', 'refused', 'withdrawn') then now() end
                where location_id = :location_id and entity_type = :entity_type and phorest_id = any(:phorest_ids)
                      and state in ('planned', 'sent', 'unknown')
            """),
            {
                **self._key,
                "phorest_ids": list(phorest_ids),
                "state": state,
                "ghl_id": ghl_id,
                "vendor_date": vendor_date,
                "detail": detail,
            },
        )

    def guard(self, connection: Connection, *ghl_ids: str) -> None:
        """Note that contacts carry the guard tag because of us; only go-live releases it (safety S1).

        One that was released before is guarded anew.
        """
        connection.execute(
            text("""insert into guarded_contacts (location_id, ghl_id, batch_id)
                    select :location_id, ghl_id, :batch_id from unnest(cast(:ghl_ids as text[])) as ghl_id order by ghl_id
                    on conflict (location_id, ghl_id) do update
                    set released_at = null, guarded_at = now(), batch_id = excluded.batch_id
                    where guarded_contacts.released_at is not null"""),
            {**self._key, "ghl_ids": sorted(set(ghl_ids))},
        )

    def guarded(self, connection: Connection) -> frozenset[str]:
        """Contacts that carry the guard tag because of us, and are not released."""
        rows = connection.execute(
            text("select ghl_id from guarded_contacts where location_id = :location_id and released_at is null"),
            self._key,
        )
        return frozenset(row.ghl_id for row in rows)

    def take_back(self, connection: Connection, phorest_ids: Sequence[str], ghl_id: str) -> None:
        """A merge was undone in Phorest: the contact that the client left behind is its own again."""
        connection.execute(
            text("""delete from former_contacts
                    where location_id = :location_id and ghl_id = :ghl_id and phorest_id = any(:phorest_ids)"""),
            {**self._key, "ghl_id": ghl_id, "phorest_ids": list(phorest_ids)},
        )

    def former(self, connection: Connection) -> dict[str, str]:
        """Contacts that merges have left behind, each with the client who left it."""
        rows = connection.execute(
            text("select ghl_id, phorest_id from former_contacts where location_id = :location_id"), self._key
        )
        return {row.ghl_id: row.phorest_id for row in rows}

    def note_changes(self, connection: Connection, changes: Iterable[Change]) -> None:
        """Keep the provenance of a write, field by field."""
        rows = [{**self._key, **change.__dict__} for change in changes]
        if rows:
            connection.execute(
                text("""
                    insert into sync_changes (batch_id, location_id, entity_type, phorest_id, ghl_id, action, facet, field,
                                              rule, before_hash, after_hash, outcome)
                    values (:batch_id, :location_id, :entity_type, :phorest_id, :ghl_id, :action, :facet, :field, :rule,
                            :before_hash, :after_hash, :outcome)
                """),
                rows,
            )

    def refused(self, connection: Connection, cause: str, phorest_ids: Sequence[str] | None = None) -> dict[str, str]:
        """The hash of the content that GHL refused and that waits under `cause`, by Phorest id; all, or of some records."""
        only = "" if phorest_ids is None else " and phorest_id = any(:phorest_ids)"
        rows = connection.execute(
            text(f"""select phorest_id, source_hash from work_items
                     where location_id = :location_id and entity_type = :entity_type and cause = :cause
                           and state = 'open' and source_hash is not null{only}"""),
            {**self._key, "cause": cause, "phorest_ids": list(phorest_ids or ())},
        )
        return {row.phorest_id: row.source_hash for row in rows}

    def resolve_findings(
        self, connection: Connection, kind: str, phorest_ids: Sequence[str], *, fields: Sequence[str] | None = None
    ) -> None:
        """What was found of these records holds no longer; with `fields`, only findings about none but these fields."""
        connection.execute(
            text("""update audit_findings set resolved_at = now()
                    where location_id = :location_id and entity_type = :entity_type and kind = :kind
                          and phorest_id = any(:phorest_ids) and resolved_at is null
                          and (cast(:fields as jsonb) is null or detail -> 'fields' <@ cast(:fields as jsonb))"""),
            {
                **self._key,
                "kind": kind,
                "phorest_ids": list(phorest_ids),
                "fields": None if fields is None else orjson.dumps(list(fields)).decode(),
            },
        )

    def resolve_everywhere(self, connection: Connection, kind: str) -> None:
        """What was found of the whole location holds no longer."""
        connection.execute(
            text("""update audit_findings set resolved_at = now()
                    where location_id = :location_id and entity_type = :entity_type and kind = :kind
                          and phorest_id is null and ghl_id is null and resolved_at is null"""),
            {**self._key, "kind": kind},
        )

    def note_finding(
        self, connection: Connection, kind: str, *, phorest_id: str | None, ghl_id: str | None, detail: dict[str, Any]
    ) -> None:
        """Keep a discrepancy that a person should see, once while it is open. `detail` holds ids and field names."""
        connection.execute(
            text("""
                insert into audit_findings (location_id, entity_type, phorest_id, ghl_id, kind, detail, batch_id)
                select :location_id, :entity_type, :phorest_id, :ghl_id, :kind, cast(:detail as jsonb), :batch_id
                where not exists (
                    select from audit_findings
                    where location_id = :location_id and entity_type = :entity_type and kind = :kind
                          and phorest_id is not distinct from :phorest_id and ghl_id is not distinct from :ghl_id
                          and resolved_at is null)
            """),
            {
                **self._key,
                "kind": kind,
                "phorest_id": phorest_id,
                "ghl_id": ghl_id,
                "detail": orjson.dumps(detail).decode(),
            },
        )
