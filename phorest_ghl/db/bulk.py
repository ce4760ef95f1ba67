"""One statement writes one page: PostgreSQL unpacks the vendor's JSON itself and touches only rows that changed.

Measured fastest of eleven ways (docs/decisions/0003-import-in-one-statement.md), with the least work in Python.
Belongs here: the statement and what it counted. Does not: which columns an entity has (`phorest.specs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, Table, text

from phorest_ghl.db.keyed import Keyring

RAW_KEY = "\u0001raw"
"""In a patched item, the payload as the vendor sent it; the other members are what the typed columns may see."""


@dataclass(frozen=True)
class Column:
    """From a member of the payload (dots go into objects) to a column of a PostgreSQL type."""

    name: str
    path: str
    type: str = "text"
    default: str = "null"


@dataclass(frozen=True)
class Written:
    """What one page did: rows seen, new, changed, left alone; ids that were listed."""

    seen: int
    inserted: int
    updated: int
    ids: tuple[str, ...]

    @property
    def unchanged(self) -> int:
        """Rows whose content is the one we hold, or older than it."""
        return self.seen - self.inserted - self.updated

    def __add__(self, other: Self) -> "Written":
        """What two writes of different rows did together."""
        return Written(
            self.seen + other.seen,
            self.inserted + other.inserted,
            self.updated + other.updated,
            (*self.ids, *other.ids),
        )

    @classmethod
    def nothing(cls) -> "Written":
        """What no write did."""
        return Written(0, 0, 0, ())


class PageWriter:
    """Upserts pages of one entity into its table.

    A row is written only if its content differs and it is not older than the one we hold, so that a page read twice, or
    late, changes nothing. What it replaces goes to `phorest_versions`. `on_change` names further CTEs that may read
    `incoming`, `before` and `written`.
    """

    def __init__(
        self,
        table: Table,
        *,
        entity_type: str,
        id_fields: Sequence[str],
        columns: Sequence[Column],
        keyring: Keyring,
        on_change: str = "",
    ) -> None:
        self._entity_type = entity_type
        self._pads = keyring.pads()
        self._sql = text(_statement(table, id_fields, columns, on_change))

    def write(self, connection: Connection, document: str, *, path: Sequence[str] = (), batch_id: str) -> Written:
        """Write the JSON array that stands at `path` of `document`; the caller commits.

        Raises SQLAlchemy's errors as they are.
        """
        inner, outer = self._pads
        row = connection.execute(
            self._sql,
            {
                "document": document,
                "path": list(path),
                "raw_key": RAW_KEY,
                "inner": inner,
                "outer": outer,
                "entity_type": self._entity_type,
                "batch_id": batch_id,
            },
        ).one()
        return Written(seen=len(row.ids), inserted=row.inserted, updated=row.updated, ids=tuple(row.ids))


def _statement(table: Table, id_fields: Sequence[str], columns: Sequence[Column], on_change: str) -> str:
    names = [column.name for column in columns]
    versioned = "version" in names
    assignments = ", ".join(f"{name} = excluded.{name}" for name in [*names, "raw", "content_hash"])
    newer = f" and {table.name}.version <= excluded.version" if versioned else ""
    tombstone = (
        f"case when excluded.deleted then coalesce({table.name}.deleted_at, now()) end"
        if "deleted" in names
        else "null"
    )
    first_tombstone = "case when deleted then now() end" if "deleted" in names else "null::timestamptz"
    return f"""
    with item as (
        select item, coalesce(item -> :raw_key, item) as raw
        from jsonb_array_elements(cast(:document as jsonb) #> cast(:path as text[])) as element(item)
    ), incoming as materialized (
        select distinct on (phorest_id) * from (
            select coalesce({", ".join(f"item ->> '{name}'" for name in id_fields)}) as phorest_id,
                   {", ".join(_expression(column) for column in columns)},
                   jsonb_strip_nulls(raw) as raw,
                   sha256(:outer || sha256(:inner || convert_to(jsonb_strip_nulls(raw)::text, 'UTF8'))) as content_hash
            from item
        ) as unpacked
        order by phorest_id{", version desc" if versioned else ""}
    ), before as materialized (
        select {table.name}.* from {table.name} join incoming using (phorest_id)
    ), written as (
        insert into {table.name} (phorest_id, {", ".join(names)}, raw, content_hash, deleted_at)
        select phorest_id, {", ".join(names)}, raw, content_hash, {first_tombstone} from incoming
        on conflict (phorest_id) do update
        set {assignments}, changed_at = now(), deleted_at = {tombstone}
        where ({table.name}.content_hash <> excluded.content_hash
               or {table.name}.deleted_at is distinct from {tombstone})
              {newer}
        returning phorest_id
    ), versions as (
        insert into phorest_versions
            (entity_type, phorest_id, version, raw, content_hash, valid_from, valid_to, batch_id)
        select :entity_type, phorest_id, {"before.version" if versioned else "null"}, before.raw, before.content_hash,
               before.changed_at, now(), :batch_id
        from before join written using (phorest_id)
    ){on_change}
    select (select coalesce(array_agg(phorest_id), '{{}}') from incoming) as ids,
           (select count(*) from written left join before using (phorest_id) where before.phorest_id is null) as inserted,
           (select count(*) from written join before using (phorest_id)) as updated
    """


def _expression(column: Column) -> str:
    path = column.path.split(".")
    as_json = "".join(f" -> '{part}'" for part in path)
    if column.type == "jsonb":
        value = f"nullif(item{as_json}, 'null'::jsonb)"
    else:
        as_text = "".join(f" -> '{part}'" for part in path[:-1]) + f" ->> '{path[-1]}'"
        value = f"(item{as_text})::{column.type}" if column.type != "text" else f"item{as_text}"
    return (
        f"coalesce({value}, {column.default}) as {column.name}"
        if column.default != "null"
        else f"{value} as {column.name}"
    )
