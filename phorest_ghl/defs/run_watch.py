"""What becomes of runs that ended badly: a killed one is summed up from the journal, and people are told once of each cause.

Belongs here: reading Dagster's record of a run. Does not: what is counted (`sync.ended_early`), what is told (`sync.alarms`).

No table of ours says which runs are going: that is Dagster's to know, and these sensors ask it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.defs.failures import CAUSE, URGENCY
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl.defs.ghl.notes import CHECK_IN_NOTES
from phorest_ghl.defs.ghl.parts import BOOKINGS, LOYALTY, PRODUCT_TAGS
from phorest_ghl.defs.ghl.staff import STAFF_CONTACTS
from phorest_ghl.sync import alarms
from phorest_ghl.sync.alarms import Failure, Urgency
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.ended_early import Counted, KilledJob, sum_up
from phorest_ghl.sync.events.appointments import ENTITY as APPOINTMENT
from phorest_ghl.sync.notes.road import ENTITY as CHECK_IN
from phorest_ghl.sync.parts import PARTS
from phorest_ghl.sync.staff.road import ENTITY as STAFF

EVERY_S = 30
_ENTITY_OF_STEP = {
    CONTACTS.to_python_identifier(): CLIENT,
    EVENTS.to_python_identifier(): APPOINTMENT,
    CHECK_IN_NOTES.to_python_identifier(): CHECK_IN,
    STAFF_CONTACTS.to_python_identifier(): STAFF,
    LOYALTY.to_python_identifier(): PARTS["loyalty"].entity,
    BOOKINGS.to_python_identifier(): PARTS["bookings"].entity,
    PRODUCT_TAGS.to_python_identifier(): PARTS["products"].entity,
    "sync_one_client": CLIENT,
    "repair_clients": CLIENT,
}
_BEGUN, _OVER = dg.DagsterEventType.STEP_START, (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE)
KILLED = "killed"


def unfinished_steps(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Steps that a run began and never ended: what its process was at when it was killed."""
    begun: dict[str, None] = {}
    for record in instance.all_logs(run_id, of_type={_BEGUN, *_OVER}):
        event = record.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.event_type is _BEGUN:
            begun[event.step_key] = None
        else:
            begun.pop(event.step_key, None)
    return list(begun)


def settle(instance: dg.DagsterInstance, run: dg.DagsterRun, salon: Runtime) -> Sequence[Counted]:
    """Write the summaries that a killed run owes; none where it ended in order."""
    steps = unfinished_steps(instance, run.run_id)
    if not steps:
        return ()
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    began = record.start_time or record.create_timestamp.timestamp()
    job = KilledJob(
        run.run_id,
        [_ENTITY_OF_STEP[step] for step in steps if step in _ENTITY_OF_STEP],
        datetime.fromtimestamp(began, UTC),
        datetime.fromtimestamp(record.end_time or datetime.now(UTC).timestamp(), UTC),
    )
    return in_transaction(salon.engine, lambda connection: sum_up(connection, job))


def why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Failure:
    """Why a run failed: what its first failed step says, or that it was killed. Never text of a defect's exception."""
    for record in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = record.dagster_event.step_failure_data if record.dagster_event is not None else None
        if data is None:
            continue
        told = data.user_failure_data
        if told is not None:
            values = {name: str(value.value) for name, value in told.metadata.items()}
            urgency = Urgency(values.get(URGENCY, Urgency.NOW))
            sentence = told.description or "no reason given"
            return Failure(run.job_name, values.get(CAUSE, sentence), sentence, urgency, run.run_id)
        inner = data.error
        while inner is not None and inner.cause is not None:
            inner = inner.cause
        name = (inner.cls_name if inner is not None else None) or "an exception"
        return Failure(run.job_name, name, f"{name} was raised; the run's log shows where", Urgency.NOW, run.run_id)
    return Failure(run.job_name, KILLED, "the run's process was killed", Urgency.NOW, run.run_id)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    name="failed_runs_sensor",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sums a killed run up from the journal, and tells people of each cause of failure once.",
)
def failed_runs_sensor(context: dg.RunStatusSensorContext, salon: dg.ResourceParam[Runtime]) -> None:
    """One failed run."""
    run, instance = context.dagster_run, context.instance
    for one in settle(instance, run, salon):
        context.log.warning(
            "run %s was killed at %s: %d applied, %d without an answer",
            run.run_id,
            one.entity_type,
            one.applied,
            one.unanswered,
        )
    found = why(instance, run)
    location_id = str(salon.settings.ghl_location_id)
    if in_transaction(salon.engine, lambda connection: alarms.note(connection, location_id, found)):
        context.log.error("job %s, run %s: %s", found.job, found.run_id, found.sentence)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="canceled_runs_sensor",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sums a run up from the journal whose process was killed while it was being terminated.",
)
def canceled_runs_sensor(context: dg.RunStatusSensorContext, salon: dg.ResourceParam[Runtime]) -> None:
    """One terminated run. People know: one of them did it."""
    settle(context.instance, context.dagster_run, salon)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="recovered_jobs_sensor",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes back what people were told of a job that has succeeded since.",
)
def recovered_jobs_sensor(context: dg.RunStatusSensorContext, salon: dg.ResourceParam[Runtime]) -> None:
    """One run that succeeded."""
    location_id = str(salon.settings.ghl_location_id)
    job = context.dagster_run.job_name
    if in_transaction(salon.engine, lambda connection: alarms.recovered(connection, location_id, job)):
        context.log.info("job %s succeeds again", job)
