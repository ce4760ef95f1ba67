"""The embedded server after kill -9, reused process ids, lost sockets and races."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from phorest_ghl.db import embedded
from phorest_ghl.db.embedded import EmbeddedServer, EmbeddedServerError
from phorest_ghl_tests.support.postgres_processes import (
    answer_of,
    kill_postmaster,
    postmasters,
    run_python,
    wait_until,
)
from phorest_ghl_tests.support.session_folder import FAST

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes through /proc"),
]
# Durable: after a kill -9 everything that was committed must be there.
DURABLE = {**FAST, "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@pytest.fixture
def server(state_dir: Path) -> EmbeddedServer:
    server = EmbeddedServer(state_dir, settings=DURABLE)
    server.start()
    with psycopg.connect(server.dsn("postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) AS n")
    return server


@pytest.fixture
def stranger(server: EmbeddedServer) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no server but has the same owner as one, as a reused process id would."""
    kept_by = (server.home / "data").stat().st_uid
    switch = {"user": kept_by} if os.geteuid() == 0 else {}
    process = subprocess.Popen(["sleep", "600"], cwd="/", **switch)
    yield process
    process.kill()
    process.wait()


def check_data(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn("postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_killed_server_starts_again_with_all_that_was_committed(server: EmbeddedServer) -> None:
    bystander = psycopg.connect(server.dsn("postgres"), autocommit=True)
    kill_postmaster(server)
    assert not server.is_running()
    server.start()
    check_data(server)
    assert len(postmasters(server.home)) == 1
    with pytest.raises(psycopg.OperationalError):
        bystander.execute("SELECT 1")
    bystander.close()


def test_a_query_that_outlives_its_killed_server_does_not_block_the_next(server: EmbeddedServer) -> None:
    def run_for_ever() -> None:
        with psycopg.connect(server.dsn("postgres")) as connection, pytest.raises(psycopg.OperationalError):
            connection.execute("DO $$ DECLARE n bigint := 0; BEGIN LOOP n := n + 1; END LOOP; END $$")

    busy = threading.Thread(target=run_for_ever)
    busy.start()
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as watcher:
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        wait_until(lambda: watcher.execute(active).fetchone() == (1,))
    kill_postmaster(server)
    server.start()
    busy.join(timeout=20)
    assert not busy.is_alive()
    check_data(server)


def test_a_foreign_process_id_in_the_pid_file_is_neither_believed_nor_harmed(
    server: EmbeddedServer, stranger: subprocess.Popen[bytes]
) -> None:
    kill_postmaster(server)
    pid_file = server.home / "data/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    (server.home / "run/.s.PGSQL.5432.lock").write_text(pid_file.read_text())
    assert not server.is_running()
    server.stop()
    assert stranger.poll() is None
    server.start()
    check_data(server)
    assert stranger.poll() is None


def test_stopping_never_signals_a_stranger_named_in_the_pid_file_of_a_live_server(
    server: EmbeddedServer, stranger: subprocess.Popen[bytes]
) -> None:
    pid_file = server.home / "data/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    server.stop()
    assert stranger.poll() is None
    assert postmasters(server.home) == []
    server.start()
    check_data(server)


@pytest.mark.parametrize("text", ["", "not a number\n"])
def test_a_pid_file_that_was_cut_short_is_no_obstacle(server: EmbeddedServer, text: str) -> None:
    kill_postmaster(server)
    (server.home / "data/postmaster.pid").write_text(text)
    server.start()
    check_data(server)


def test_a_live_server_whose_socket_was_removed_is_replaced(server: EmbeddedServer) -> None:
    (before,) = postmasters(server.home)
    shutil.rmtree(server.home / "run")
    assert not server.is_running()
    server.start()
    check_data(server)
    assert postmasters(server.home) != [before]


def test_a_server_that_hangs_is_reported_and_not_killed(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 1)
    monkeypatch.setattr(embedded, "ORPHAN_GRACE_S", 0)
    (pid,) = postmasters(server.home)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match=r"neither answers nor ends[\s\S]*ready to accept connections"):
            server.start()
    finally:
        os.kill(pid, signal.SIGCONT)
    server.start()
    assert pid in postmasters(server.home)  # a child that was just forked looks like it for a moment


def test_a_killed_session_makes_the_server_recover_and_start_waits_for_it(server: EmbeddedServer) -> None:
    connection = psycopg.connect(server.dsn("postgres"))
    os.kill(connection.info.backend_pid, signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    server.start()
    check_data(server)


def test_a_starter_killed_while_it_makes_the_data_leaves_nothing_in_the_way(state_dir: Path) -> None:
    unfinished = EmbeddedServer(state_dir).home / "data.new"
    starter = run_python("EmbeddedServer(Path(sys.argv[1]), settings=FAST).start()", state_dir)
    wait_until((unfinished / "PG_VERSION").exists)
    starter.kill()
    starter.communicate()
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    assert server.is_running()
    assert len(postmasters(server.home)) == 1


def test_eight_processes_that_start_at_once_share_one_server(state_dir: Path) -> None:
    script = """
        sys.stdin.readline()
        server = EmbeddedServer(Path(sys.argv[1]), settings=FAST)
        print(server.start())
        server.ensure_database("shared")
        """
    server = EmbeddedServer(state_dir)
    for state_of_affairs in ("no data yet", "killed"):
        if state_of_affairs == "killed":
            kill_postmaster(server)
        racers = [run_python(script, state_dir) for _ in range(8)]
        assert len({answer_of(racer) for racer in racers}) == 1
        assert len(postmasters(server.home)) == 1
