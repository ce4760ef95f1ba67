"""Engines and connections to PostgreSQL: URLs, time-outs, patience, record locks.

Belongs here: whatever is about reaching a database, whichever table is asked for. Does not belong here: tables,
queries, migrations, and starting a server (`phorest_ghl.db.embedded`).
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Generator

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.types.json import set_json_loads
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

OUR_DRIVER = "postgresql+psycopg"
DAGSTER_DRIVER = "postgresql+psycopg2"
OLDEST_MAJOR = 15

# A statement of ours writes one page or one set-wise projection; five minutes is a hang, not work.
STATEMENT_TIMEOUT_MS = 300_000
LOCK_TIMEOUT_MS = 60_000
# A process that stopped between two statements must not hold row locks for the night.
IDLE_IN_TRANSACTION_TIMEOUT_MS = 600_000
CONNECT_TIMEOUT_S = 10

_ENDING = frozenset({"57P01", "57P02", "57P03"})  # admin shutdown, crash shutdown, cannot connect now

_POSTGRES_NAMES = frozenset({"postgres", "postgresql", OUR_DRIVER, DAGSTER_DRIVER})
# libpq gives no SQLSTATE for a refused connection, only the server's sentence; these never heal by waiting.
_HOPELESS = (
    "password authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied for database",
)


class DatabaseUnreachable(Exception):
    """PostgreSQL cannot be reached or used; the text is a sentence for people and never holds a password."""


class DatabaseUrlError(ValueError):
    """A database URL of the settings is not one this product can use; the text never repeats the URL."""


class UnsupportedPostgresError(DatabaseUnreachable):
    """The server is older than PostgreSQL 15."""


class RecordBusy(Exception):
    """Another session holds a record's lock for longer than the caller wanted to wait."""


def product_url(url: str) -> str:
    """Return `url` with psycopg 3 named as its driver, whatever PostgreSQL driver it named before.

    Raises:
        DatabaseUrlError: it is not a PostgreSQL URL.
    """
    return _with_driver(url, OUR_DRIVER)


def dagster_url(url: str) -> str:
    """Return `url` for Dagster's storage, which works with psycopg2 only (facts/dependencies §0).

    Raises:
        DatabaseUrlError: it is not a PostgreSQL URL.
    """
    return _with_driver(url, DAGSTER_DRIVER)


def _with_driver(url: str, driver: str) -> str:
    return _parse(url).set(drivername=driver).render_as_string(hide_password=False)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The parser's own message may repeat the URL, password and all.
        message = "The database URL cannot be read. It should look like postgresql://user:password@host:5432/name."
        raise DatabaseUrlError(message) from None
    if parsed.drivername not in _POSTGRES_NAMES:
        message = (
            f"The database URL begins with {parsed.drivername}://, but only PostgreSQL is supported: begin it with "
            "postgresql://."
        )
        raise DatabaseUrlError(message)
    return parsed


def make_engine(url: str, *, schema: str | None = None) -> sa.Engine:
    """Return an engine on `url` over psycopg 3; nothing is connected yet.

    Every session is named `phorest_ghl`, speaks UTC, has the time-outs of this module, and finds unqualified names in
    `schema` only: falling back on `public` could read another salon's rows.

    Raises:
        DatabaseUrlError: it is not a PostgreSQL URL.
    """
    engine = sa.create_engine(
        product_url(url),
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        pool_recycle=1800,
        connect_args={"application_name": "phorest_ghl", "connect_timeout": CONNECT_TIMEOUT_S},
        hide_parameters=True,
    )
    session_settings = {
        "timezone": "UTC",
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }
    if schema is not None:
        session_settings["search_path"] = _quoted(schema)

    def prepare(connection: psycopg.Connection, _record: object) -> None:
        # Set outside a transaction, else the pool's first rollback would undo it.
        connection.autocommit = True
        set_json_loads(orjson.loads, connection)
        names, values = list(session_settings), list(session_settings.values())
        connection.execute(
            "SELECT set_config(n, v, false) FROM unnest(%s::text[], %s::text[]) AS t(n, v)", [names, values]
        )
        connection.autocommit = False

    event.listen(engine, "connect", prepare)
    event.listen(engine, "handle_error", _notice_shutdown)
    return engine


