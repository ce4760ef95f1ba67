"""How long what is over is kept: old versions of rows, and tombstones.

Belongs here: rules and the pruning. Does not: the days (`settings`), when it runs, forgetting a person (safety S21).

A row that Phorest still lists is never pruned: the next full read would bring it back as if it were new.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.phorest.specs import IMPORTS, PURCHASES

_AT_ONCE = 5_000
"""Rows deleted in one transaction, so that no import waits long for a lock."""

TABLES = {spec.table.name: spec for spec in (*IMPORTS, PURCHASES)}


@dataclass(frozen=True)
class Retention:
    """How long is kept what is over; None keeps it for ever.

    Attributes:
        versions: what rows were before they changed, by import table.
        tombstones: rows that Phorest no longer has, by import table.
    """

    versions: Mapping[str, timedelta | None]
    tombstones: Mapping[str, timedelta | None]

    @classmethod
    def of_days(cls, versions: Mapping[str, int | None], tombstones: Mapping[str, int | None]) -> Self:
        """From numbers of days by table. Raises ValueError."""

        def ages(days: Mapping[str, int | None]) -> dict[str, timedelta | None]:
            return {name: None if number is None else timedelta(days=number) for name, number in days.items()}

        return cls(ages(versions), ages(tombstones))

    def __post_init__(self) -> None:
        """Refuse a misspelt table, which would be kept for ever in silence. Raises ValueError."""
        unknown = {*self.versions, *self.tombstones} - set(TABLES)
        if unknown:
            raise ValueError(
                f"There is no import table {', '.join(sorted(unknown))}. Tables: {', '.join(sorted(TABLES))}."
            )


def prune(engine: Engine, retention: Retention, now: datetime) -> dict[str, int]:
    """Delete what is kept long enough; how many rows, by table. Safe to stop and to repeat at any point."""
    found: dict[str, int] = {}
    for name, age in retention.versions.items():
        if age is not None:
            condition = "entity_type = :entity_type and valid_to < :before"
            values = {"entity_type": TABLES[name].entity_type, "before": now - age}
            found["phorest_versions"] = found.get("phorest_versions", 0) + _delete(
                engine, "phorest_versions", condition, values
            )
    for name, age in retention.tombstones.items():
        if age is not None:
            listed = " and not deleted" if "deleted" in TABLES[name].table.columns else ""
            found[name] = _delete(engine, name, f"deleted_at < :before{listed}", {"before": now - age})
    return found


def _delete(engine: Engine, table: str, condition: str, values: Mapping[str, object]) -> int:
    statement = text(f"""
        delete from {table} where ctid = any(array(select ctid from {table} where {condition} limit {_AT_ONCE}))
    """)  # noqa: S608 - names of ours
    total = 0
    while deleted := in_transaction(engine, lambda connection: connection.execute(statement, values).rowcount):
        total += deleted
    return total
