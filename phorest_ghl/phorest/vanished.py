"""Rows that a complete read no longer lists: asked for by id, and only then taken for gone (safety S4).

Belongs here: who vanished, what Phorest says of each, tombstones. Does not: what makes a read complete (`importer`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.list_read import ListRead
from phorest_ghl.phorest.pages import MalformedPage, Page
from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import ImportSpec

_PASSES_BY_ITSELF = frozenset({Category.TRANSIENT, Category.PROTOCOL, Category.UNREACHABLE, Category.RATE_LIMITED})
_AT_ONCE = 1_000
"""Ids taken from the database at a time: how many vanished is not ours to bound, memory is."""

Keep = Callable[[Page], bool]
"""Writes a record that was read by id; whether it belongs to the scope's branch."""


@dataclass(frozen=True)
class Vanished:
    """What became of them: asked by id, over, and those of which it could not be said."""

    asked: int = 0
    tombstoned: int = 0
    unsettled: int = 0

    def __add__(self, other: "Vanished") -> "Vanished":
        return Vanished(self.asked + other.asked, self.tombstoned + other.tombstoned, self.unsettled + other.unsettled)


def settle(
    engine: Engine, client: PhorestClient, spec: ImportSpec, scope: Scope, read: ListRead, *, keep: Keep
) -> Vanished:
    """Tombstone the rows of a scope that a complete full read did not list, as far as that is certain.

    Where the API reads by id, each is asked for; what it still has is kept as it is now. Where it does not, absence from a
    complete list is all there is to know, so a list with rows that could not be read decides nothing.
    Raises ApiError for what would meet every read (credentials, region).
    """
    if spec.by_id is None:
        if read.set_aside:
            return Vanished(unsettled=len(_next(engine, spec, scope, read, "")))
        return _tombstone_unlisted(engine, spec, scope, read)
    found, after = Vanished(), ""
    while ids := _next(engine, spec, scope, read, after):
        after = ids[-1]
        found += _ask(engine, client, spec, scope, read, ids, keep)
    return found


def _ask(
    engine: Engine,
    client: PhorestClient,
    spec: ImportSpec,
    scope: Scope,
    read: ListRead,
    ids: Sequence[str],
    keep: Keep,
) -> Vanished:
    gone: list[str] = []
    unsure = 0
    for phorest_id in ids:
        answer = _one(client, spec, scope, phorest_id)
        if answer is None or (isinstance(answer, Page) and not answer.set_aside and not keep(answer)):
            gone.append(phorest_id)
        elif isinstance(answer, ApiError | MalformedPage):
            unsure += 1
    if gone and not _answers(engine, client, spec, scope, read):
        return Vanished(len(ids), 0, unsure + len(gone))
    return Vanished(len(ids), _tombstone(engine, spec, scope, gone), unsure)


def _one(
    client: PhorestClient, spec: ImportSpec, scope: Scope, phorest_id: str
) -> Page | ApiError | MalformedPage | None:
    """What Phorest says of a record; None if it has none, the error if it could not say."""
    branch = {} if scope.branch_id is None else {"branch_id": scope.branch_id}
    try:
        return client.one(spec, phorest_id, **branch)
    except MalformedPage as error:
        return error
    except ApiError as error:
        if error.category is Category.GONE:
            return None
        if error.category in _PASSES_BY_ITSELF:
            return error
        raise


def _answers(engine: Engine, client: PhorestClient, spec: ImportSpec, scope: Scope, read: ListRead) -> bool:
    """Whether a row of the same branch that surely exists is found by id: else "not found" may mean anything (S4)."""
    known = _known(engine, spec, scope, read)
    return known is not None and isinstance(_one(client, spec, scope, known), Page)


def _known(engine: Engine, spec: ImportSpec, scope: Scope, read: ListRead) -> str | None:
    """A row that was just listed, or, where this list is empty, one of the branch that another list has."""
    place = Scope(scope.branch_id)
    listed = "select ids[1] from import_listed where read_id = :read_id and cardinality(ids) > 0 limit 1"
    other = f"""select phorest_id from {spec.table.name} where deleted_at is null and {place.where} and not ({scope.where})
                order by changed_at desc limit 1"""  # noqa: S608 - names of ours

    def look(connection: Connection) -> str | None:
        found = connection.execute(text(listed), {"read_id": read.read_id}).scalar_one_or_none()
        return found or connection.execute(text(other), scope.parameters).scalar_one_or_none()

    return in_transaction(engine, look)


def _next(engine: Engine, spec: ImportSpec, scope: Scope, read: ListRead, after: str) -> list[str]:
    """The next ids, in order, that are held and were not listed."""
    statement = text(f"""
        with listed as materialized (
            select distinct id from import_listed, unnest(ids) as id where read_id = :read_id
        )
        select phorest_id from {spec.table.name}
        where deleted_at is null and phorest_id > :after and {scope.where}
              and not exists (select from listed where listed.id = phorest_id)
        order by phorest_id limit {_AT_ONCE}
    """)  # noqa: S608 - names of ours
    values = {**scope.parameters, "read_id": read.read_id, "after": after}
    return in_transaction(engine, lambda connection: list(connection.execute(statement, values).scalars()))


def _tombstone_unlisted(engine: Engine, spec: ImportSpec, scope: Scope, read: ListRead) -> Vanished:
    """Tombstone by absence alone, if the notes of what was listed are all there: a crash of PostgreSQL empties them."""
    noted = text("select count(distinct id) from import_listed, unnest(ids) as id where read_id = :read_id")
    statement = text(f"""
        update {spec.table.name} set deleted_at = now()
        where deleted_at is null and {scope.where} and not exists (
            select from import_listed, unnest(ids) as id where read_id = :read_id and id = phorest_id)
    """)  # noqa: S608 - names of ours
    values = {**scope.parameters, "read_id": read.read_id}

    def work(connection: Connection) -> Vanished:
        if connection.execute(noted, {"read_id": read.read_id}).scalar_one() < read.seen:
            return Vanished(unsettled=1)
        return Vanished(tombstoned=connection.execute(statement, values).rowcount)

    return in_transaction(engine, work)


def _tombstone(engine: Engine, spec: ImportSpec, scope: Scope, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    statement = text(f"""
        update {spec.table.name} set deleted_at = now()
        where deleted_at is null and {scope.where} and phorest_id = any(:ids)
    """)  # noqa: S608 - names of ours
    values = {**scope.parameters, "ids": list(ids)}
    return in_transaction(engine, lambda connection: connection.execute(statement, values).rowcount)
