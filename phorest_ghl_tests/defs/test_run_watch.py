"""A killed run gets the summary that it could not write, and people are told of each cause of failure once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepSuccessData

from phorest_ghl.assembly import Runtime
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.run_watch import failed_runs_sensor, recovered_jobs_sensor, settle, why
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.alarms import PATIENCE
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.ended_early import KILLED, UNANSWERED
from phorest_ghl.sync.journal import Change, Ledger
from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road

LOCATION = "L1"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def salon(database: Database) -> Runtime:
    settings = SimpleNamespace(ghl_location_id=LOCATION)
    return cast("Runtime", SimpleNamespace(engine=database.engine, settings=settings))


def rows(salon: Runtime, statement: str) -> list[tuple[Any, ...]]:
    with salon.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


@dg.job
def clients() -> None:
    pass


def begun(instance: dg.DagsterInstance, *steps: str, over: tuple[str, ...] = ()) -> dg.DagsterRun:
    """A run that has begun these steps and ended some of them, and whose process is then gone."""
    run = instance.create_run_for_job(clients)
    started, ended = dg.DagsterEventType.STEP_START.value, dg.DagsterEventType.STEP_SUCCESS.value
    events = [dg.DagsterEvent(started, "clients", step_key=name) for name in steps]
    data = StepSuccessData(duration_ms=1.0)
    events += [dg.DagsterEvent(ended, "clients", step_key=name, event_specific_data=data) for name in over]
    for event in events:
        instance.report_dagster_event(event, run.run_id)
    instance.report_run_failed(run, "Run execution process unexpectedly exited with exit code -9")
    return run


def journal(salon: Runtime, batch_id: str, entity: str, *, applied: int, unanswered: int) -> None:
    """What a run of an entity leaves in the journal, by the ledger's own hand."""
    ledger = Ledger(LOCATION, entity, batch_id)
    change = {"action": "update", "facet": "identity", "field": "email", "rule": "phorest"}

    def keep(connection: Any) -> None:
        for number in range(applied):
            fields = [Change(phorest_id=f"{entity} {number}", ghl_id="G", before_hash=None, after_hash="a",
                             outcome="acknowledged", **{**change, "field": field}) for field in ("email", "phone")]  # fmt: skip
            ledger.note_changes(connection, fields)
        for number in range(unanswered):
            key = f"{entity} new {number}"
            ledger.plan_intent(connection, key, target_kind="contact", address_keys=(), request_hash="r")
            ledger.settle_intent(connection, [key], "sent")

    in_transaction(salon.engine, keep)


SUMMARIES = """select entity_type, total_count, success_count, failed_count, status, last_error, outcomes -> 'reasons'
               from sync_run_summaries order by entity_type, batch_id"""


def test_a_killed_run_is_summed_up_from_the_journal_once_whatever_else_went_on(
    salon: Runtime, instance: dg.DagsterInstance
) -> None:
    run = begun(instance, "phorest__clients", "ghl__contacts", over=("phorest__clients",))
    now = datetime.now(UTC)
    mine = new_batch_id(now, run.run_id)
    journal(salon, mine, "client", applied=3, unanswered=2)
    journal(salon, new_batch_id(now, "another-run"), "client", applied=5, unanswered=0)
    journal(salon, new_batch_id(now), "appointment", applied=4, unanswered=0)
    (found,) = settle(instance, run, salon)
    assert (found.batch_id, found.entity_type, found.applied, found.unanswered) == (mine, "client", 3, 2)
    assert settle(instance, run, salon) == []
    reasons = {"failed": {UNANSWERED: 2}}
    assert rows(salon, SUMMARIES) == [("client", 5, 3, 2, "partial", KILLED, reasons)]
    assert rows(salon, "select job_id, entity_type, status, error_code from sync_logs") == [
        (run.run_id, "client", "failed", "ended early")
    ]


def test_a_run_killed_before_it_wrote_anything_has_a_summary_of_nothing(
    salon: Runtime, instance: dg.DagsterInstance
) -> None:
    run = begun(instance, "ghl__appointments")
    settle(instance, run, salon)
    assert rows(salon, SUMMARIES) == [("appointment", 0, 0, 0, "failed", KILLED, None)]


def test_a_part_of_contacts_is_summed_up_by_its_name_and_what_had_ended_is_left_as_it_was(
    salon: Runtime, instance: dg.DagsterInstance
) -> None:
    run = begun(instance, "ghl__contacts", "ghl__loyalty", over=("ghl__contacts",))
    now = datetime.now(UTC)
    done, killed = new_batch_id(now - timedelta(seconds=9), run.run_id), new_batch_id(now, run.run_id)
    journal(salon, done, "client", applied=7, unanswered=0)
    journal(salon, killed, "client", applied=2, unanswered=0)
    with salon.engine.begin() as connection:
        connection.exec_driver_sql(
            """insert into sync_run_summaries (batch_id, job_id, direction, entity_type, total_count, success_count,
                   failed_count, skipped_count, status, started_at)
               values (%s, %s, 'phorest_to_ghl', 'client', 7, 7, 0, 0, 'completed', now())""",
            (done, run.run_id),
        )
    (found,) = settle(instance, run, salon)
    assert (found.batch_id, found.entity_type, found.applied) == (killed, "loyalty", 2)


