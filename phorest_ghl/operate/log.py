"""What runs wrote to the log: one line an item that changed or failed, by run, entity, record or status.

Belongs here: asking. Does not: writing it (`sync.summary`). Ids and names of fields only, never a value.
"""

from typing import Any

from sqlalchemy import Connection, text

STATUSES = ("success", "skipped", "failed")

_LINES = text("""
    select log.created_at as at, log.batch_id as run, log.job_id, log.entity_type, log.entity_id as record, log.action,
           log.status, log.error_code as outcome, log.error_message as reason,
           coalesce(log.target_data -> 'fields', '[]') as fields
    from sync_logs log
    where (cast(:run as text) is null or log.batch_id = :run or log.job_id = :run)
          and (cast(:entity_type as text) is null or log.entity_type = :entity_type)
          and (cast(:record as text) is null or log.entity_id = :record)
          and (cast(:status as text) is null or log.status = :status)
    order by log.id desc limit :most
""")
_RUNS = text("""
    select batch_id as run, job_id, entity_type, status, total_count, success_count, skipped_count, failed_count, requests,
           started_at, completed_at, last_error
    from sync_run_summaries
    where (cast(:run as text) is null or batch_id = :run or job_id = :run)
          and (cast(:entity_type as text) is null or entity_type = :entity_type)
    order by id desc limit :most
""")


def lines(
    connection: Connection,
    *,
    run: str | None = None,
    entity_type: str | None = None,
    record: str | None = None,
    status: str | None = None,
    most: int,
) -> list[dict[str, Any]]:
    """Lines of the log, newest first. `run` is a run's own id or Dagster's."""
    keys = {"run": run, "entity_type": entity_type, "record": record, "status": status, "most": most}
    return [dict(row) for row in connection.execute(_LINES, keys).mappings()]


def runs(
    connection: Connection, *, run: str | None = None, entity_type: str | None = None, most: int
) -> list[dict[str, Any]]:
    """Summaries of runs, newest first."""
    keys = {"run": run, "entity_type": entity_type, "most": most}
    return [dict(row) for row in connection.execute(_RUNS, keys).mappings()]
