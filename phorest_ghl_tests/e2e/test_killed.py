"""A run, its daemon and its UI killed by kill -9 at once, and started again: Dagster goes on, and nothing is there twice."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl_tests.e2e.stack import Command, Dagster, eventually, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

_ADDRESS = r"Dagster's UI: (\S+)"


def kill_all_but_postgresql(folder: Path) -> int:
    """Kill -9 of every process that works in a folder or names it; how many there were."""
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            home = (entry / "cwd").readlink()
        except OSError:
            continue
        ours = str(folder) in line or home.is_relative_to(folder)
        if ours and "postgres:" not in line and "bin/postgres" not in line:
            os.kill(int(entry.name), signal.SIGKILL)
            killed += 1
    return killed


def test_a_run_and_its_daemon_are_killed_and_the_ones_that_are_started_again_finish_its_work(desk: Path) -> None:
    options = SandboxOptions(clients=150, seed=7, months=0, latency_ms=60, rate_window_s=1.0)
    with SandboxProcess(options) as sandbox:
        assert run("init", cwd=desk).returncode == 0
        with (desk / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in sandbox.settings.items())
        creates = json.loads(run("plan", "--json", cwd=desk).stdout)["entities"]["clients"]["create"]
        first = run("sync", "clients", "--workflows-paused", "--limit", "1", "--json", cwd=desk)
        assert first.returncode == 0, first.stderr

        with Command("dev", "--port", "0", cwd=desk) as dev:
            url = eventually(lambda: dev.said(_ADDRESS), seconds=150, what="the UI's address")
            run_id = Dagster(url).launch("clients")
            eventually(
                lambda: len(sandbox.truth("ghl/contacts")) > 5 or None, seconds=90, what="contacts of the launched run"
            )
            assert kill_all_but_postgresql(desk) >= 3  # the command, the daemon, the webserver, the run
        made = len(sandbox.truth("ghl/contacts"))

        with Command("dev", "--port", "0", cwd=desk) as dev:
            url = eventually(lambda: dev.said(_ADDRESS), seconds=150, what="the UI's address, once more")
            dagster = Dagster(url)
            assert dagster.ended(run_id, seconds=180) == "FAILURE"
            again = eventually(lambda: dagster.retry_of(run_id), seconds=60, what="the run that goes on")
            assert dagster.ended(again, seconds=120) == "SUCCESS", "its pool's slot was not freed, or it met a defect"
            time.sleep(2)  # what was sent without an answer shows itself after GHL's search lag
            assert dagster.ended(dagster.launch("clients")) == "SUCCESS"

            told = json.loads(run("logs", "--run", run_id, "--json", cwd=desk).stdout)
            assert [row["status"] for row in told["runs"]] == ["partial"], "a killed run is summed up, once"
            dev.interrupt()

        assert made < len(sandbox.truth("ghl/contacts")) == creates, "a contact is missing or there twice"
        assert json.loads(run("plan", "--json", cwd=desk).stdout)["requests"] == 0
        assert run("stop-database", cwd=desk).returncode == 0
