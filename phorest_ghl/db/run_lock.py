"""Who works on a location: any number of runs at once, or one command that must be alone with it.

Belongs here: the lock that runs share and go-live does not. Does not: locks of single records (`engine.record_lock`).
"""

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from phorest_ghl.db.engine import connect_with_patience

_AGAIN_S = 0.1


class LocationBusy(Exception):
    """Somebody else works on the location, and the two must not meet; the text is a sentence for people."""


@contextmanager
def at_work(engine: Engine, location_id: str, *, patience_s: float = 60) -> Generator[None]:
    """Write to a location beside other runs, while nobody is alone with it; waits `patience_s` for that.

    The lock ends with its session: if PostgreSQL restarts in the middle, the block goes on without it.
    Raises LocationBusy.
    """
    busy = f"Location {location_id} is going live at this moment. Start the run again when `phorest-ghl go-live` has ended."
    with _held(engine, location_id, shared=True, busy=busy, patience_s=patience_s):
        yield


@contextmanager
def alone(engine: Engine, location_id: str, *, patience_s: float = 2) -> Generator[None]:
    """Be alone with a location: no run works on it, and none begins.

    Waits `patience_s`, for the server takes a moment to notice that a process was killed. Raises LocationBusy.
    """
    busy = (
        f"A run is writing to location {location_id}, or another go-live works on it. Wait until it has ended "
        "(`phorest-ghl status` shows the last runs), then go live again."
    )
    with _held(engine, location_id, shared=False, busy=busy, patience_s=patience_s):
        yield


@contextmanager
def _held(engine: Engine, location_id: str, *, shared: bool, busy: str, patience_s: float) -> Generator[None]:
    kind, number = "_shared" if shared else "", _number(location_id)
    deadline = time.monotonic() + patience_s
    with connect_with_patience(engine) as connection:
        while not _ask(connection, f"pg_try_advisory_lock{kind}", number):
            if time.monotonic() > deadline:
                raise LocationBusy(busy)
            time.sleep(_AGAIN_S)
        try:
            yield
        finally:
            _release(connection, f"pg_advisory_unlock{kind}", number)


def _number(location_id: str) -> int:
    digest = hashlib.blake2b(f"phorest_ghl location {location_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _ask(connection: Connection, function: str, number: int) -> bool:
    try:
        with connection.begin():
            return bool(connection.execute(text(f"select {function}(:number)"), {"number": number}).scalar_one())
    except BaseException:
        # Interrupted between the server's grant and our note of it: only the end of the session frees it for sure.
        connection.invalidate()
        raise


def _release(connection: Connection, function: str, number: int) -> None:
    if connection.closed or connection.invalidated:
        return  # the lock ended with its session
    try:
        _ask(connection, function, number)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
