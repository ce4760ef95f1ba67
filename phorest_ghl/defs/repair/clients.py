"""Clients whom an appointments run could not bring: a job that tries them again together, and the sensor that launches it.

Belongs here: when it is launched, and what it reports. Does not: whom to try, and when one is given up
(`sync.client_repair`). The runs themselves bring most clients at once; this is for those whom Phorest or GHL refused then.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.metadata import run_metadata
from phorest_ghl.sync.client_repair import CAUSE, Due
from phorest_ghl.sync.clients import new_batch_id

EVERY_S = 30
_URGENT = {"dagster/priority": "10"}
_GOING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


class RepairConfig(dg.Config):
    """Which clients."""

    client_ids: list[str] = Field(
        default=[], description="Ids of clients in Phorest; without any, those who may be tried again now."
    )


@dg.op(pool="repair")
def repair_clients(context: dg.OpExecutionContext, config: RepairConfig, salon: dg.ResourceParam[Runtime]) -> None:
    """Read these clients from Phorest as they are now, and bring each onto its contact."""
    started = datetime.now(UTC)
    with failures_as_sentences():
        repair = salon.client_repair(batch_id=new_batch_id(started, context.run.run_id), writing=True)
        wanted = config.client_ids or [one.phorest_id for one in repair.due()]
        if not wanted:
            context.log.info("nobody waits for another try")
            return
        brought = repair.run(wanted, started_at=started, job_id=context.run.run_id)
    for client_id, outcome in brought.left.items():
        context.log.warning("client %s has no contact: %s", client_id, outcome.reason)
    if brought.result is None:
        return
    metadata = {
        **run_metadata(brought.result, daily_limit=salon.settings.ghl_daily_limit),
        "without_contact": dg.MetadataValue.int(len(brought.left)),
    }
    context.log_event(dg.AssetObservation(CONTACTS, metadata=metadata))
    if brought.result.stopped is not None:
        raise failure(brought.result.stopped)


@dg.job(
    tags=_URGENT, description="Clients whom an appointments run could not bring onto a contact: each is tried again."
)
def repair() -> None:
    """One step."""
    repair_clients()


@dg.sensor(
    job=repair,
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Launches the job repair for clients who may be tried again; each try of a client once.",
)
def repair_sensor(
    context: dg.SensorEvaluationContext, salon: dg.ResourceParam[Runtime]
) -> dg.RunRequest | dg.SkipReason:
    """One run for everybody who is due, unless the last one is still going."""
    due = salon.client_repair(batch_id=new_batch_id(), writing=False).due()
    if not due:
        return dg.SkipReason("Nobody waits for another try.")
    if context.instance.get_runs(dg.RunsFilter(job_name=repair.name, statuses=_GOING), limit=1):
        return dg.SkipReason("A run of the job repair is still going.")
    config = {"ops": {repair_clients.name: {"config": {"client_ids": [one.phorest_id for one in due]}}}}
    return dg.RunRequest(run_key=_key(due), run_config=config)


def _key(due: Sequence[Due]) -> str:
    """A run that was launched for the same tries of the same clients is not launched again."""
    named = ",".join(f"{one.phorest_id}:{one.attempts}" for one in sorted(due, key=lambda one: one.phorest_id))
    return f"{CAUSE} {hashlib.blake2b(named.encode(), digest_size=16).hexdigest()}"
