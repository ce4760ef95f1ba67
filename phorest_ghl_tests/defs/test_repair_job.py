"""What an appointments run could not bring is tried again by a job that a sensor launches, or by hand."""

from collections.abc import Iterator

import dagster as dg
import orjson
import pytest

from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.repair import repair as by_hand
from phorest_ghl.definitions import build_defs
from phorest_ghl.defs.repair.clients import repair_sensor
from phorest_ghl.sync.client_repair import again, given_up
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import Diary, salon

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    with salon(database.url) as made:
        yield made


def asked(diary: Diary, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    """What the sensor asks for."""
    context = dg.build_sensor_context(instance=instance, resources={"salon": diary.rig.runtime})
    found = repair_sensor(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def launched(diary: Diary, instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    job = build_defs(resources={"salon": diary.rig.runtime}).resolve_job_def("repair")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config=request.run_config).success


def wait_is_over(diary: Diary) -> None:
    with diary.rig.engine.begin() as connection:
        connection.exec_driver_sql("update work_items set next_try_at = now() where cause = 'client not brought'")


def items(diary: Diary) -> list[tuple[str, int]]:
    rows = diary.rig.rows("select state, attempts from work_items where cause = 'client not brought' order by id")
    return [(row["state"], row["attempts"]) for row in rows]


def test_a_client_whom_phorest_refused_for_a_moment_is_brought_by_the_job_and_its_event_by_the_next_run(
    diary: Diary,
) -> None:
    client = diary.meet()
    diary.book(client)
    diary.rig.fault("500", "GET /client/{clientId}", api="phorest", rate=1.0)
    assert diary.tick().reasons["deferred"] == {again("transient"): 1}
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(asked(diary, instance), dg.SkipReason), "it rests for half a minute"
        wait_is_over(diary)
        first = asked(diary, instance)
        again_asked = asked(diary, instance)
        assert isinstance(first, dg.RunRequest)
        assert isinstance(again_asked, dg.RunRequest)
        assert first.run_key == again_asked.run_key, "one try is launched once"
        assert launched(diary, instance, first)
        assert items(diary) == [("open", 2)]
        wait_is_over(diary)
        second = asked(diary, instance)
        assert isinstance(second, dg.RunRequest)
        assert second.run_key != first.run_key
        diary.rig.calm()
        assert launched(diary, instance, second)
        assert items(diary) == [("resolved", 2)]
        assert isinstance(asked(diary, instance), dg.SkipReason)
    assert diary.tick().outcomes["applied"] == 1
    assert [event["contactId"] for event in diary.events()] == [diary.rig.contact_of(client["clientId"])["id"]]


def test_a_client_that_was_given_up_is_brought_by_hand(diary: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    client = diary.meet()
    diary.book(client)
    diary.load()
    diary.rig.fault("500", "GET /client/{clientId}", api="phorest", rate=1.0)
    reasons = [diary.apply().reasons["deferred"] for _ in range(3) if wait_is_over(diary) is None]
    assert reasons == [{again("transient"): 1}, {again("transient"): 1}, {given_up("transient"): 1}]
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(asked(diary, instance), dg.SkipReason), "nobody but a person tries it again today"
    diary.rig.calm()
    settings = diary.rig.runtime.settings
    assert by_hand(settings, Out(as_json=True), client_ids=[client["clientId"]]) is Exit.WELL
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["ok"]
    assert answer["entities"]["clients"]["outcomes"]["applied"] == 1
    assert items(diary) == [("resolved", 3)]
    assert diary.rig.rows("select 1 as one from audit_findings where resolved_at is null") == []
    assert diary.apply().outcomes["applied"] == 1

    assert by_hand(settings, Out(as_json=True), client_ids=["nobody-of-this-salon-00"]) is Exit.NEEDS_A_PERSON
    assert "Phorest has no such client" in capsys.readouterr().out
