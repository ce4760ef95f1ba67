"""The way of a real account, with a sandbox in the place of the vendors: init, plan, confirm, Dagster's UI, stop."""

import json
from pathlib import Path

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl_tests.e2e.stack import Command, Dagster, eventually, processes_in, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_from_init_to_a_run_launched_in_the_ui_and_to_nothing_left_running(desk: Path) -> None:
    with SandboxProcess(SandboxOptions(clients=60, seed=11, months=1, rate_window_s=1.0)) as sandbox:
        assert run("init", cwd=desk).returncode == 0
        with (desk / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in sandbox.settings.items())

        planned = run("plan", "--json", cwd=desk)
        assert planned.returncode == 0, planned.stderr
        creates = json.loads(planned.stdout)["entities"]["clients"]["create"]
        assert creates > 0

        with Command("dev", "--port", "0", cwd=desk) as dev:
            url = eventually(lambda: dev.said(r"Dagster's UI: (\S+)"), seconds=150, what="the UI's address")
            dagster = Dagster(url)
            refused = dagster.launch("clients")
            assert dagster.ended(refused) == "FAILURE"  # nobody has confirmed that the workflows are paused
            assert sandbox.truth("ghl/contacts") == []

            done = run("sync", "clients", "--workflows-paused", "--json", cwd=desk)
            assert done.returncode == 0, done.stderr
            assert len(sandbox.truth("ghl/contacts")) == creates

            again = dagster.launch("clients")
            assert dagster.ended(again) == "SUCCESS"
            assert dagster.latest_metadata("ghl", "contacts")["outcome_applied"] == 0
            assert dagster.ended(dagster.launch("import_everything")) == "SUCCESS"

            on = run("schedules", "on", "prune", "repair", "--json", cwd=desk)
            assert on.returncode == 0, on.stderr
            assert {line["name"] for line in json.loads(on.stdout)["schedules"] if line["running"]} == {
                "prune",
                "repair",
            }
            assert dagster.running_schedules() == {"prune_schedule"}
            off = run("schedules", "off", "--json", cwd=desk)
            assert json.loads(off.stdout)["changed"] == ["prune", "repair"], off.stderr
            assert dagster.running_schedules() == set()
            dev.interrupt()

        assert run("stop-database", cwd=desk).returncode == 0
        assert processes_in(desk) == []