def test_a_run_that_failed_in_order_has_summed_itself_up(salon: Runtime, instance: dg.DagsterInstance) -> None:
    run = begun(instance, "ghl__contacts", over=("ghl__contacts",))
    assert settle(instance, run, salon) == ()
    assert rows(salon, SUMMARIES) == []


def failing(error: Exception) -> dg.JobDefinition:
    """A job that meets an error as an asset does."""

    @dg.op
    def write() -> None:
        with failures_as_sentences():
            raise error

    @dg.job(name="clients")
    def made() -> None:
        write()

    return made


def told(salon: Runtime, instance: dg.DagsterInstance, error: Exception) -> bool:
    """Whether people are told of a run that failed of it."""
    result = failing(error).execute_in_process(instance=instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs_sensor",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"salon": salon},
    )
    before = rows(salon, "select id from audit_findings")
    found = why(instance, result.dagster_run)
    loud: list[str] = []
    context.log.error = lambda *words: loud.append(str(words))  # type: ignore[method-assign]
    failed_runs_sensor(context)
    assert len(rows(salon, "select id from audit_findings")) <= len(before) + 1
    assert "Byrne" not in found.sentence + found.cause
    return bool(loud)


def recover(salon: Runtime, instance: dg.DagsterInstance) -> None:
    result = clients.execute_in_process(instance=instance)
    event = next(e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_SUCCESS)
    recovered_jobs_sensor(
        dg.build_run_status_sensor_context(
            sensor_name="recovered_jobs_sensor",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"salon": salon},
        )
    )


def refused(category: Category) -> ApiError:
    return ApiError(category, api="ghl", operation="POST /contacts/", status=401, vendor_message="Aoife Byrne")


@pytest.mark.parametrize(
    "error",
    [refused(Category.SCOPE), refused(Category.AUTH), SettingsError("GHL_LOCATION_ID is not set."), KeyError("Byrne")],
    ids=["a missing scope", "a token that was revoked", "a setting", "a defect"],
)
def test_what_needs_a_person_is_told_once_until_the_job_has_succeeded_again(
    salon: Runtime, instance: dg.DagsterInstance, error: Exception
) -> None:
    assert [told(salon, instance, error) for _ in range(3)] == [True, False, False]
    assert rows(salon, "select detail ->> 'times' from audit_findings where resolved_at is null") == [("3",)]
    recover(salon, instance)
    assert rows(salon, "select 1 from audit_findings where resolved_at is null") == []
    assert told(salon, instance, error)


def test_another_cause_is_told_beside_the_first(salon: Runtime, instance: dg.DagsterInstance) -> None:
    assert told(salon, instance, refused(Category.SCOPE))
    assert told(salon, instance, KeyError("Byrne"))


@pytest.mark.parametrize("category", [Category.UNREACHABLE, Category.TRANSIENT, Category.RATE_LIMITED])
def test_an_outage_is_told_when_it_lasts(salon: Runtime, instance: dg.DagsterInstance, category: Category) -> None:
    loud = [told(salon, instance, refused(category)) for _ in range(PATIENCE + 1)]
    assert loud == [False] * (PATIENCE - 1) + [True, False]


def test_a_used_up_day_is_expected_and_nobody_is_told(salon: Runtime, instance: dg.DagsterInstance) -> None:
    assert [told(salon, instance, refused(Category.QUOTA_EXHAUSTED)) for _ in range(4)] == [False] * 4
    assert rows(salon, "select 1 from audit_findings") == []


def test_a_killed_run_is_told_once(salon: Runtime, instance: dg.DagsterInstance) -> None:
    assert why(instance, begun(instance, "ghl__contacts")).cause == "killed"


@pytest.mark.parametrize(
    ("category", "again"),
    [
        *((category, False) for category in (Category.AUTH, Category.SCOPE, Category.FORBIDDEN, Category.INVALID)),
        (Category.QUOTA_EXHAUSTED, False),
        *((category, True) for category in (Category.UNREACHABLE, Category.TRANSIENT, Category.RATE_LIMITED)),
    ],
)
def test_permanent_failures_of_a_step_forbid_a_retry_and_transient_ones_allow_it(
    category: Category, *, again: bool
) -> None:
    assert failure(refused(category)).allow_retries is again
