"""What a killed run leaves for people: the summary that it could not write itself, counted from the journal.

Belongs here: finding what a job has journalled and not summed up. Does not: knowing that it was killed (`defs.run_watch`),
taking its work up again (the next run does, from the same journal).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import JOB_ID_KEPT, new_batch_id
from phorest_ghl.sync.parts import PARTS
from phorest_ghl.sync.summary import DIRECTION

KILLED = "the run was killed before it could sum up; the next run goes on from the journal"
UNANSWERED = "its create had no answer when the run was killed"
_CLOCKS = timedelta(hours=1)
"""How far the clocks of Dagster's machine and the run's may be apart."""
_OF_CONTACTS = frozenset(part.entity for part in PARTS.values())


@dataclass(frozen=True)
class KilledJob:
    """A job whose process is gone. `entities` are those that it was at work on, as summaries name them; times are aware."""

    job_id: str
    entities: Collection[str]
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class Counted:
    """What the journal says of one run: records with a change that GHL acknowledged, and creates without an answer."""

    batch_id: str
    entity_type: str
    applied: int
    unanswered: int


def sum_up(connection: Connection, job: KilledJob) -> list[Counted]:
    """Write the summaries and log rows that are missing of a killed job; which ones. A second time writes nothing more."""
    counted = _journalled(connection, job)
    named = {one.entity_type for one in counted} | set(_summed(connection, job))
    counted += [
        Counted(new_batch_id(job.started_at.astimezone(UTC), job.job_id), entity, 0, 0)
        for entity in sorted(set(job.entities) - named)
    ]
    return [one for one in counted if _written(connection, job, one)]


def _summed(connection: Connection, job: KilledJob) -> list[str]:
    rows = connection.execute(
        text("select distinct entity_type from sync_run_summaries where job_id = :job_id"), {"job_id": job.job_id}
    )
    return [row.entity_type for row in rows]


def _journalled(connection: Connection, job: KilledJob) -> list[Counted]:
    """What the job's runs have journalled. A part of contacts journals as clients, and is summed up by its own name."""
    window = {
        # Batch ids begin with their time, so the index finds the few that can be the job's.
        "first": new_batch_id(job.started_at.astimezone(UTC) - _CLOCKS),
        "last": new_batch_id(job.ended_at.astimezone(UTC) + _CLOCKS),
        "mark": f"%-{job.job_id[:JOB_ID_KEPT]}",
    }
    rows = connection.execute(
        text("""
            with journal as (
                select batch_id, entity_type, phorest_id, outcome = 'acknowledged' as applied, false as unanswered
                from sync_changes where batch_id >= :first and batch_id <= :last and batch_id like :mark
                union all
                select batch_id, entity_type, phorest_id, false, state in ('sent', 'unknown')
                from sync_intents where batch_id >= :first and batch_id <= :last and batch_id like :mark)
            select batch_id, entity_type, count(distinct phorest_id) filter (where applied) as applied,
                   count(distinct phorest_id) filter (where unanswered) as unanswered
            from journal
            where not exists (select from sync_run_summaries as summed
                              where summed.batch_id = journal.batch_id
                                    and (summed.entity_type = journal.entity_type
                                         or journal.entity_type = :client and summed.entity_type = any(:parts)))
            group by batch_id, entity_type order by batch_id, entity_type"""),
        {**window, "client": CLIENT, "parts": sorted(_OF_CONTACTS)},
    )
    part = next((entity for entity in job.entities if entity in _OF_CONTACTS), None)
    return [
        Counted(
            row.batch_id, part if part and row.entity_type == CLIENT else row.entity_type, row.applied, row.unanswered
        )
        for row in rows
    ]


def _written(connection: Connection, job: KilledJob, counted: Counted) -> bool:
    outcomes = {"counts": {"applied": counted.applied, "failed": counted.unanswered}}
    if counted.unanswered:
        outcomes["reasons"] = {"failed": {UNANSWERED: counted.unanswered}}  # type: ignore[dict-item]
    key = {
        "batch_id": counted.batch_id,
        "job_id": job.job_id,
        "entity": counted.entity_type,
        "direction": DIRECTION,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "ms": round((job.ended_at - job.started_at).total_seconds() * 1000),
        "error": KILLED,
    }
    new = connection.execute(
        text("""
            insert into sync_run_summaries (batch_id, job_id, direction, entity_type, total_count, success_count,
                failed_count, skipped_count, status, outcomes, requests, started_at, completed_at, duration_ms, last_error)
            select :batch_id, :job_id, :direction, :entity, :total, :applied, :unanswered, 0, :status,
                   cast(:outcomes as jsonb), 0, :started_at, :ended_at, :ms, :error
            on conflict (batch_id, entity_type) do nothing"""),
        {
            **key,
            "total": counted.applied + counted.unanswered,
            "applied": counted.applied,
            "unanswered": counted.unanswered,
            "status": "partial" if counted.applied else "failed",
            "outcomes": orjson.dumps(outcomes).decode(),
        },
    ).rowcount
    if new:
        connection.execute(
            text("""insert into sync_logs (batch_id, job_id, entity_type, direction, action, status, error_code,
                                           error_message, started_at, completed_at, duration_ms)
                    values (:batch_id, :job_id, :entity, :direction, 'run', 'failed', 'ended early', :error, :started_at,
                            :ended_at, :ms)"""),
            key,
        )
    return bool(new)
