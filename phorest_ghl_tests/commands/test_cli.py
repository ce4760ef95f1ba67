"""The commands as a person or a script meets them: what they print, and how they end."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import HASH_KEY, WINDOW_S

pytestmark = pytest.mark.road


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions(clients=40, seed=4, months=0, rate_window_s=WINDOW_S)) as server:
        yield server


@pytest.fixture
def environ(sandbox: SandboxServer, database: Database) -> dict[str, str]:
    return {
        **sandbox.settings,
        "DATABASE_URL": database.url,
        "PHOREST_GHL_HASH_KEY": HASH_KEY,
        "GHL_RATE_WINDOW_S": str(WINDOW_S),
    }


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an environment without settings of the machine's own."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("PHOREST_", "GHL_", "SALON", "DATABASE_URL", "DAGSTER_DATABASE_URL")):
            monkeypatch.delenv(name)
    return tmp_path


def call(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environ or {})


def test_a_plan_as_json_is_one_object_of_the_documented_shape(environ: dict[str, str], sandbox: SandboxServer) -> None:
    done = call("plan", "--json", environ=environ)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    shape = {"entities", "requests", "minutes", "days", "automations", "consent_changes", "guards", "changes"}
    assert shape <= document.keys()
    assert document["entities"]["clients"]["create"] == len(document["changes"])
    assert document["requests"] == len(document["changes"]) + 1  # the first write is read back
    assert document["guards"]
    assert sandbox.truth("ghl/contacts") == []


def test_a_plan_masks_what_is_personal_unless_it_is_asked_for(environ: dict[str, str], sandbox: SandboxServer) -> None:
    phones = {row["truth"]["phone"] for row in sandbox.truth("phorest/clients") if row["truth"]["phone"]}
    masked, plain = (call("plan", "--json", *more, environ=environ) for more in ((), ("--values",)))
    assert not any(phone in masked.output for phone in phones)
    assert any(phone in plain.stdout for phone in phones)


def test_a_sync_can_be_limited_and_can_leave_the_import_out(environ: dict[str, str], sandbox: SandboxServer) -> None:
    call("sync", "clients", "--workflows-paused", "--limit", "1", environ=environ)
    assert len(sandbox.truth("ghl/contacts")) == 1
    sandbox.control("DELETE", "/requests")
    done = json.loads(call("sync", "clients", "--no-import", "--limit", "2", "--json", environ=environ).stdout)
    assert done["entities"]["clients"]["outcomes"]["applied"] >= 2
    assert len(sandbox.truth("ghl/contacts")) == 3
    planned = json.loads(call("plan", "clients", "--no-import", "--json", environ=environ).stdout)
    assert planned["entities"]["clients"]["create"] > 0
    assert {row["api"] for row in sandbox.control("GET", "/requests")["requests"]} == {"ghl"}


def test_a_first_sync_is_refused_with_what_to_do_and_done_once_it_is_confirmed(
    environ: dict[str, str], sandbox: SandboxServer
) -> None:
    refused = call("sync", "clients", environ=environ)
    assert refused.exit_code == 1
    assert "--workflows-paused" in refused.stderr
    assert sandbox.truth("ghl/contacts") == []
    done = call("sync", "clients", "--workflows-paused", "--json", environ=environ)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["entities"]["clients"]["outcomes"]["applied"] > 0
    again = json.loads(call("sync", "clients", "--json", environ=environ).stdout)
    assert again["entities"]["clients"]["outcomes"]["applied"] == again["entities"]["clients"]["requests"] == 0


def test_status_shows_the_runs_there_were(environ: dict[str, str]) -> None:
    call("sync", "clients", "--workflows-paused", environ=environ)
    document = json.loads(call("status", "--quick", "--json", environ=environ).stdout)
    assert [run["status"] for run in document["runs"]] == ["completed"]
    assert document["locations"][0]["mode"] == "quiet"


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"PHOREST_CLIENT_SECRET": "changed"}, 2, "check the credentials"),
        ({"PHOREST_BUSINESS_ID": "AAAAAAAAAAAAAAAAAAAAAA"}, 2, "Phorest answered"),
        ({"PHOREST_BRANCH_ID": "nowhere"}, 2, "names nowhere, which Phorest does not list"),
        ({"GHL_PRIVATE_TOKEN": "pit-00000000-0000-0000-0000-000000000000"}, 2, "check the credentials"),
        ({"PHOREST_BUSNESS_ID": "x"}, 2, "Did you mean PHOREST_BUSINESS_ID?"),
        ({"PHOREST_GHL_HASH_KEY": "c2hvcnQ="}, 2, "at least 16 bytes"),
        ({"GHL_LOCATION_ID": ""}, 2, "GHL_LOCATION_ID is not set"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, 3, "PostgreSQL at 127.0.0.1"),
    ],
    ids=["password", "business", "branch", "token", "misspelt", "short key", "missing", "no database"],
)
def test_a_mistake_is_a_sentence_and_an_exit_code_and_never_a_traceback(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], code: int, said: str
) -> None:
    monkeypatch.setattr("phorest_ghl.db.engine.connect_with_patience.__defaults__", (0.2,))
    done = call("plan", environ={**environ, **wrong})
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit)


def test_parts_of_contacts_are_synced_by_name_and_summed_up_apart(environ: dict[str, str]) -> None:
    assert call("sync", "clients", "--workflows-paused", environ=environ).exit_code == 0
    for entity in ("loyalty", "bookings"):
        done = call("sync", entity, "--json", environ=environ)
        assert done.exit_code == 0, done.stderr
        (found,) = json.loads(done.stdout)["entities"].items()
        assert found[0] == entity
        assert sum(found[1]["outcomes"].values()) > 0
    done = call("plan", "products", "--no-import", "--json", environ=environ)
    assert list(json.loads(done.stdout)["entities"]) == ["products"]
    runs = json.loads(call("status", "--quick", "--json", environ=environ).stdout)["runs"]
    assert {run["entity_type"] for run in runs} == {"client", "loyalty", "booking"}


def test_an_unknown_entity_is_a_sentence(environ: dict[str, str]) -> None:
    done = call("sync", "clinets", environ=environ)
    assert done.exit_code == 2
    assert "clients" in done.stderr


def test_another_hash_key_stops_before_anything_is_written(environ: dict[str, str], sandbox: SandboxServer) -> None:
    call("sync", "clients", "--workflows-paused", environ=environ)
    sandbox.control("DELETE", "/requests")
    other = {**environ, "PHOREST_GHL_HASH_KEY": "YW5vdGhlciBoYXNoIGtleSwgMzIgYnl0ZXMgbG9uZy4="}
    done = call("sync", "clients", environ=other)
    assert done.exit_code == 2
    assert "is not the key that this database was written with" in done.stderr
    writes = [
        r
        for r in sandbox.control("GET", "/requests")["requests"]
        if r["api"] == "ghl" and r["method"] in {"PUT", "POST"}
    ]
    assert writes == []


def test_init_makes_a_private_file_with_both_keys_and_never_changes_them(desk: Path) -> None:
    assert call("init").exit_code == 0
    first = (desk / ".env").read_text(encoding="utf-8")
    assert stat.S_IMODE((desk / ".env").stat().st_mode) == 0o600
    keys = dict(line.split("=", 1) for line in first.splitlines() if line.startswith("PHOREST_GHL_") and "KEY=" in line)
    assert len(keys["PHOREST_GHL_HASH_KEY"]) == len(keys["PHOREST_GHL_SECRET_KEY"]) == 44
    assert keys["PHOREST_GHL_HASH_KEY"] != keys["PHOREST_GHL_SECRET_KEY"]
    assert call("init").exit_code == 0
    assert (desk / ".env").read_text(encoding="utf-8") == first


def test_init_adds_missing_keys_to_a_file_that_is_there_and_keeps_the_rest(desk: Path) -> None:
    (desk / ".env").write_text("# mine\nGHL_LOCATION_ID=abc\nPHOREST_GHL_HASH_KEY=kept\n", encoding="utf-8")
    call("init")
    lines = (desk / ".env").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# mine", "GHL_LOCATION_ID=abc", "PHOREST_GHL_HASH_KEY=kept"]
    assert lines[3].startswith("PHOREST_GHL_SECRET_KEY=")


def test_the_settings_example_is_printed_whole() -> None:
    done = call("settings-example")
    assert done.exit_code == 0
    assert "PHOREST_API_BASE_URL=" in done.stdout


def test_check_ins_are_planned_and_synced_by_their_name(database: Database) -> None:
    with SandboxServer(SandboxOptions(clients=40, seed=4, months=1, rate_window_s=WINDOW_S)) as salon:
        environ = {
            **salon.settings,
            "DATABASE_URL": database.url,
            "PHOREST_GHL_HASH_KEY": HASH_KEY,
            "GHL_RATE_WINDOW_S": str(WINDOW_S),
        }
        assert call("sync", "--workflows-paused", "--json", environ=environ).exit_code == 0
        planned = json.loads(call("plan", "check-ins", "--json", environ=environ).stdout)
        done = call("sync", "check-ins", "--json", environ=environ)
        assert done.exit_code == 0, done.stderr
        outcomes = json.loads(done.stdout)["entities"]["check-ins"]["outcomes"]
        notes = salon.truth("ghl/notes")
        assert notes
        assert outcomes["applied"] == planned["entities"]["check-ins"]["changes"]["create"] == len(notes)


def test_the_staff_are_planned_and_synced_by_their_name(database: Database) -> None:
    with SandboxServer(SandboxOptions(clients=20, seed=4, rate_window_s=WINDOW_S)) as salon:
        environ = {
            **salon.settings,
            "DATABASE_URL": database.url,
            "PHOREST_GHL_HASH_KEY": HASH_KEY,
            "GHL_RATE_WINDOW_S": str(WINDOW_S),
        }
        assert call("sync", "staff", "--json", environ=environ).exit_code == 1, "the clients come first"
        assert call("sync", "--workflows-paused", "--json", environ=environ).exit_code == 0
        assert call("sync", "staff", "--adopt-fields", environ=environ).exit_code == 2
        shown = call("plan", "staff", "--json", environ=environ)
        planned = json.loads(shown.stdout)
        changes = planned["entities"]["staff"]["changes"]
        assert changes["create"] > 0
        row = next(row for row in salon.truth("phorest/staff") if row["staffId"] in planned["changes"][-1]["staff"])
        assert row["email"] not in shown.stdout
        assert row["email"] in call("plan", "staff", "--values", "--no-import", "--json", environ=environ).stdout
        part = json.loads(call("sync", "staff", "--limit", "1", "--json", environ=environ).stdout)["entities"]["staff"]
        assert (part["outcomes"]["applied"], part["outcomes"]["deferred"]) == (1, sum(changes.values()) - 1)
        done = call("sync", "staff", "--no-import", "--json", environ=environ)
        assert done.exit_code == 0, done.stderr
        tagged = [contact for contact in salon.truth("ghl/contacts") if "role:staff" in contact["tags"]]
        assert len(tagged) == sum(changes.values())


def test_the_staff_map_names_rooms_nobody_and_waits_for_a_review(
    environ: dict[str, str], sandbox: SandboxServer, desk: Path
) -> None:
    (first, *_) = (
        row for row in sandbox.truth("phorest/staff") if row["userId"] and row["email"] and not row["archived"]
    )
    user = sandbox.truth("ghl/users")[1]
    sandbox.control("PATCH", f"/phorest/staff/{first['staffId']}", {"email": user["email"]})
    done = call("staff-map", "--json", environ=environ)
    assert done.exit_code == 1, "somebody has no user"
    document = json.loads(done.stdout)
    pseudo = {row["staffId"] for row in sandbox.truth("phorest/staff") if row["hideFromOnlineBookings"]}
    assert set(document["pseudo_staff"]) == pseudo
    assert [p["user"] for p in document["proposals"] if first["staffId"] in p["staff"]] == [user["id"]]
    written = (desk / "salon.toml").read_text()
    assert "reviewed = false" in written
    assert first["staffId"] in written
    assert json.loads(call("staff-map", "--json", environ=environ).stdout)["added"] == 0
