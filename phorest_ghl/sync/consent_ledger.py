"""The causes that close channels, on record by keyed address, and the last look at each client: their SQL (safety S7, S9).

Belongs here: loading the record and writing a step down. Does not: what a step is (`consent_step`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.sync.consent import NO_CONSENT, Channel
from phorest_ghl.sync.consent_step import Cause, Observation, Record, Step


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the record: what is of these clients, or at these keyed addresses."""

    phorest_ids: Collection[str]
    address_keys: Collection[str]


OPT_IN = "opt-in"
"""The cause of work items for opt-ins that wait for a person."""


def load(connection: Connection, location_id: str, only: Part | None = None) -> Record:
    """What is on record for a location; all of it, or what is of some clients or at some addresses."""
    values = {
        "location_id": location_id,
        "cause": NO_CONSENT,
        "all": only is None,
        "ids": sorted(only.phorest_ids) if only else [],
        "keys": sorted(only.address_keys) if only else [],
    }
    causes = connection.execute(
        text("""select address_key, channel, cause, coalesce(source_id, '') from suppressions
                where location_id = :location_id and lifted_at is null
                      and (:all or address_key = any(:keys) or source_id = any(:ids))"""),
        values,
    ).all()
    observed = connection.execute(
        text("""select phorest_id, email_key, phone_key, email_marketing, email_reminder, sms_marketing, sms_reminder
                from consent_observations where location_id = :location_id and (:all or phorest_id = any(:ids))"""),
        values,
    ).all()
    ended = connection.execute(
        text("""select distinct address_key, channel, cause, source_id from suppressions
                join phorest_clients on phorest_id = source_id and merged_to_client_id is not null
                where location_id = :location_id and lifted_at is not null and cause = :cause
                      and (:all or source_id = any(:ids))"""),
        values,
    )
    return Record(
        _causes(causes),
        {row.phorest_id: Observation(**dict(zip(Observation.__slots__, row, strict=True))) for row in observed},
        _causes(ended),
    )


def active_at(connection: Connection, location_id: str, address_keys: Collection[str]) -> frozenset[Cause]:
    """The causes on record at these addresses, as they stand now."""
    rows = connection.execute(
        text("""select address_key, channel, cause, coalesce(source_id, '') from suppressions
                where location_id = :location_id and lifted_at is null and address_key = any(:keys)"""),
        {"location_id": location_id, "keys": list(address_keys)},
    )
    return _causes(rows)


def keep(
    connection: Connection, location_id: str, step: Step, *, entity_type: str, batch_id: str, partial: bool = False
) -> None:
    """Write a step down. Safe to repeat. A `partial` one looked at some clients, and says nothing of who else waits."""
    key = {"location_id": location_id, "batch_id": batch_id}
    if step.add:
        connection.execute(
            text("""insert into suppressions (location_id, address_key, channel, cause, source_id, batch_id)
                    select :location_id, address_key, channel, cause, source_id, :batch_id
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)
                    on conflict do nothing"""),
            {**key, "causes": _json(step.add)},
        )
    if step.lift:
        connection.execute(
            text("""update suppressions s set lifted_at = now()
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)
                    where s.location_id = :location_id and s.lifted_at is null and s.address_key = c.address_key
                          and s.channel = c.channel and s.cause = c.cause and coalesce(s.source_id, '') = c.source_id"""),
            {**key, "causes": _json(step.lift)},
        )
    if step.opted_in:
        connection.execute(
            text("""insert into consent_events (source, phorest_id, channel, purpose, address_key, before, after, batch_id,
                                                detail)
                    select 'record', source_id, channel, 'marketing', address_key, false, true, :batch_id,
                           '{"same_address": true}'
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)"""),
            {**key, "causes": _json(step.opted_in)},
        )
    if step.observe:
        _observe(connection, location_id, step.observe)
    _keep_waiting(connection, location_id, step.waiting, entity_type, partial=partial)


def _observe(connection: Connection, location_id: str, observations: Sequence[Observation]) -> None:
    rows = [{name: getattr(o, name) for name in Observation.__slots__} for o in observations]
    connection.execute(
        text("""
            insert into consent_observations (location_id, phorest_id, email_key, phone_key, email_marketing,
                                              email_reminder, sms_marketing, sms_reminder)
            select :location_id, o.* from jsonb_to_recordset(cast(:rows as jsonb)) as o (
                phorest_id text, email_key text, phone_key text, email_marketing boolean, email_reminder boolean,
                sms_marketing boolean, sms_reminder boolean)
            on conflict (location_id, phorest_id) do update set
                email_key = excluded.email_key, phone_key = excluded.phone_key,
                email_marketing = excluded.email_marketing, email_reminder = excluded.email_reminder,
                sms_marketing = excluded.sms_marketing, sms_reminder = excluded.sms_reminder, observed_at = now()
        """),
        {"location_id": location_id, "rows": orjson.dumps(rows).decode()},
    )


def _keep_waiting(
    connection: Connection, location_id: str, waiting: Mapping[str, str], entity_type: str, *, partial: bool
) -> None:
    rows = connection.execute(
        text("""select phorest_id, reason from work_items where location_id = :location_id and entity_type = :entity_type
                       and cause = :cause and state = 'open'"""),
        {"location_id": location_id, "entity_type": entity_type, "cause": OPT_IN},
    )
    known: dict[str, str] = {row.phorest_id: row.reason for row in rows}
    open_items(
        connection,
        [
            WorkItem(
                entity_type=entity_type, phorest_id=phorest_id, cause=OPT_IN, reason=reason, location_id=location_id
            )
            for phorest_id, reason in waiting.items()
            if known.get(phorest_id) != reason
        ],
    )
    resolve_items(
        connection,
        entity_type=entity_type,
        phorest_ids=[] if partial else sorted(known.keys() - waiting.keys()),
        causes=[OPT_IN],
        location_id=location_id,
    )


def _causes(rows: Iterable[Row[Any]]) -> frozenset[Cause]:
    return frozenset(Cause(key, Channel(channel), cause, source) for key, channel, cause, source in rows)


def _json(causes: Iterable[Cause]) -> str:
    rows = [
        {"address_key": c.address_key, "channel": c.channel.value, "cause": c.cause, "source_id": c.source_id}
        for c in causes
    ]
    return orjson.dumps(rows).decode()
