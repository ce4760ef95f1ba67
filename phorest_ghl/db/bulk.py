"""One statement writes a page, or several: PostgreSQL unpacks the vendor's JSON itself and touches only rows that changed.

Measured fastest of eleven ways (docs/decisions/0003-import-in-one-statement.md), with the least work in Python.
Belongs here: the statement and what it counted. Does not: which columns an entity has (`phorest.specs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import orjson
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Table, text

from phorest_ghl.db.forgotten import is_forgotten_sql, pads
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.row_hashes import SIZE, Hashed, RowHasher

_RAW = "jsonb_strip_nulls(coalesce(item -> :raw_key, item))"

RAW_KEY = "\u0001raw"
"""In a patched item, the payload as the vendor sent it; the other members are what the typed columns may see."""


@dataclass(frozen=True)
class Column:
    """From a member of the payload (dots go into objects) to a column of a PostgreSQL type.

    `derived` is an SQL expression over `item` and the parameters of the write instead: what is computed for a row, and
    is news even if the payload is the one we hold.
    """

    name: str
    path: str = ""
    type: str = "text"
    default: str = "null"
    derived: str = ""


@dataclass(frozen=True)
class Written:
    """What one write did: rows seen, new, changed, left alone; ids that were listed."""

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
    `incoming` (what is news, in typed columns), `before` (the listed rows as we held them) and `written`.
    `of_branch`: the branch is part of the key, and rows that say they are another branch's are left alone.
    `person` is the payload's member that names a client: the rows of one who was forgotten are listed and not kept (S21).
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
        of_branch: bool = False,
        person: str = "",
    ) -> None:
        self._entity_type = entity_type
        self._pads: Mapping[str, bytes] = pads(keyring) if person else {}
        self._hasher = RowHasher(keyring, id_fields)
        self._sql = text(_statement(table, id_fields, columns, on_change, of_branch=of_branch, person=person))

    def write(
        self,
        connection: Connection,
        *documents: bytes | str,
        path: Sequence[str] = (),
        hashed: Sequence[Hashed] = (),
        batch_id: str,
        branch_id: str | None = None,
        read: tuple[str, int] | None = None,
        derived_from: Mapping[str, object] | None = None,
    ) -> Written:
        """Write the JSON arrays that stand at `path` of each document, in one statement; the caller commits.

        An id that comes twice in one write counts once, and its newest version is the one that is written.

        `read` is the id and the pass of a read that wants the listed ids noted in `import_listed`; its commits do not wait
        for the disk, since its cursor's does, which makes them durable too (docs/decisions/0003); `derived_from` is what
        derived columns look up, as the parameter `derived_from`, a JSON object; `hashed` is what `hashed` made of each
        document, where that is done already. Raises SQLAlchemy's errors as they are.
        """
        hashes = hashed or [self.hashed(document, path) for document in documents]
        read_id, pass_number = read or (None, None)
        row = connection.execute(
            self._sql,
            {
                "documents": Jsonb(documents, dumps=_joined),
                "path": list(path),
                "raw_key": RAW_KEY,
                "hashes": b"".join([one.digests for one in hashes]),
                "firsts": [0, *accumulate(map(len, hashes))],
                "entity_type": self._entity_type,
                "batch_id": batch_id,
                "branch_id": branch_id,
                "read_id": read_id,
                "pass_number": pass_number,
                "derived_from": orjson.dumps(derived_from or {}).decode(),
                **self._pads,
            },
        ).one()
        return Written(seen=len(row.ids), inserted=row.inserted, updated=row.updated, ids=tuple(row.ids))

    def hashed(self, document: bytes | str, path: Sequence[str] = (), *, rows: int = 0) -> Hashed:
        """As `RowHasher.hashed`, for rows of this entity; it may be asked for in any thread."""
        return self._hasher.hashed(document, path, rows=rows)


def _joined(documents: Sequence[bytes | str]) -> bytes:
    """A JSON array of JSON documents. The vendor's bytes are sent as they came, without a detour by text."""
    return b"[%b]" % b",".join([one.encode() if isinstance(one, str) else one for one in documents])