def _notice_shutdown(context: sa.ExceptionContext) -> None:
    """A server that ends says so before the connection looks closed; the dialect only asks whether it is closed."""
    error = context.original_exception
    if isinstance(error, psycopg.Error) and error.sqlstate in _ENDING:
        context.is_disconnect = True


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def connect_with_patience(
    engine: sa.Engine, seconds: float = 30, *, sleep: Callable[[float], object] = time.sleep
) -> sa.Connection:
    """Return a connection, trying again for up to `seconds` while PostgreSQL starts or restarts.

    A wrong password or a missing database is reported at once: waiting does not heal it.

    Raises:
        DatabaseUnreachable: there is no connection after `seconds`, or there can be none.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            reason = _reason(error, engine.url)
            if any(words in reason for words in _HOPELESS):
                message = (
                    f"PostgreSQL at {_where(engine.url)} refused the connection: {reason}. Correct the database URL."
                )
                raise DatabaseUnreachable(message) from None
            if time.monotonic() + pause > deadline:
                message = (
                    f"PostgreSQL at {_where(engine.url)} gave no connection within {seconds:g} seconds ({reason}). "
                    "Start it, or correct the database URL."
                )
                raise DatabaseUnreachable(message) from None
        sleep(pause)
        pause = min(pause * 2, 1.0)


def _where(url: URL) -> str:
    host = url.query.get("host", url.host)
    port = url.query.get("port", url.port)
    return f"{host or 'localhost'}, port {port or 5432}, database {url.database or 'of the user name'}"


def _reason(error: OperationalError, url: URL) -> str:
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    reason = lines[0] if lines else "no reason given"
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret:
            reason = reason.replace(secret, "***")
    return reason.rstrip(".")


def require_supported_version(engine: sa.Engine) -> None:
    """Check that the server is PostgreSQL 15 or newer.

    Raises:
        UnsupportedPostgresError: it is older.
        DatabaseUnreachable: it gave no connection.
    """
    with connect_with_patience(engine) as connection:
        number = int(connection.execute(sa.text("SHOW server_version_num")).scalar_one())
    check_version(number, where=_where(engine.url))


def check_version(number: int, *, where: str) -> None:
    """Raise `UnsupportedPostgresError` where `number`, a `server_version_num`, is below PostgreSQL 15."""
    if number < OLDEST_MAJOR * 10_000:
        message = (
            f"PostgreSQL at {where} is version {number // 10_000}; version {OLDEST_MAJOR} or newer is needed. "
            "Upgrade it, or leave DATABASE_URL empty to use the embedded server."
        )
        raise UnsupportedPostgresError(message)


@contextlib.contextmanager
def record_lock(connection: sa.Connection, *keys: str, timeout_s: float = 60) -> Generator[None]:
    """Hold the advisory locks of `keys` on `connection` while the block runs.

    The locks belong to the session, so the block may commit several transactions (intent, request, result) under one
    lock. Take the lock outside a transaction and end every transaction inside the block: a lock released before its
    commit protects nothing. Locks are taken in one global order, so holders of overlapping keys never deadlock.

    Raises:
        RecordBusy: another session kept a lock for `timeout_s` seconds; nothing is held then.
        RuntimeError: the block began or ended in the middle of a transaction.
    """
    if connection.in_transaction():
        message = "record_lock must be taken outside a transaction: commit first, then lock."
        raise RuntimeError(message)
    # By hash and not by key: two keys with one hash would otherwise have two places in the order.
    hashes = sorted({_lock_number(key) for key in keys})
    taken: list[int] = []
    try:
        _take(connection, hashes, taken, timeout_s)
        yield
        if connection.in_transaction():
            message = "The block under record_lock left a transaction open: end it before the lock is released."
            raise RuntimeError(message)
    finally:
        _release(connection, taken)


def _lock_number(key: str) -> int:
    digest = hashlib.blake2b(f"phorest_ghl record {key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _take(connection: sa.Connection, hashes: list[int], taken: list[int], timeout_s: float) -> None:
    try:
        with connection.begin():
            milliseconds = str(max(1, round(timeout_s * 1000)))
            connection.execute(sa.text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": milliseconds})
            for number in hashes:
                connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": number})
                taken.append(number)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        message = f"Another run has been working on this record for more than {timeout_s:g} seconds. Try again later."
        raise RecordBusy(message) from None
    except BaseException:
        # Interrupted between the server's grant and our note of it: only the end of the session frees it for sure.
        connection.invalidate()
        raise


def _release(connection: sa.Connection, taken: list[int]) -> None:
    if connection.closed or connection.invalidated:
        return  # the locks ended with their session
    try:
        if connection.in_transaction():
            connection.rollback()
        with connection.begin():
            for number in reversed(taken):
                connection.execute(sa.text("SELECT pg_advisory_unlock(:number)"), {"number": number})
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
