"""What a tick of a schedule does: one run at a time, and one whole read a day that no failure and no long run forgets."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from phorest_ghl.defs.schedules import WHOLE_TAG, schedules

TORONTO = ZoneInfo("America/Toronto")
SCHEDULES = {schedule.job_name: schedule for schedule in schedules(TORONTO)}
WHOLE = {"ops": {"phorest__appointments": {"config": {"full": True}}}}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One with a place, since a tick opens it anew; the tests share it, each with days of its own."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as local:
        yield local


def tick(instance: dg.DagsterInstance, job: str, clock: str, day: int = 10) -> dg.RunRequest | str:
    """What a tick asks for, or why it is left out."""
    moment = datetime.fromisoformat(f"2026-03-{day} {clock}").replace(tzinfo=TORONTO)
    found = SCHEDULES[job].evaluate_tick(dg.build_schedule_context(instance=instance, scheduled_execution_time=moment))
    if found.run_requests:
        (request,) = found.run_requests
        return request
    return str(found.skip_message)


def ran(instance: dg.DagsterInstance, job: str, request: dg.RunRequest | str, *, well: bool = True) -> None:
    """The run that a tick asked for, to its end."""
    assert isinstance(request, dg.RunRequest)

    @dg.op(name=f"step_of_{job}")
    def step() -> None:
        assert well

    @dg.job(name=job)
    def stand_in() -> None:
        step()

    stand_in.execute_in_process(instance=instance, tags=request.tags, raise_on_error=False)


def whole(request: dg.RunRequest | str) -> bool:
    assert isinstance(request, dg.RunRequest)
    assert request.run_config in ({}, WHOLE)
    return request.run_config == WHOLE


def test_a_tick_is_left_out_with_a_sentence_while_the_last_run_of_its_job_is_still_going(
    instance: dg.DagsterInstance,
) -> None:
    said: dict[str, dg.RunRequest | str] = {}

    @dg.op
    def long_one(context: dg.OpExecutionContext) -> None:
        said.update({job: tick(context.instance, job, "12:45") for job in SCHEDULES}, run=context.run_id)

    @dg.job(name="clients")
    def running() -> None:
        long_one()

    running.execute_in_process(instance=instance)
    run = said.pop("run")
    assert said.pop("clients") == (
        f"Run {run} of clients is still going, so this tick is left out; what it would have read is read by the next "
        "one. If the run hangs, terminate it under Runs."
    )
    assert all(isinstance(found, dg.RunRequest) for found in said.values()), "others are not in its way"
    assert isinstance(tick(instance, "clients", "14:02"), dg.RunRequest), "and the next one runs"


def test_appointments_are_read_whole_once_a_day_by_the_salon_s_clock(instance: dg.DagsterInstance) -> None:
    first = tick(instance, "appointments", "00:05")
    assert whole(first)
    assert isinstance(first, dg.RunRequest)
    assert first.tags[WHOLE_TAG] == "2026-03-10"
    ran(instance, "appointments", first)
    for clock in ("00:15", "12:05", "23:55"):
        assert not whole(tick(instance, "appointments", clock))
    assert whole(tick(instance, "appointments", "00:05", day=11))


def test_a_whole_read_that_failed_or_was_left_out_is_made_up_for_by_the_next_tick(
    instance: dg.DagsterInstance,
) -> None:
    ran(instance, "appointments", tick(instance, "appointments", "00:05", day=20), well=False)
    late = tick(instance, "appointments", "00:15", day=20)
    assert whole(late)
    ran(instance, "appointments", late)
    assert not whole(tick(instance, "appointments", "00:25", day=20))


def test_check_ins_leave_the_import_to_an_appointments_run_that_is_going(instance: dg.DagsterInstance) -> None:
    said: dict[str, dg.RunRequest | str] = {}

    @dg.op
    def long_read(context: dg.OpExecutionContext) -> None:
        said["during"] = tick(context.instance, "check_ins", "12:38")

    @dg.job(name="appointments")
    def reading() -> None:
        long_read()

    reading.execute_in_process(instance=instance)
    during, afterwards = said["during"], tick(instance, "check_ins", "13:08")
    assert isinstance(during, dg.RunRequest)
    assert isinstance(afterwards, dg.RunRequest)
    assert during.asset_selection == [dg.AssetKey(["ghl", "check_in_notes"])]
    assert afterwards.asset_selection is None
