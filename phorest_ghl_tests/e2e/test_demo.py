"""The demo as a newcomer sees it: one command, real processes, the sandbox's truth, and nothing left behind."""

import json
from pathlib import Path

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.e2e.leaks import leaks_of, secrets_of_processes_in
from phorest_ghl_tests.e2e.stack import Command, Dagster, eventually, processes_in, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_the_demo_ends_well_only_because_the_sandbox_says_so(desk: Path) -> None:
    done = run("demo", "--exit", "--json", "--clients", "200", "--seed", "5", cwd=desk)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    truth = document["truth"]
    assert truth["syncable"] == truth["on_one_contact"] > 100
    assert truth["twice"] == truth["missing"] == truth["unasked"] == 0
    outcomes = document["entities"]["clients"]["outcomes"]
    assert sum(outcomes.values()) == 201
    assert outcomes["failed"] == 0
    # The agency's own contacts: some are clients and are taken over, of others a person has to say whose they are.
    assert outcomes["rejected"] == truth["for_review"] > 0
    assert truth["adopted"] > 10
    assert truth["overwritten"] == truth["loosened"] == truth["reachable"] == truth["wrongly_adopted"] == 0
    assert document["second_run"]["changes"] == 0
    # Beside the opt-out poll, one read of each contact of the agency's that is blocked and holds a client's address.
    assert document["second_run"]["requests"] <= 6 + 40
    assert document["automations"] == 0
    entities = document["entities"]
    assert {"clients", "loyalty", "products", "appointments", "bookings", "check-ins", "staff"} <= set(entities)
    assert entities["appointments"]["outcomes"]["applied"] > 0
    staff = document["staff"]
    assert staff["people"] == staff["on_one_contact"] > staff["made"] > 0
    assert staff["reachable"] == 0
    day = document["day"]
    assert sum(day["happened"].values()) == 36
    assert day["diary"]["appointments"] == day["diary"]["on_one_event"] > 0
    assert day["strangers"] == day["missing"] == day["twice"] == day["reachable"] == day["diary"]["extra"] == 0
    assert document["rate"]["used"] <= document["rate"]["limit"]
    assert processes_in(desk) == []
    # A day of people's data went through; none of it stands in what was said, logged and stored in passing.
    with SandboxServer(SandboxOptions(clients=20, seed=5)) as same_seed:  # which makes the same credentials
        secrets = [same_seed.settings[name] for name in ("PHOREST_CLIENT_SECRET", "GHL_PRIVATE_TOKEN")]
    assert leaks_of(desk / ".phorest-ghl" / "demo", done.stdout + done.stderr, secrets=secrets) == []
    assert processes_in(desk) == []


def test_the_demo_never_uses_the_credentials_of_a_real_account(desk: Path) -> None:
    """Settings of the environment and of .env are another account's; a demo that read them would write to it."""
    (desk / ".env").write_text("GHL_API_BASE_URL=https://unreachable.invalid\nGHL_LOCATION_ID=real\n", encoding="utf-8")
    done = run(
        "demo",
        "--exit",
        "--no-day",
        "--json",
        "--clients",
        "20",
        cwd=desk,
        GHL_PRIVATE_TOKEN="pit-real",
        DATABASE_URL="x",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True


def test_the_demo_serves_dagster_until_it_is_interrupted_and_leaves_nothing_running(desk: Path) -> None:
    with Command("demo", "--no-day", "--clients", "60", "--port", "0", cwd=desk) as demo:
        url = eventually(lambda: demo.said(r"Dagster's UI: (\S+?)/asset-groups"), seconds=150, what="the UI's address")
        dagster = Dagster(url)
        assert dagster.latest_metadata("ghl", "contacts")["outcome_applied"] == 0  # the second run's
        assert dagster.latest_metadata("phorest", "clients")["rows_seen"] is not None
        run_id = dagster.launch("clients")
        assert dagster.ended(run_id) == "SUCCESS"
        secrets = secrets_of_processes_in(desk)
        demo.interrupt()
    assert processes_in(desk) == []
    # Nothing of anybody, and no secret, in all that was said, logged and stored, Dagster's storage included.
    assert len(secrets) == 4
    said, folder = "\n".join(demo.lines), desk / ".phorest-ghl" / "demo"
    assert leaks_of(folder, said, secrets=secrets) == []
    planted = folder / "planted.log"
    planted.write_text(f"token={min(secrets)}", encoding="utf-8")
    assert leaks_of(folder, said, secrets=secrets) == ["secret in planted.log"]
    assert processes_in(desk) == []
