"""Bring a database to the present schema. Belongs here: running Alembic. Does not: what the tables are (`tables`)."""

from pathlib import Path
from threading import Lock

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.engine import DatabaseUnreachable
from phorest_ghl.db.tables import metadata

_MIGRATIONS = Path(__file__).parent / "migrations"
_ALEMBIC = Lock()
_LOCK = 0x5048_4F52_4553_5401  # one migrator at a time in a database, whoever it is


class NewerDatabase(DatabaseUnreachable):
    """The database was migrated by a newer version of the product, which this one would damage: a sentence."""


def upgrade(engine: Engine, *, schema: str | None = None) -> None:
    """Create or migrate all tables, forward only; safe to call from several processes at once.

    `schema` is made if it is missing; the engine's search_path must name it (`make_engine(url, schema=…)`).
    Raises NewerDatabase where the database is ahead of this version.
    """
    # Alembic keeps its context in a module, so threads take turns; processes do by the lock in the database.
    with _ALEMBIC, engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            if schema:
                connection.execute(
                    text(f"create schema if not exists {engine.dialect.identifier_preparer.quote(schema)}")
                )
            connection.commit()
            if (present := current_revision(connection)) != head_revision():
                _require_known(present)
                command.upgrade(_config(connection), "head")
                connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def head_revision() -> str:
    """The newest revision that this version of the product knows."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def current_revision(connection: Connection) -> str | None:
    """The revision that a database is at; None where it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def _require_known(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()}
    if revision is not None and revision not in known:
        raise NewerDatabase(
            f"The database's tables are at revision {revision}, which this version of phorest_ghl does not know: a newer "
            "one has worked on them. Update phorest_ghl on this machine, then run again."
        )


def drift(connection: Connection) -> list[object]:
    """How the database differs from the tables as defined: an empty list where they agree."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
