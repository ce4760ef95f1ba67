"""Migrations: from nothing, by several at once, and never out of step with the tables."""

import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from phorest_ghl.db.engine import make_engine
from phorest_ghl.db.migrate import NewerDatabase, current_revision, drift, head_revision, upgrade
from phorest_ghl.db.tables import metadata
from phorest_ghl_tests.support.databases import Database


def test_an_empty_database_is_brought_to_the_present_and_once_more_changes_nothing(scratch_database: Database) -> None:
    with scratch_database.engine.connect() as connection:
        assert current_revision(connection) is None
    upgrade(scratch_database.engine)
    upgrade(scratch_database.engine)
    with scratch_database.engine.connect() as connection:
        assert current_revision(connection) == head_revision()
        found = set(sa.inspect(connection).get_table_names())
    assert found == {*metadata.tables, "alembic_version"}


def test_the_migrations_make_exactly_the_tables_that_are_defined(database: Database) -> None:
    with database.engine.connect() as connection:
        assert drift(connection) == []


@pytest.mark.parametrize(
    "change",
    [
        "alter table sync_logs drop column retry_count",
        "alter table phorest_clients alter column version type integer",
        "drop index uq_sync_intents_open",
        "alter table entity_mappings alter column role drop not null",
        "alter table ghl_locations alter column mode drop default",
        "create table stray (id int)",
    ],
)
def test_drift_sees_what_differs(database: Database, change: str) -> None:
    with database.engine.connect() as connection:
        connection.execute(sa.text(change))
        assert drift(connection) != []


def test_a_database_of_a_newer_version_is_a_sentence_and_stays_as_it_is(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="at revision 9999, which this version of phorest_ghl does not know"):
        upgrade(database.engine)
    with database.engine.connect() as connection:
        assert current_revision(connection) == "9999"


def test_several_processes_may_upgrade_at_once(scratch_database: Database) -> None:
    script = (
        "import sys; from phorest_ghl.db.engine import make_engine; from phorest_ghl.db.migrate import upgrade;"
        "upgrade(make_engine(sys.argv[1]))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, scratch_database.url], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors: list[BaseException] = []

    def migrate() -> None:
        engine = make_engine(scratch_database.url)
        try:
            upgrade(engine)
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    with scratch_database.engine.connect() as connection:
        assert current_revision(connection) == head_revision()
        assert drift(connection) == []


def test_a_salon_of_its_own_schema_leaves_the_others_alone(scratch_database: Database) -> None:
    engine = make_engine(scratch_database.url, schema="downtown")
    upgrade(engine, schema="downtown")
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        assert set(inspector.get_table_names(schema="downtown")) == {*metadata.tables, "alembic_version"}
        assert inspector.get_table_names(schema="public") == []
        assert drift(connection) == []
    engine.dispose()
