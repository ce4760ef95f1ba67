"""`phorest-ghl backfill` as an operator or a script meets it."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl.commands.backfill import progress_shown
from phorest_ghl.commands.console import Out
from phorest_ghl.load_progress import Progress, Spaced
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import HASH_KEY, WINDOW_S

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)


def writing(done: int, known: int = 40) -> Progress:
    return Progress(step="Writing clients", done=done, known=known, written=done, to_write=60, minutes_left=1.25)


@pytest.mark.road
def test_a_load_on_the_command_line_is_planned_refused_carried_out_and_then_has_nothing_left_to_do(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with SandboxServer(SandboxOptions(clients=14, months=2, now=NOW, rate_window_s=WINDOW_S)) as sandbox:
        environ = {
            **sandbox.settings,
            "DATABASE_URL": database.url,
            "PHOREST_GHL_HASH_KEY": HASH_KEY,
            "GHL_RATE_WINDOW_S": str(WINDOW_S),
        }

        def call(*arguments: str) -> Result:
            return CliRunner().invoke(app, ["backfill", "--from", "2026-01", *arguments], env=environ)

        refused = call("--json")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "phorest-ghl sync clients --workflows-paused" in refused.stderr
        assert sandbox.control("GET", "/requests")["apis"]["ghl"]["requests"] == 0

        planned = json.loads(call("--dry-run", "--json").stdout)
        assert {"ok", "entities", "requests", "minutes", "days", "problems"} == planned.keys()
        assert sandbox.truth("ghl/contacts") == []

        done = call("--workflows-paused", "--json")
        assert done.exit_code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["ok"] is True
        assert list(document["entities"]) == ["clients", "staff", "appointments", "check-ins"]
        for name, entity in document["entities"].items():
            assert 0 <= entity["outcomes"]["applied"] <= planned["entities"][name]["at_most"]
        assert document["entities"]["appointments"]["outcomes"]["applied"] > 0
        assert "Importing appointments of 2026-01: " in done.stderr
        assert "records in all" in done.stderr

        again = json.loads(call("--json").stdout)
        assert {entity["outcomes"]["applied"] for entity in again["entities"].values()} == {0}


@pytest.mark.parametrize("months", [("--from", "2025"), ("--from", "2025-03", "--to", "2025-02")])
def test_months_that_cannot_be_meant_are_wrong_usage_and_a_sentence(
    months: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["backfill", *months])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "month" in done.stderr
    assert "Traceback" not in done.output


def test_without_a_terminal_progress_comes_now_and_then_and_at_both_ends_of_a_step() -> None:
    seconds = iter(range(100))
    said: list[str] = []
    spaced = Spaced(lambda progress: said.append(str(progress)), every_s=10, clock=lambda: next(seconds))
    for done in (*range(41), 40):
        spaced.tell(writing(done))
    assert said[0] == "Writing clients: 0 of 40, 0 of 60 records in all, about 1.2 minutes left"
    assert said[-1].startswith("Writing clients: 40 of 40, 40 of 60")
    assert 4 <= len(said) <= 8
    assert len(set(said)) == len(said)


def test_at_a_terminal_each_step_has_a_bar_and_the_months_of_an_import_share_one() -> None:
    written, out = StringIO(), Out(as_json=False)
    out.text = Console(file=written, force_terminal=True, width=120, highlight=False)
    with progress_shown(out) as tell:
        tell(Progress(step="Importing appointments of 2026-01", done=2, known=5))
        tell(Progress(step="Importing appointments of 2026-02", done=3, known=5, minutes_left=0.5))
        tell(writing(40))
    shown = written.getvalue()
    assert "3/5" in shown
    assert "40/40" in shown
    assert "40 of 60 in all, 1.2 minutes left" in shown
    assert "2026-02" not in shown
