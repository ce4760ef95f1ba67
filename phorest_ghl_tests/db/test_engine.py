"""Engines: URLs of any spelling, sessions that are set up, patience while PostgreSQL restarts, record locks."""

import threading
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.db.engine import (
    DatabaseUnreachable,
    DatabaseUrlError,
    RecordBusy,
    UnsupportedPostgresError,
    check_version,
    connect_with_patience,
    dagster_url,
    make_engine,
    product_url,
    record_lock,
    require_supported_version,
)
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.session_folder import FAST

SPELLINGS = ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"]
SECRET = "s3cr3t-Pässwort/@:%"
TABLE = sa.table("things", sa.column("n"))


@pytest.mark.parametrize("scheme", SPELLINGS)
@pytest.mark.parametrize(
    "rest", ["://me:pw@db.example:6543/salon", "://postgres@/salon?host=%2Fvar%2Frun%2Fpg&port=5432", ":///salon"]
)
def test_every_spelling_of_a_url_gets_the_driver_of_its_use(scheme: str, rest: str) -> None:
    assert product_url(scheme + rest) == f"postgresql+psycopg{rest}"
    assert dagster_url(scheme + rest) == f"postgresql+psycopg2{rest}"


@given(password=st.text(min_size=1), database=st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_no_password_is_changed_on_the_way(password: str, database: str) -> None:
    given_url = sa.URL.create("postgresql", "me", password, "db.example", 5432, database).render_as_string(
        hide_password=False
    )
    for rewritten in (product_url(given_url), dagster_url(given_url), product_url(dagster_url(given_url))):
        assert make_url(rewritten).password == make_url(given_url).password == password
        assert make_url(rewritten).database == database


@pytest.mark.parametrize("url", ["mysql://me:hunter2@db/x", "hunter2", "", "postgresql://me:hunter2@db:port/x"])
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="postgresql://") as refused:
        make_engine(url)
    assert "hunter2" not in str(refused.value)


def test_a_session_has_our_name_zone_and_time_outs_and_keeps_them(scratch_database: Database) -> None:
    expected = {
        "application_name": "phorest_ghl",
        "TimeZone": "UTC",
        "statement_timeout": "5min",
        "lock_timeout": "1min",
        "idle_in_transaction_session_timeout": "10min",
    }
    with scratch_database.engine.connect() as connection:
        for _use in range(2):
            shown = {name: connection.execute(sa.text(f"SHOW {name}")).scalar_one() for name in expected}
            assert shown == expected
            connection.rollback()


@pytest.mark.parametrize("schema", ["salon_a", "Salon B", 'quo"ted', "per%cent"])
def test_names_are_found_in_the_schema_of_the_engine_and_nowhere_else(scratch_database: Database, schema: str) -> None:
    engine = make_engine(scratch_database.url, schema=schema)
    with scratch_database.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE public.things AS SELECT 1 AS n"))
        connection.execute(sa.schema.CreateSchema(schema))
    with engine.connect() as connection:
        with pytest.raises(sa.exc.ProgrammingError, match="does not exist"):
            connection.execute(sa.select(TABLE))
        connection.rollback()
        connection.execute(sa.text("CREATE TABLE things AS SELECT 2 AS n"))
        connection.commit()
        assert connection.execute(sa.select(TABLE)).scalar_one() == 2
    engine.dispose()


def test_failing_statements_do_not_print_their_values(scratch_database: Database) -> None:
    with (
        scratch_database.engine.connect() as connection,
        pytest.raises(sa.exc.ProgrammingError) as failed,
    ):
        connection.execute(sa.text("SELECT * FROM nowhere WHERE email = :email"), {"email": "aoife@example.ie"})
    assert "aoife" not in str(failed.value)


