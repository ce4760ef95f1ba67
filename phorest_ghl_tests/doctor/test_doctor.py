"""The checkup against a real sandbox: everything green, then each thing that can be wrong, made wrong."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl.commands.doctor import document
from phorest_ghl.doctor import ghl_side, here, phorest_side
from phorest_ghl.doctor.checkup import Checkup, Finding, State
from phorest_ghl.doctor.examine import examine
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.salons import HASH_KEY, SECRET_KEY, WINDOW_S

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

AT_ONCE = RetryPolicy(attempts=1)
NO_FILE = Path("no such .env")
READS = ["contacts.readonly", "locations.readonly", "locations/customFields.readonly", "workflows.readonly"]


@pytest.fixture(scope="module")
def salon() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions(clients=20, months=0, rate_window_s=WINDOW_S)) as server:
        yield server


@pytest.fixture
def sandbox(salon: SandboxServer) -> Iterator[SandboxServer]:
    """The salon as it was made, whatever the test before it switched."""
    before = salon.control("GET", "/switches")
    yield salon
    salon.control("POST", "/switches", before)
    salon.control("DELETE", "/faults")


@pytest.fixture
def environ(sandbox: SandboxServer, database: "Database") -> dict[str, str]:
    return {
        **sandbox.settings,
        "DATABASE_URL": database.url,
        "PHOREST_GHL_HASH_KEY": HASH_KEY,
        "PHOREST_GHL_SECRET_KEY": SECRET_KEY,
        "GHL_RATE_WINDOW_S": str(WINDOW_S),
    }


def look(environ: dict[str, str]) -> dict[str, Finding]:
    return {check.name: check.finding for check in checkup(environ).checks}


def checkup(environ: dict[str, str]) -> Checkup:
    return examine(NO_FILE, environ, retry=AT_ONCE)


def reds(found: dict[str, Finding]) -> set[str]:
    return {name for name, finding in found.items() if finding.state is State.RED}


def with_scopes(sandbox: SandboxServer, environ: dict[str, str], scopes: list[str], **more: str) -> dict[str, str]:
    token = sandbox.control("POST", "/tokens", {"scopes": scopes, **more})["token"]
    return {**environ, "GHL_PRIVATE_TOKEN": token}


def test_a_fit_installation_has_nothing_red_and_every_check_once(environ: dict[str, str]) -> None:
    seen = checkup(environ)
    names = [check.name for check in seen.checks]
    assert names == [
        here.SETTINGS,
        here.DATABASE,
        here.HASH_KEY,
        *phorest_side.NAMES,
        *ghl_side.NAMES,
        here.SHARE,
        here.OTHERS,
        here.MODE,
    ]
    found = {check.name: check.finding for check in seen.checks}
    assert reds(found) == set()
    assert found[ghl_side.WRITES].state is State.YELLOW
    assert found[ghl_side.DUPLICATES].state is State.GREEN
    assert "the first run makes them" in found[ghl_side.FIELDS].found
    assert found[here.MODE].found.startswith("quiet: nothing was ever written")


@pytest.mark.parametrize(
    ("wrong", "name", "said", "unreachable"),
    [
        ({"PHOREST_BUSNESS_ID": "x"}, here.SETTINGS, "Did you mean PHOREST_BUSINESS_ID?", False),
        ({"GHL_RATE_LIMIT": "many"}, here.SETTINGS, "GHL_RATE_LIMIT is not usable", False),
        ({"PHOREST_GHL_SECRET_KEY": ""}, here.SETTINGS, "PHOREST_GHL_SECRET_KEY is not set", False),
        ({"PHOREST_GHL_HASH_KEY": "c2hvcnQ="}, here.HASH_KEY, "at least 16 bytes", False),
        ({"PHOREST_CLIENT_SECRET": "changed"}, phorest_side.CREDENTIALS, "with this password", False),
        ({"PHOREST_BUSINESS_ID": "A" * 22}, phorest_side.CREDENTIALS, "no such business", False),
        ({"PHOREST_API_BASE_URL": "http://127.0.0.1:9"}, phorest_side.CREDENTIALS, "gave no answer", True),
        ({"PHOREST_BRANCH_ID": "A" * 22}, phorest_side.ZONES, "Correct PHOREST_BRANCH_ID", False),
        ({"GHL_PRIVATE_TOKEN": "pit-0"}, ghl_side.TOKEN, "does not accept this token", False),
        ({"GHL_LOCATION_ID": "ve9EPM428h8vShlRW1KT"}, ghl_side.TOKEN, "another location", False),
        ({"GHL_API_BASE_URL": "http://127.0.0.1:9"}, ghl_side.TOKEN, "gave no answer", True),
        ({"SALON_TIMEZONE": "America/Toronto"}, ghl_side.ZONE, "SALON_TIMEZONE is America/Toronto", False),
    ],
)  # fmt: skip
def test_each_mistake_in_the_settings_is_one_red_line_and_hides_no_other_side(
    environ: dict[str, str], *, wrong: dict[str, str], name: str, said: str, unreachable: bool
) -> None:
    seen = checkup({**environ, **wrong})
    found = {check.name: check.finding for check in seen.checks}
    assert reds(found) == {name}
    assert said in f"{found[name].found} {found[name].advice}"
    assert found[name].advice
    assert seen.unreachable is unreachable
    sides = {phorest_side.CREDENTIALS, ghl_side.TOKEN, here.SHARE} - {name}
    assert not any(found[side].found.startswith("not checked") for side in sides)


def test_every_wrong_setting_is_told_at_once(environ: dict[str, str]) -> None:
    wrong = {"GHL_PRIVATE_TOKEN": "", "PHOREST_BUSNESS_ID": "x", "PHOREST_CLIENT_ID": "me", "SALON_TIMEZONE": "Dublin"}
    found = look({**environ, "GHL_CLIENT_ID": "", **wrong})
    assert all(name in found[here.SETTINGS].found for name in wrong)
    assert found[here.SETTINGS].found.startswith("4 to mend")
    assert found[ghl_side.TOKEN].found == "not checked: GHL_PRIVATE_TOKEN is not set, or not usable"
    assert found[here.DATABASE].state is State.GREEN


def test_a_database_that_is_away_leaves_both_sides_to_be_checked(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phorest_ghl.db.engine.connect_with_patience.__defaults__", (0.1,))
    seen = checkup({**environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"})
    found = {check.name: check.finding for check in seen.checks}
    assert reds(found) == {here.DATABASE}
    assert seen.unreachable
    assert found[phorest_side.CREDENTIALS].state is found[ghl_side.TOKEN].state is State.GREEN


def test_a_database_of_a_newer_version_is_left_alone(environ: dict[str, str], database: "Database") -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    seen = checkup(environ)
    assert [check.name for check in seen.checks if check.finding.state is State.RED] == [here.DATABASE]
    assert "Update phorest_ghl" in {c.name: c.finding for c in seen.checks}[here.DATABASE].advice
    assert not seen.unreachable


def test_another_hash_key_than_the_databases_is_red(environ: dict[str, str]) -> None:
    look(environ)
    found = look({**environ, "PHOREST_GHL_HASH_KEY": SECRET_KEY})
    assert reds(found) == {here.HASH_KEY}
    assert "Put the first key back" in found[here.HASH_KEY].advice


def test_another_businesss_id_and_another_region_have_sentences_of_their_own(
    environ: dict[str, str], sandbox: SandboxServer
) -> None:
    other = sandbox.control("GET", "/credentials")["other_business"]
    found = look({**environ, "PHOREST_BUSINESS_ID": other})
    assert "no access to this business" in found[phorest_side.CREDENTIALS].found
    sandbox.control("POST", "/switches", {"phorest_wrong_region": True})
    found = look(environ)
    assert reds(found) == {phorest_side.REGION}
    assert "api-gateway-us.phorest.com" in found[phorest_side.REGION].advice
    assert sandbox.truth("phorest/export-jobs") == []


def test_a_delta_filter_that_filters_nothing_is_red(environ: dict[str, str], sandbox: SandboxServer) -> None:
    sandbox.control("POST", "/faults", {"api": "phorest", "route": "GET /client", "kind": "filter_ignored"})
    found = look(environ)
    assert reds(found) == {phorest_side.FILTER}
    assert "lists 2" in found[phorest_side.FILTER].found


@pytest.mark.parametrize("missing", READS)
def test_a_missing_read_scope_is_named(environ: dict[str, str], sandbox: SandboxServer, missing: str) -> None:
    scopes = [scope for scope in READS if scope != missing]
    found = look(with_scopes(sandbox, environ, scopes))
    finding = found.pop(f"GHL scope {missing}")
    assert missing in finding.advice
    assert finding.state is (State.YELLOW if missing == "workflows.readonly" else State.RED)
    assert reds(found) == set()


def test_a_custom_field_of_somebody_elses_or_of_another_type_is_red(
    environ: dict[str, str], sandbox: SandboxServer
) -> None:
    for kind, said in (("TEXT", "--adopt-fields"), ("NUMERICAL", "Rename or delete it")):
        field = sandbox.control("POST", "/ghl/fields", {"name": "Phorest id", "dataType": kind})
        found = look(environ)
        assert reds(found) == {ghl_side.FIELDS}
        assert said in found[ghl_side.FIELDS].advice
        sandbox.control("DELETE", f"/ghl/fields/{field['id']}")


def test_published_workflows_are_named_until_somebody_has_confirmed_them(
    environ: dict[str, str], sandbox: SandboxServer, database: "Database"
) -> None:
    published = sandbox.control("GET", "/workflows")["workflows"]
    finding = look(environ)[ghl_side.WORKFLOWS]
    assert finding.state is State.YELLOW
    assert all(workflow["id"] in finding.found for workflow in published)
    assert "--workflows-paused" in finding.advice
    with database.engine.begin() as connection:
        connection.execute(
            sa.text("insert into ghl_locations (location_id, workflows_confirmed_at) values (:id, now())"),
            {"id": environ["GHL_LOCATION_ID"]},
        )
    found = look(environ)
    assert found[ghl_side.WORKFLOWS].state is State.GREEN
    assert "until `phorest-ghl go-live`" in found[here.MODE].found
    with database.engine.begin() as connection:
        connection.execute(sa.text("update ghl_locations set mode = 'live'"))
    assert look(environ)[here.MODE].found.startswith("live")


def test_what_follows_from_the_duplicate_settings_is_said(environ: dict[str, str], sandbox: SandboxServer) -> None:
    odd: tuple[tuple[dict[str, object], str], ...] = (
        ({"ghl_unique_identifiers": ["email"]}, "not by phone"),
        ({"ghl_identifiers_shown": False}, "does not say by which address"),
        ({"ghl_allow_duplicate_contact": True}, "every client gets a contact of her own"),
    )
    for switches, said in odd:
        sandbox.control("POST", "/switches", switches)
        finding = look(environ)[ghl_side.DUPLICATES]
        assert (finding.state, said in finding.found) == (State.YELLOW, True)


def test_a_share_above_80_percent_and_others_on_the_limit_are_yellow(
    environ: dict[str, str], database: "Database"
) -> None:
    state = {"format": 1, "foreign": 30.0, "foreign_until": 4e9, "lanes": {}, "recent": []}
    with database.engine.begin() as connection:
        connection.execute(
            sa.text("insert into api_budget (key, state) values (:key, cast(:state as jsonb))"),
            {"key": f"ghl:{environ['GHL_LOCATION_ID']}", "state": json.dumps(state)},
        )
    found = look({**environ, "GHL_BUDGET_SHARE": "0.98"})
    assert found[here.SHARE].state is found[here.OTHERS].state is State.YELLOW
    assert "98%" in found[here.SHARE].found
    assert "30 of the location's 100" in found[here.OTHERS].found


def test_the_command_ends_with_0_1_or_3_and_shows_no_secret(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PHOREST_", "GHL_", "SALON", "DATABASE_URL"))]:
        monkeypatch.delenv(name)

    def call(*options: str, **more: str) -> Result:
        return CliRunner().invoke(app, ["doctor", *options], env={**environ, **more})

    well = call("--json")
    assert well.exit_code == 0, well.output
    shown = json.loads(well.stdout)
    assert shown["ok"] is True
    assert shown == document(checkup(environ))
    assert {"name", "state", "found", "advice"} == set(shown["checks"][0])
    wrong = call(PHOREST_CLIENT_SECRET="hunter2hunter2")
    assert wrong.exit_code == 1
    assert "→ Put the user and password" in wrong.stdout
    assert not any(secret in wrong.output for secret in ("hunter2", environ["GHL_PRIVATE_TOKEN"], HASH_KEY, SECRET_KEY))
    assert call(PHOREST_CLIENT_SECRET="hunter2hunter2", GHL_API_BASE_URL="http://127.0.0.1:9").exit_code == 3


def test_a_clock_that_is_wrong_is_told_and_so_is_a_branch_without_zone(
    environ: dict[str, str], database: "Database"
) -> None:
    with SandboxServer(SandboxOptions(clients=20, months=0, rate_window_s=WINDOW_S)) as sandbox:
        own = {**environ, **sandbox.settings}
        sandbox.control("POST", "/clock", {"advance_s": 60})
        found = look(own)
        assert found[phorest_side.CLOCK].state is found[ghl_side.CLOCK].state is State.YELLOW
        sandbox.control("POST", "/clock", {"advance_s": 3600})
        branch = sandbox.truth("phorest/branches")[0]["branchId"]
        sandbox.control("PATCH", f"/phorest/branches/{branch}", {"timeZone": "Europe/Dubln"})
        found = look(own)
        assert reds(found) == {phorest_side.CLOCK, ghl_side.CLOCK, phorest_side.ZONES}
        assert branch in found[phorest_side.ZONES].found
        sandbox.control("PATCH", f"/phorest/branches/{branch}", {"timeZone": "UTC", "country": "Atlantis"})
        assert "country of branch" in look(own)[phorest_side.ZONES].found
