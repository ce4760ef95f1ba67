"""`plan --file` and `sync --plan` as a person types them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl_tests.sync.events.diary import Diary, salon
from phorest_ghl_tests.sync.rig import environment

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: "Database", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Diary]:
    monkeypatch.chdir(tmp_path)
    with salon(database.url) as made:
        for name, value in environment(made.sandbox, database.url).items():
            monkeypatch.setenv(name, value)
        yield made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_plan_of_appointments_goes_from_a_file_into_ghl_and_is_refused_after_a_move(
    diary: Diary, tmp_path: Path
) -> None:
    (first,) = diary.book(diary.reachable(0))
    planned = call("plan", "appointments", "--file", "plan.json")
    assert planned.exit_code == 0, planned.output
    assert json.loads((tmp_path / "plan.json").read_bytes())["entity"] == "appointments"
    diary.edit(first, startTime="14:00:00.000", endTime="14:45:00.000")
    refused = call("sync", "--plan", "plan.json")
    assert (refused.exit_code, diary.events()) == (1, [])
    assert f"{first} (would be written otherwise)" in refused.output
    assert "Traceback" not in refused.output
    call("plan", "appointments", "--file", "plan.json", "--no-import")
    diary.pass_time(seconds=2)
    (second,) = diary.book(diary.reachable(1))
    done = call("sync", "--plan", "plan.json", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["entities"]["appointments"]["outcomes"]["deferred"] == 1
    assert [row["id"] for row in diary.events()] == [diary.event_of(first)["id"]]
    assert call("sync", "appointments").exit_code == 0
    assert diary.event_of(second)


def test_staff_and_check_ins_are_planned_into_files_and_pages_too(diary: Diary, tmp_path: Path) -> None:
    call("sync", "appointments")
    for entity in ("staff", "check-ins", "loyalty"):
        assert call("plan", entity, "--file", f"{entity}.html").exit_code in (0, 1)
        assert f"Plan of {entity}" in (tmp_path / f"{entity}.html").read_text()
        assert call("plan", entity, "--file", f"{entity}.json", "--no-import").exit_code in (0, 1)
        done = call("sync", "--plan", f"{entity}.json", "--no-import", "--json")
        assert list(json.loads(done.stdout)["entities"]) == [entity], done.output


def test_wrong_use_of_plans_ends_with_a_sentence(diary: Diary) -> None:
    for arguments, said in (
        (("plan", "staff", "--file", "plan.txt"), "neither .json nor .html"),
        (("plan", "staff", "--file", "no/where.json"), "There is no folder"),
        (("sync", "--plan", "missing.json"), "cannot be read"),
        (("sync", "staff", "--adopt-fields"), "is for `phorest-ghl sync clients`"),
    ):
        done = call(*arguments)
        assert (done.exit_code, said in done.output) == (2, True), done.output
    call("plan", "staff", "--file", "plan.json")
    assert "is one of staff, not of loyalty" in call("sync", "loyalty", "--plan", "plan.json").output
    assert "do not go together" in call("sync", "staff", "--plan", "plan.json", "--limit", "1").output