def test_a_connection_is_waited_for_while_the_server_restarts(state_dir: Path) -> None:
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    engine = make_engine(server.url("postgres"))
    with connect_with_patience(engine) as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    server.stop()
    waits: list[float] = []

    def start_after_two_waits(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            server.start()

    with connect_with_patience(engine, sleep=start_after_two_waits) as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    assert len(waits) == 2
    engine.dispose()


def test_a_pooled_connection_that_died_is_replaced_unseen(scratch_database: Database) -> None:
    with scratch_database.engine.connect() as connection:
        pid = end_session_of(connection, scratch_database)
    with scratch_database.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() != pid


def test_an_absent_server_is_reported_in_a_sentence_without_the_password() -> None:
    url = sa.URL.create("postgresql", "me", SECRET, database="salon", query={"host": "/nowhere"})
    engine = make_engine(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnreachable) as failed:
        connect_with_patience(engine, seconds=0.2)
    text = str(failed.value)
    assert text.startswith("PostgreSQL at /nowhere, port 5432, database salon gave no connection within 0.2 seconds")
    assert text.endswith("Start it, or correct the database URL.")
    assert SECRET not in text
    assert failed.value.__cause__ is None


def test_a_password_repeated_by_the_server_is_masked(scratch_database: Database) -> None:
    url = make_url(scratch_database.url).set(database=f"no {SECRET}", password=SECRET)
    with pytest.raises(DatabaseUnreachable) as failed:
        connect_with_patience(make_engine(url.render_as_string(hide_password=False)), seconds=0)
    reason = str(failed.value).partition("connection:")[2]
    assert "***" in reason
    assert SECRET not in reason


def test_nobody_waits_for_a_database_that_does_not_exist(database_server: EmbeddedServer) -> None:
    def never(seconds: float) -> None:
        pytest.fail(f"waited {seconds} seconds for what waiting does not heal")

    with pytest.raises(DatabaseUnreachable, match=r"refused the connection: .*does not exist\. Correct"):
        connect_with_patience(make_engine(database_server.url("no_such_database")), sleep=never)


def test_the_server_of_the_tests_is_new_enough(scratch_database: Database) -> None:
    require_supported_version(scratch_database.engine)


@pytest.mark.parametrize(("number", "name"), [(149_999, "14"), (130_004, "13")])
def test_a_server_that_is_too_old_is_refused_by_name(number: int, name: str) -> None:
    with pytest.raises(UnsupportedPostgresError, match=f"is version {name}; version 15 or newer is needed"):
        check_version(number, where="db.example")
    check_version(150_000, where="db.example")


def test_a_record_is_locked_against_other_sessions_until_the_block_ends(scratch_database: Database) -> None:
    engine = scratch_database.engine
    with engine.connect() as first, engine.connect() as second:
        with record_lock(first, "client:1", "client:2"):
            for key in ("client:1", "client:2"):
                with (
                    pytest.raises(RecordBusy, match=r"more than 0\.05 seconds"),
                    record_lock(second, key, timeout_s=0.05),
                ):
                    pytest.fail("two sessions held one lock")
            with record_lock(second, "client:3", timeout_s=0.05):
                pass
        with record_lock(second, "client:2", "client:1", timeout_s=0.05):
            pass
        assert held(engine) == 0


def test_a_refused_lock_gives_back_those_already_taken(scratch_database: Database) -> None:
    engine = scratch_database.engine
    keys = [f"client:{n}" for n in range(20)]
    with engine.connect() as first, engine.connect() as second, record_lock(first, keys[7]):
        with pytest.raises(RecordBusy), record_lock(second, *keys, timeout_s=0.05):
            pytest.fail("two sessions held one lock")
        assert held(engine) == 1
        assert second.execute(sa.text("SHOW lock_timeout")).scalar_one() == "1min"


def test_a_lock_lasts_over_the_commits_of_its_block(scratch_database: Database) -> None:
    with scratch_database.engine.connect() as connection, record_lock(connection, "client:1"):
        for _step in ("intent", "result"):
            with connection.begin():
                connection.execute(sa.text("SELECT 1"))
            assert held(scratch_database.engine) == 1


def test_a_failing_block_frees_its_locks_and_keeps_its_error(scratch_database: Database) -> None:
    with scratch_database.engine.connect() as connection:
        with pytest.raises(sa.exc.DataError), record_lock(connection, "client:1"):
            connection.execute(sa.text("SELECT 1 / 0"))
        assert held(scratch_database.engine) == 0
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_a_lock_ends_with_its_session_and_does_not_hide_why(scratch_database: Database) -> None:
    def lose_the_session(connection: sa.Connection) -> None:
        with record_lock(connection, "client:1"):
            end_session_of(connection, scratch_database)
            connection.execute(sa.text("SELECT 1"))

    with scratch_database.engine.connect() as connection:
        with pytest.raises(sa.exc.OperationalError, match="terminating connection"):
            lose_the_session(connection)
        assert held(scratch_database.engine) == 0


def test_a_session_that_died_unnoticed_in_the_block_is_no_error_of_the_lock(scratch_database: Database) -> None:
    engine = scratch_database.engine
    with engine.connect() as connection, record_lock(connection, "client:1"):
        end_session_of(connection, scratch_database)
    assert held(engine) == 0


def test_an_interrupted_wait_for_a_lock_leaves_none_behind(
    scratch_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = scratch_database.engine
    with engine.connect() as connection:
        execute = connection.execute

        def interrupted(statement: sa.Executable, parameters: dict[str, object] | None = None) -> sa.CursorResult:
            result = execute(statement, parameters)
            if "pg_advisory_lock" in str(statement):
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(connection, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt), record_lock(connection, "client:1"):
            pytest.fail("the block ran without its lock")
        monkeypatch.undo()
    deadline = time.monotonic() + 5
    while held(engine) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert held(engine) == 0


def test_a_lock_inside_a_transaction_is_refused_since_it_would_end_before_the_commit(
    scratch_database: Database,
) -> None:
    with (
        scratch_database.engine.begin() as connection,
        pytest.raises(RuntimeError, match="outside a transaction"),
        record_lock(connection, "client:1"),
    ):
        pytest.fail("the block ran")


def test_a_transaction_left_open_in_the_block_is_reported_and_the_lock_freed(scratch_database: Database) -> None:
    with scratch_database.engine.connect() as connection:
        with pytest.raises(RuntimeError, match="left a transaction open"), record_lock(connection, "client:1"):
            connection.execute(sa.text("SELECT 1"))
        assert held(scratch_database.engine) == 0


def test_holders_of_overlapping_keys_in_any_order_never_deadlock(scratch_database: Database) -> None:
    engine = scratch_database.engine
    keys = [f"client:{n}" for n in range(6)]
    inside: list[int] = []
    most: list[int] = []
    errors: list[Exception] = []

    def work(order: list[str]) -> None:
        try:
            with engine.connect() as connection:
                for _turn in range(15):
                    with record_lock(connection, *order, timeout_s=20):
                        inside.append(1)
                        most.append(len(inside))
                        inside.pop()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (keys, keys[::-1], keys[3:] + keys[:3])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert errors == []
    assert len(most) == 45
    assert max(most) == 1


def held(engine: sa.Engine) -> int:
    """Number of advisory locks in the database."""
    with engine.connect() as connection:
        query = """
            SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
        return connection.execute(sa.text(query)).scalar_one()


def end_session_of(connection: sa.Connection, database: Database) -> int:
    """End the server's side of `connection`, outside a transaction, and return its process id."""
    with connection.begin():
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with psycopg.connect(database.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    return pid
