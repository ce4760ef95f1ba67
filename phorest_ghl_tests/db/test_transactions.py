"""Transactions that outlive a lost connection, and no other error."""

import pytest
import sqlalchemy as sa

from phorest_ghl.db.engine import DatabaseUnreachable
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl_tests.support.databases import Database


def lose(database: Database, connection: sa.Connection) -> None:
    """End the session of a connection from outside, as a restart does."""
    pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
    with database.engine.connect() as other:
        other.exec_driver_sql(f"select pg_terminate_backend({pid}, 5000)")


@pytest.fixture
def kept(database: Database) -> Database:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("create table kept (n int)")
    return database


def count(database: Database) -> int:
    with database.engine.connect() as connection:
        return connection.exec_driver_sql("select count(*) from kept").scalar_one()


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_the_work_is_done_again_from_the_start_until_it_is_committed(kept: Database, losses: int) -> None:
    tries = []

    def work(connection: sa.Connection) -> str:
        tries.append(1)
        connection.exec_driver_sql("insert into kept values (1)")
        if len(tries) <= losses:
            lose(kept, connection)
        connection.exec_driver_sql("insert into kept values (2)")
        return "done"

    assert in_transaction(kept.engine, work, patience_s=20) == "done"
    assert len(tries) == losses + 1
    assert count(kept) == 2


def test_any_other_error_is_raised_at_once_and_nothing_is_kept(kept: Database) -> None:
    tries = []

    def work(connection: sa.Connection) -> None:
        tries.append(1)
        connection.exec_driver_sql("insert into kept values (1)")
        connection.exec_driver_sql("select no_such_function()")

    with pytest.raises(sa.exc.ProgrammingError):
        in_transaction(kept.engine, work)
    assert (len(tries), count(kept)) == (1, 0)


def test_a_defect_in_the_work_is_raised_at_once_and_nothing_is_kept(kept: Database) -> None:
    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("insert into kept values (1)")
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        in_transaction(kept.engine, work)
    assert count(kept) == 0


def test_patience_ends_with_a_sentence(kept: Database) -> None:
    def work(connection: sa.Connection) -> None:
        lose(kept, connection)
        connection.exec_driver_sql("select 1")

    with pytest.raises(DatabaseUnreachable, match=r"was lost again and again for 0\.3 seconds"):
        in_transaction(kept.engine, work, patience_s=0.3)
