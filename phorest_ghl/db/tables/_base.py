"""What all tables share: the metadata with its naming convention, and the few column shapes that recur."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Instant = DateTime(timezone=True)


def row_id() -> Column[int]:
    """A surrogate key, for rows whose natural key is not one."""
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def moment(name: str, *, default: bool = True) -> Column[datetime]:
    """An instant that is always there; `default` fills it with the server's clock."""
    return Column(name, Instant, nullable=False, server_default=func.now() if default else None)


def text(name: str, *, null: bool = False, default: str | None = None) -> Column[str]:
    """A text column; not null unless said otherwise."""
    return Column(name, Text, nullable=null, server_default=default)


def json(name: str, *, null: bool = True, default: str | None = None) -> Column[Any]:
    """A JSON document."""
    return Column(name, JSONB, nullable=null, server_default=default)
