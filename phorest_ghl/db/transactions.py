"""Work that outlives a restart of PostgreSQL: transactions and record locks. Does not belong here: engines, SQL."""

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from phorest_ghl.db.engine import DatabaseUnreachable, connect_with_patience, record_lock

T = TypeVar("T")


def in_transaction(engine: Engine, work: Callable[[Connection], T], *, patience_s: float = 60) -> T:
    """Run `work` in a transaction and commit it; again from the start while PostgreSQL restarts.

    `work` must be safe to repeat: if the connection dies during the commit, it may have been done already.
    Raises DatabaseUnreachable after `patience_s`; every other error as it is.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with connect_with_patience(engine, max(1.0, deadline - time.monotonic())) as connection:
            try:
                with connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
        if time.monotonic() > deadline:
            raise DatabaseUnreachable(
                f"The connection to PostgreSQL was lost again and again for {patience_s:g} seconds. Look into the "
                "server's log for what ends its sessions, then run again; what was committed is kept."
            )


def under_lock(engine: Engine, keys: Collection[str], work: Callable[[], T], *, patience_s: float = 60) -> T:
    """Run `work`, which opens its own transactions, while this process holds the records' locks.

    Where the connection dies before the locks are held, they are asked for again; `work` is never run twice.
    Raises RecordBusy while another process keeps one of them, DatabaseUnreachable after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        began = False
        try:
            with (
                connect_with_patience(engine, max(1.0, deadline - time.monotonic())) as connection,
                record_lock(connection, *keys),
            ):
                began = True
                return work()
        except DBAPIError as error:
            if began or not error.connection_invalidated or time.monotonic() > deadline:
                raise
