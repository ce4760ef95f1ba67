"""What is on record of one item in Phorest: versions, what was sent, what waits, what was found, what was decided.

Belongs here: the queries. Does not: what should be (`client`, `appointment`). Ids, field names, times and counts only.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, text

from phorest_ghl.audit.findings import Finding

_TABLES: Mapping[str, str] = {"client": "phorest_clients", "appointment": "phorest_appointments"}
SENT_AT_MOST = 200
"""Lines of what was sent that an explanation lists; `Record.sent_in_all` counts all of them."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a record was from one import to the next: `changed` are the members of Phorest's answer that differ from before.

    `until` is None for what it is now; `number` is Phorest's own.
    """

    number: int | None
    since: datetime | None
    until: datetime | None
    batch_id: str | None
    changed: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One write: its fields with the rule behind each, and what GHL said of them."""

    batch_id: str
    entity_type: str
    phorest_id: str
    ghl_id: str | None
    action: str
    at: datetime
    run_status: str | None
    fields: Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Record:
    """All of it, newest first."""

    versions: Sequence[Version] = ()
    deleted_at: datetime | None = None
    sent: Sequence[Sent] = ()
    sent_in_all: int = 0
    last_sent: Mapping[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])
    """The run and the time by which each field was last written."""
    creates: Sequence[Mapping[str, Any]] = ()
    log: Sequence[Mapping[str, Any]] = ()
    work_items: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    decisions: Sequence[Mapping[str, Any]] = ()


def load(
    connection: Connection, location_id: str, entity_type: str, phorest_ids: Collection[str], ghl_ids: Collection[str]
) -> Record:
    """What is on record of these, the first of which is the one that was asked for."""
    first = next(iter(phorest_ids))
    keys = {"location_id": location_id, "ids": list(phorest_ids), "ghl_ids": list(ghl_ids)}
    changes = connection.execute(_CHANGES, keys).all()
    runs: dict[tuple[str, ...], list[Any]] = {}
    last: dict[str, tuple[str, datetime]] = {}
    for row in changes:
        runs.setdefault((row.batch_id, row.entity_type, row.phorest_id, row.action), []).append(row)
        last.setdefault(row.field, (row.batch_id, row.created_at))
    versions, deleted_at = _versions(connection, entity_type, first)
    return Record(
        versions=versions,
        deleted_at=deleted_at,
        sent=[_sent(rows) for rows in list(runs.values())[:SENT_AT_MOST]],
        sent_in_all=len(runs),
        last_sent=last,
        creates=_rows(connection, _INTENTS, keys),
        log=_rows(connection, _LOG, keys),
        work_items=_rows(connection, _WORK, keys),
        findings=[{**row, "advice": _advice(row)} for row in _rows(connection, _FINDINGS, keys)],
        decisions=_rows(connection, _DECISIONS, keys),
    )


def _sent(rows: Sequence[Any]) -> Sent:
    first = rows[0]
    return Sent(
        batch_id=first.batch_id,
        entity_type=first.entity_type,
        phorest_id=first.phorest_id,
        ghl_id=first.ghl_id,
        action=first.action,
        at=max(row.created_at for row in rows),
        run_status=first.run_status,
        fields=[
            {"field": row.field, "rule": row.rule, "outcome": row.outcome}
            for row in sorted(rows, key=lambda row: row.field)
        ],
    )


def _versions(connection: Connection, entity_type: str, phorest_id: str) -> tuple[list[Version], datetime | None]:
    """The present row first. Which import brought the oldest and the present one is not kept."""
    table = _TABLES[entity_type]
    now = connection.execute(
        text(f"select version, raw, first_seen_at, changed_at, deleted_at from {table} where phorest_id = :id"),  # noqa: S608
        {"id": phorest_id},
    ).one_or_none()
    if now is None:
        return [], None
    before = connection.execute(
        text("""select version, raw, valid_from, valid_to, batch_id from phorest_versions
                where entity_type = :type and phorest_id = :id order by valid_to, id"""),
        {"type": entity_type, "id": phorest_id},
    ).all()
    raws = [*(row.raw for row in before), now.raw]
    changed = [[], *(_changed(one, other) for one, other in pairwise(raws))]
    found = [
        Version(
            number=row.version,
            since=row.valid_from,
            until=row.valid_to,
            # A version's row says which run ended it: what came before it was ended by the run that brought it.
            batch_id=before[place - 1].batch_id if place else None,
            changed=changed[place],
        )
        for place, row in enumerate(before)
    ]
    brought = before[-1].batch_id if before else None
    found.append(Version(number=now.version, since=now.changed_at, until=None, batch_id=brought, changed=changed[-1]))
    return found[::-1], now.deleted_at


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _advice(row: Mapping[str, Any]) -> str:
    return Finding(entity_type=row["entity_type"], kind=row["kind"]).advice


def _rows(connection: Connection, statement: Any, keys: Mapping[str, object]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement, keys).mappings()]


# A household's contact is written under its primary's id, so the contact's own id counts as well.
_CHANGES = text("""
    select change.batch_id, change.entity_type, change.phorest_id, change.ghl_id, change.action, change.field, change.rule,
           change.outcome, change.created_at, run.status as run_status
    from sync_changes change
    left join sync_run_summaries run on run.batch_id = change.batch_id and run.entity_type = change.entity_type
    where change.location_id = :location_id and (change.phorest_id = any(:ids) or change.ghl_id = any(:ghl_ids))
    order by change.created_at desc, change.id desc
""")
_INTENTS = text("""
    select phorest_id, target_kind as kind, state, attempts, ghl_id, batch_id, planned_at, sent_at, settled_at
    from sync_intents where location_id = :location_id and phorest_id = any(:ids) order by id desc limit 20
""")
_LOG = text("""
    select batch_id, entity_type, entity_id as phorest_id, action, status, error_code as outcome, error_message as reason,
           created_at as at
    from sync_logs where entity_id = any(:ids) and status <> 'success' order by id desc limit 20
""")
_WORK = text("""
    select entity_type, phorest_id, cause, reason, attempts, created_at as since, next_try_at
    from work_items where state = 'open' and location_id in (:location_id, '') and phorest_id = any(:ids)
    order by created_at, id
""")
_FINDINGS = text("""
    select kind, entity_type, phorest_id, ghl_id, detail, batch_id, found_at as since
    from audit_findings
    where location_id = :location_id and resolved_at is null and (phorest_id = any(:ids) or ghl_id = any(:ghl_ids))
    order by found_at, id
""")
_DECISIONS = text("""
    select kind, phorest_id, ghl_id, operator, decided_at, used_at from review_decisions
    where location_id = :location_id and phorest_id = any(:ids) order by id desc
""")
