"""Pausing, trying again and the log, on a salon that is synced."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from phorest_ghl.commands import schedules
from phorest_ghl.commands.audit import audit
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.operating import logs, retry
from phorest_ghl.commands.pausing import pause, resume
from phorest_ghl.commands.schedules import Line, Turn
from phorest_ghl.commands.status import StatusExit, status
from phorest_ghl.db.pauses import Paused
from phorest_ghl.sandbox.ghl import contact_writes
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.client_repair import PAUSED
from phorest_ghl.sync.plan import NOT_AGAIN
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: "Database") -> Iterator[Diary]:
    with salon(database.url) as made:
        yield made


@pytest.fixture(autouse=True)
def dagster(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Schedules as Dagster would hold them, by name: whether each is on."""
    held = {"clients": True, "appointments": True, "loyalty": False, "prune": True, "repair": True}

    def listed(env: Mapping[str, str]) -> list[Line]:
        return [Line(name, "* * * * *", "UTC", name, on, None) for name, on in held.items()]

    def turn(env: Mapping[str, str], lines: Sequence[Line], turn: Turn) -> None:
        held.update({line.name: turn == "on" for line in lines})

    monkeypatch.setattr(schedules, "listed", listed)
    monkeypatch.setattr(schedules, "turn_lines", turn)
    return held


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_pause_holds_every_road_and_turns_its_schedules_off_until_it_is_lifted(
    diary: Diary, dagster: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = diary.rig.runtime.settings
    client = diary.reachable()["clientId"]
    diary.rig.edit_client(client, firstName="Hildegard")
    diary.rig.load()
    pause(settings, Out(as_json=False), entity="all", reason="the agency rebuilds its workflows")
    assert dagster == {"clients": False, "appointments": False, "loyalty": False, "prune": True, "repair": False}
    before = diary.rig.count("sync_run_summaries")
    diary.rig.forget_requests()
    with pytest.raises(Paused, match=r"Everything is paused since .* \(the agency rebuilds its workflows\)"):
        diary.rig.apply()
    diary.book(diary.reachable(1))
    with pytest.raises(Paused):
        diary.tick()
    seen = diary.sandbox.control("GET", "/requests")["requests"]
    assert not [row for row in seen if row["api"] == "ghl" and row["method"] in ("POST", "PUT", "DELETE")
                and row["route"] != "/contacts/search"]  # fmt: skip
    assert diary.rig.count("sync_run_summaries") == before
    with pytest.raises(SettingsError, match="Everything is paused"):
        resume(settings, Out(as_json=False), entity="clients")
    capsys.readouterr()
    resume(settings, Out(as_json=True), entity="all")
    assert told(capsys)["resumed"] == ["all"]
    assert dagster == {"clients": True, "appointments": True, "loyalty": False, "prune": True, "repair": True}
    diary.rig.apply()
    assert diary.rig.contact_of(client)["firstName"] == "Hildegard"
    assert diary.tick().outcomes["applied"] == 1


def test_an_audit_of_a_location_that_is_paused_finds_mends_nothing_and_says_why(
    diary: Diary, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = diary.rig.runtime.settings
    diary.tick()
    contact = diary.rig.contact_of(diary.reachable()["clientId"])
    field = next(key for key, value in contact["customFields"].items() if value == diary.reachable()["clientId"])
    diary.rig.edit_contact(contact["id"], customFields={field: "somebody else's"})
    pause(settings, Out(as_json=False), entity="all", reason=None)
    capsys.readouterr()
    assert audit(settings, Out(as_json=False), mending=True, html=tmp_path / "audit.html") is Exit.NEEDS_A_PERSON
    assert "Nothing was mended. Everything is paused" in " ".join(capsys.readouterr().out.split())
    assert "differs from Phorest" in (tmp_path / "audit.html").read_text()


def test_while_clients_are_paused_appointments_run_and_bring_nobody_new(diary: Diary) -> None:
    settings = diary.rig.runtime.settings
    pause(settings, Out(as_json=False), entity="clients", reason=None)
    contacts = len(diary.rig.contacts())
    diary.book(diary.reachable())
    diary.book(diary.meet(), at=MORNING + timedelta(hours=2))
    result = diary.tick()
    assert (result.outcomes["applied"], result.reasons["deferred"]) == (1, {PAUSED: 1})
    assert len(diary.rig.contacts()) == contacts
    resume(settings, Out(as_json=False), entity="clients")
    assert diary.tick().outcomes["applied"] == 1
    assert len(diary.rig.contacts()) == contacts + 1


def test_what_ghl_did_not_take_is_sent_again_once_somebody_asks_for_it_and_the_log_says_both(
    diary: Diary, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, rig = diary.rig.runtime.settings, diary.rig
    client = diary.reachable()["clientId"]
    honest = contact_writes.changes

    def forgetful(call: Any, before: Any) -> Mapping[str, Any]:
        return {name: value for name, value in honest(call, before).items() if name != "firstName"}

    monkeypatch.setattr(contact_writes, "changes", forgetful)
    rig.edit_client(client, firstName="Hildegard")
    rig.load()
    rig.apply()
    monkeypatch.setattr(contact_writes, "changes", honest)
    assert rig.apply().reasons["rejected"] == {NOT_AGAIN: 1}
    capsys.readouterr()
    assert retry(settings, Out(as_json=True), phorest_ids=[client], entity="clients") is Exit.WELL
    assert [one["cause"] for one in told(capsys)["retried"]] == ["rejected"]
    result = rig.apply()
    assert (result.outcomes["applied"], rig.contact_of(client)["firstName"]) == (1, "Hildegard")
    assert retry(settings, Out(as_json=False), phorest_ids=[client], entity=None) is Exit.NEEDS_A_PERSON
    capsys.readouterr()
    logs(settings, Out(as_json=True), run=None, entity="clients", record=client, status=None, most=50)
    assert [line["status"] for line in told(capsys)["lines"]][:3] == ["success", "skipped", "success"]
    logs(settings, Out(as_json=True), run=result.batch_id, entity=None, record=None, status="success", most=50)
    document = told(capsys)
    assert [run["status"] for run in document["runs"]] == ["completed"]
    assert document["lines"][0]["fields"] == ["first_name"]
    with pytest.raises(SettingsError, match="There is no run nothing"):
        logs(settings, Out(as_json=True), run="nothing", entity=None, record=None, status=None, most=50)


def test_status_names_what_is_wrong_and_ends_with_its_code(
    diary: Diary, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = diary.rig.runtime.settings
    capsys.readouterr()
    assert status(settings, Out(as_json=True)) is StatusExit.DEGRADED, "an opt-in waits for a person"
    document = told(capsys)
    assert [reason["said"].partition(":")[0] for reason in document["reasons"]] == ["records wait for a person"]
    assert document["entities"]["clients"]["last_run"]["status"] == "completed"
    assert document["entities"]["clients"]["schedule"] == "on"
    assert document["budget"]["used_today"] > 0
    pause(settings, Out(as_json=False), entity="loyalty", reason=None)
    capsys.readouterr()
    assert status(settings, Out(as_json=False), ask_dagster=False, html=tmp_path / "status.html") is StatusExit.DEGRADED
    assert "loyalty: paused since" in (tmp_path / "status.html").read_text()
    assert "loyalty: paused since" in capsys.readouterr().out
