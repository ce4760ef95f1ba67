"""Why an event is as it is, and the explanation as a command and as a job of Dagster's."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.explain import explain
from phorest_ghl.definitions import build_defs
from phorest_ghl.explain.client import NotKnown
from phorest_ghl.explaining import document_of
from phorest_ghl_tests.sync.events.diary import Diary, salon

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: "Database") -> Iterator[Diary]:
    with salon(database.url) as made:
        yield made


def explained(diary: Diary, key: str, *, live: bool = False) -> dict[str, Any]:
    return document_of(diary.rig.runtime, "appointment", key, live=live)


def line(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(line for line in document["fields"] if line["field"] == name)


def test_an_appointment_is_explained_before_and_after_its_event_is_made_and_changed(diary: Diary) -> None:
    client = diary.reachable()
    (key,) = diary.book(client)
    diary.load()
    before = explained(diary, key)
    assert (before["event"], before["next_run"]["action"]) == (None, "create")
    assert before["next_run"]["why"]
    diary.apply()
    diary.edit(key, startTime="14:00:00.000", endTime="14:45:00.000")
    diary.load()
    assert line(explained(diary, key), "start")["verdict"].startswith("to be written (update)")
    result = diary.apply()
    document = explained(diary, key)
    assert line(document, "start")["sent"]["run"] == result.batch_id
    assert {one["verdict"] for one in document["fields"]} == {"as it should be"}
    assert document["contact"] == diary.rig.contact_of(client["clientId"])["id"]
    assert document["event"]["id"] == diary.event_of(key)["id"]
    assert "startTime" in document["versions"][0]["changed"]
    assert diary.services[0]["name"] not in json.dumps(document)
    diary.sandbox.control("PATCH", f"/ghl/events/{document['event']['id']}", {"title": "Something else"})
    assert line(explained(diary, key, live=True), "title")["verdict"].startswith("changed in GHL")
    with pytest.raises(NotKnown, match="There is no appointment nothing here"):
        explained(diary, "nothing")


def test_the_command_and_the_job_show_one_explanation_masked(diary: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    client = diary.reachable()
    settings = diary.rig.runtime.settings
    capsys.readouterr()
    code = explain(
        settings, Out(as_json=True), entity="client", phorest_id=client["clientId"], live=False, values=False
    )
    written = capsys.readouterr()
    document = json.loads(written.out)
    assert (code, document["client"]) == (Exit.WELL, client["clientId"])
    assert "Who shares its contact" in written.err
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(resources={"salon": diary.rig.runtime}).resolve_job_def("explain")
        config = {"ops": {"explain_record": {"config": {"client_id": client["clientId"]}}}}
        result = job.execute_in_process(instance=instance, run_config=config)
    (event,) = [e for e in result.all_events if e.event_type_value == "ASSET_OBSERVATION"]
    page = str(event.asset_observation_data.asset_observation.metadata["explanation"].value)
    assert f"**Client {client['clientId']}**" in page
    assert "| phorest_id | always restored |" in page
    for value in (client["truth"]["phone"], client["truth"]["email"], client["lastName"]):
        assert value is None or value not in page + written.out + written.err
