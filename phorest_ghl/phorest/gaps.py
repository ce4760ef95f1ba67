"""References from one import table to another that lead nowhere: counted and listed, for they are normal in small numbers.

Belongs here: which column means which table, and counting. Does not: what is done about them (repair).

An appointment may name a client that is archived, deleted, merged or not fetched yet (facts/phorest-api §12).
"""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.phorest.specs import APPOINTMENTS, CLIENTS, PRODUCTS, PURCHASES, SERVICES, STAFF, ImportSpec

_SAMPLE = 10


@dataclass(frozen=True)
class Reference:
    """A column of an entity that holds another one's id."""

    column: str
    to: ImportSpec


REFERENCES = {
    CLIENTS: (Reference("merged_to_client_id", CLIENTS),),
    APPOINTMENTS: (
        Reference("client_id", CLIENTS),
        Reference("staff_id", STAFF),
        Reference("service_id", SERVICES),
    ),
    PURCHASES: (Reference("client_id", CLIENTS), Reference("product_id", PRODUCTS)),
}


@dataclass(frozen=True)
class Gap:
    """How many rows name a record that we do not hold, of how many that name one; and some of those records' ids."""

    column: str
    rows: int
    named: int
    missing: tuple[str, ...]


def gaps(engine: Engine, spec: ImportSpec) -> list[Gap]:
    """The gaps of an entity, by column; rows that are over do not count."""
    return [_gap(engine, spec, reference) for reference in REFERENCES.get(spec, ())]


def repeated_keys(engine: Engine, spec: ImportSpec) -> int:
    """How many rows share their key with another one: none, unless somebody took the key away."""
    key = "branch_id, phorest_id" if spec.of_branch else "phorest_id"
    statement = text(f"select count(*) - count(distinct ({key})) from {spec.table.name}")  # noqa: S608 - names of ours
    return in_transaction(engine, lambda connection: connection.execute(statement).scalar_one())


def _gap(engine: Engine, spec: ImportSpec, reference: Reference) -> Gap:
    child, column, parent = spec.table.name, reference.column, reference.to.table.name
    statement = text(f"""
        with lost as materialized (
            select {column} as id from {child} as child
            where deleted_at is null and {column} is not null and not exists (
                select from {parent} as parent where parent.phorest_id = child.{column})
        )
        select (select count(*) from lost),
               (select count(*) from {child} where deleted_at is null and {column} is not null),
               array(select distinct id from lost order by id limit {_SAMPLE})
    """)  # noqa: S608 - names of ours
    rows, named, missing = in_transaction(engine, lambda connection: connection.execute(statement).one())
    return Gap(column, rows, named, tuple(missing))
