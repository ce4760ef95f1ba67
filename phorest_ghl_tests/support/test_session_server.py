"""The shared server of a test session: gone when the session is, however it ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from phorest_ghl_tests.support import session_folder
from phorest_ghl_tests.support.postgres_processes import answer_of, postmasters, run_python

ROOT = Path(__file__).resolve().parents[2]
START = """
    from phorest_ghl_tests.support import databases, session_folder
    folder = session_folder.new_folder()
    print(databases.start(folder).home, flush=True)
    """


def folders_of(pid: int) -> list[Path]:
    return list(session_folder.fast_parent().glob(f"phorest_ghl-tests-{pid}-*"))


@pytest.mark.crash
def test_a_session_with_workers_leaves_no_server_and_no_file() -> None:
    tests = "phorest_ghl_tests/db/test_engine.py"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-k", "new_enough or last_over_the_commits", tests]
    session = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _nothing = session.communicate(timeout=120)
    assert session.returncode == 0, said
    assert folders_of(session.pid) == []


@pytest.mark.crash
def test_what_a_killed_session_left_is_ended_by_the_next_one_that_starts_a_server() -> None:
    killed = run_python(START + "\n    os._exit(9)")
    home = Path(killed.communicate(timeout=60)[0].strip())
    assert len(postmasters(home)) == 1
    assert folders_of(killed.pid) == [home.parent]
    answer_of(run_python(START + "\n    databases.end(folder)"))
    assert postmasters(home) == []
    assert folders_of(killed.pid) == []


def test_the_folder_of_a_living_session_is_no_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_folder, "fast_parent", lambda: tmp_path)
    monkeypatch.setattr(session_folder, "_MEMORY", tmp_path)
    mine = session_folder.new_folder()
    mine.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    orphan = tmp_path / f"phorest_ghl-tests-{ended.pid}-abc"
    orphan.mkdir()
    assert str(os.getpid()) in mine.name
    assert [folder for folder in session_folder.orphaned_folders() if folder.parent == tmp_path] == [orphan]
