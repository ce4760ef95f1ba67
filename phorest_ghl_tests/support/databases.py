"""The PostgreSQL that the tests share: one server per test session, one database per test.

Belongs here: what the database fixtures of `conftest` are made of. Does not belong here: the fixtures themselves, and
anything about the tables.

The server belongs to the session's controlling process. xdist's workers start it when the first of them needs it; the
controller stops it and removes its files. What a killed controller leaves behind, the next session that starts a server
clears away.
"""

import contextlib
import fcntl
import functools
import secrets
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from phorest_ghl.db import migrate
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.db.engine import make_engine
from phorest_ghl_tests.support import session_folder

TEMPLATE = "phorest_ghl_template"
FAST = session_folder.FAST


@dataclass(frozen=True)
class Database:
    """One database of the shared server."""

    name: str
    url: str
    dsn: str

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """An engine of the product's own kind, made when first asked for."""
        return make_engine(self.url)

    def close(self) -> None:
        """Close the engine's connections, if there are any."""
        if "engine" in self.__dict__:
            self.engine.dispose()


def start(folder: Path) -> EmbeddedServer:
    """Start the session's server, or find it started by another worker."""
    server = EmbeddedServer(folder, settings=FAST)
    with _one_at_a_time(folder):
        if not server.is_running():
            for orphan in session_folder.orphaned_folders():
                end(orphan)
            server.start()
    return server


def end(folder: Path) -> None:
    """Stop the server in `folder` and remove every file of it."""
    server = EmbeddedServer(folder)
    server.stop()
    shutil.rmtree(server.home)
    shutil.rmtree(folder, ignore_errors=True)


def make_template(server: EmbeddedServer, folder: Path) -> str:
    """Migrate a database once per session, under its final name only when it is complete."""
    draft = f"{TEMPLATE}_draft"
    with _one_at_a_time(folder), _admin(server) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone() is None:
            _drop(connection, draft)
            server.ensure_database(draft)
            engine = make_engine(server.url(draft))
            migrate.upgrade(engine)
            engine.dispose()
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(TEMPLATE))
            )
    return TEMPLATE


@contextlib.contextmanager
def database(server: EmbeddedServer, template: str) -> Generator[Database]:
    """Lend a new copy of `template` for the length of the block, then drop it whoever is still connected."""
    name = f"t_{secrets.token_hex(6)}"
    with _admin(server) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    lent = Database(name, server.url(name), server.dsn(name))
    try:
        yield lent
    finally:
        lent.close()
        with _admin(server) as connection:
            _drop(connection, name)


def _admin(server: EmbeddedServer) -> psycopg.Connection:
    return psycopg.connect(server.dsn("postgres"), autocommit=True)


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Generator[None]:
    folder.mkdir(exist_ok=True)
    with (folder / "session.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