def _statement(
    table: Table, id_fields: Sequence[str], columns: Sequence[Column], on_change: str, *, of_branch: bool, person: str
) -> str:
    """The statement. Rows that are as we hold them are left out early: they cost no payload, no lock, no WAL.

    `before` looks ids up by an array: joined, a plan that is kept from when the table was small would read all of it for
    every page.
    """
    held, names = table.name, [column.name for column in columns]
    deciding = "".join(
        f", {_expression(column)}" for column in columns if column.name in {"version", "deleted"} or column.derived
    )
    derived = [column.name for column in columns if column.derived]
    whose = f"item ->> '{person}'"
    kept = f" and not {is_forgotten_sql('client', whose)}" if person else ""
    key = "branch_id, phorest_id" if of_branch else "phorest_id"
    branch, its_branch = ("branch_id, ", "cast(:branch_id as text), ") if of_branch else ("", "")
    ours = "coalesce(item ->> 'branchId', :branch_id) = :branch_id" if of_branch else "true"
    assignments = ", ".join(f"{name} = excluded.{name}" for name in [*names, "raw", "content_hash"])
    return f"""
    with item as materialized (
        select coalesce({", ".join(f"item ->> '{name}'" for name in id_fields)}) as phorest_id{deciding}, item,
               substr(cast(:hashes as bytea), ((cast(:firsts as integer[]))[nth] + place::integer - 1) * {SIZE} + 1,
                      {SIZE}) as content_hash
        from jsonb_array_elements(cast(:documents as jsonb)) with ordinality as document(body, nth),
             jsonb_array_elements(body #> cast(:path as text[])) with ordinality as element(item, place)
    ), listed as materialized (
        select distinct on (phorest_id) * from item where {ours}
        order by phorest_id{", version desc" if "version" in names else ""}
    ), noted as (
        insert into import_listed (read_id, pass_number, ids, other_ids)
        select cast(:read_id as text), cast(:pass_number as integer), array(select phorest_id from listed),
               {"array(select phorest_id from item where not " + ours + ")" if of_branch else "array[]::text[]"}
        where cast(:read_id as text) is not null
    ), before as materialized (
        select * from {held}
        where {"branch_id = :branch_id and " if of_branch else ""}phorest_id = any(array(select phorest_id from listed))
    ), incoming as materialized (
        select listed.phorest_id, {", ".join(_expression(column) for column in columns)},
               {_RAW} as raw, listed.content_hash, {_tombstone("before", "listed", names)} as deleted_at
        from listed left join before using (phorest_id)
        where (before.phorest_id is null or ({_is_news("before", "listed", names, derived, raw=_RAW)})){kept}
    ), written as (
        insert into {held} ({branch}phorest_id, {", ".join(names)}, raw, content_hash, deleted_at)
        select {its_branch}phorest_id, {", ".join(names)}, raw, content_hash, deleted_at from incoming
        on conflict ({key}) do update
        set {assignments}, changed_at = now(), deleted_at = {_tombstone(held, "excluded", names)}
        where {_is_news(held, "excluded", names, derived, raw="excluded.raw")}
        returning phorest_id
    ), versions as (
        insert into phorest_versions
            (entity_type, phorest_id, version, raw, content_hash, valid_from, valid_to, batch_id, branch_id)
        select :entity_type, phorest_id, {"before.version" if "version" in names else "null"}, before.raw,
               before.content_hash, before.changed_at, now(), :batch_id, {its_branch.rstrip(", ") or "null"}
        from before join written using (phorest_id)
    ){on_change}
    select (select coalesce(array_agg(phorest_id), '{{}}') from listed) as ids,
           (select count(*) from written left join before using (phorest_id) where before.phorest_id is null) as inserted,
           (select count(*) from written join before using (phorest_id)) as updated,
           set_config('synchronous_commit', case when cast(:read_id as text) is null
                                                 then current_setting('synchronous_commit') else 'off' end, true)
    """


def _tombstone(held: str, new: str, names: Sequence[str]) -> str:
    """When the row ended: the moment that we hold, if Phorest has said so before."""
    return (
        f"case when {new}.deleted then coalesce({held}.deleted_at, now()) end"
        if "deleted" in names
        else "null::timestamptz"
    )


def _is_news(held: str, new: str, names: Sequence[str], derived: Sequence[str], *, raw: str) -> str:
    """Whether `new` differs from the row that we hold and is not older than it. Its payload is looked at last."""
    otherwise = "".join(f" or {held}.{name} is distinct from {new}.{name}" for name in derived)
    differs = (
        f"(({held}.content_hash <> {new}.content_hash and {held}.raw is distinct from {raw})"
        f" or {held}.deleted_at is distinct from {_tombstone(held, new, names)}{otherwise})"
    )
    return f"{differs} and {held}.version <= {new}.version" if "version" in names else differs


def _expression(column: Column) -> str:
    if column.derived:
        return f"{column.derived} as {column.name}"
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
