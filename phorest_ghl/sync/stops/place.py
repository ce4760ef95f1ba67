"""Whether a run writes where it should: this location, from this database, of which GHL holds nothing unknown.

Belongs here: what stops a whole run before its first write. Does not: how much of one kind is too much (`size`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from phorest_ghl.sync.stops.size import Bound

LOCATION, DATABASE, UNKNOWN, EMPTY = "location", "database", "unknown-contacts", "empty-import"
BOUNDS: Mapping[str, Bound] = {UNKNOWN: Bound(10, 0.01)}
_LEAST_MAPPED = 25
"""From so many mapped records on it is told whether an import is too empty."""


@dataclass(frozen=True)
class Place:
    """Where a run is about to write, and what is known of it.

    Attributes:
        location_id: the location of the settings.
        here: this database, as PostgreSQL tells it apart from a copy of it.
        written_in: the database in which the location was first written to; None where it never was.
        ours: objects that are mapped in the location, of all entities.
        elsewhere: the location with the most mapped objects besides this one, and how many; None where there is none.
        mapped: records of the run's entity that are mapped.
        imported: records of the entity that Phorest has, as imported.
    """

    location_id: str
    here: str
    written_in: str | None
    ours: int
    elsewhere: tuple[str, int] | None
    mapped: int
    imported: int


@dataclass(frozen=True)
class Misplaced:
    """One reason not to write: the guard, the figure that a person repeats to let it pass, and a sentence."""

    guard: str
    figure: int
    bound: int
    sentence: str


def misplaced(
    place: Place, entity_type: str, *, unknown: int = 0, bounds: Mapping[str, Bound] = BOUNDS
) -> tuple[Misplaced, ...]:
    """Why this run must not write. `unknown`: contacts that carry Phorest's ids and that no mapping knows."""
    found: list[Misplaced] = []

    def add(guard: str, figure: int, bound: int, what: str) -> None:
        way = f"If that is meant, let one run pass with `phorest-ghl allow {entity_type} {guard} {figure}`."
        found.append(Misplaced(guard, figure, bound, f"{what} Nothing was written. {way}"))

    if place.elsewhere is not None and place.written_in is None and not place.ours:
        other, count = place.elsewhere
        add(
            LOCATION,
            count,
            0,
            f"GHL_LOCATION_ID names location {place.location_id}, and this database has written {count} objects to location "
            f"{other} and none to this one. A wrong location would get every client of the salon: correct the setting, or "
            "use a database of its own.",
        )
    if place.written_in is not None and place.written_in != place.here and place.ours:
        add(
            DATABASE,
            place.ours,
            0,
            f"This database is a copy: location {place.location_id} was written to from another one, of which this was "
            "restored or moved. What that one did since is unknown here, and if it still runs, two deployments write to one "
            "location. Stop the other one first.",
        )
    bound = bounds.get(UNKNOWN, BOUNDS[UNKNOWN]).of(place.mapped)
    if unknown > bound:
        add(
            UNKNOWN,
            unknown,
            bound,
            f"{unknown} contacts of location {place.location_id} carry the id of a client of Phorest, and this database has "
            "no record of them: it was restored from an older copy, or another deployment writes to this location. Look for "
            "that one, or restore the newest backup.",
        )
    if place.mapped >= _LEAST_MAPPED and place.imported * 2 < place.mapped:
        add(
            EMPTY,
            place.mapped - place.imported,
            place.mapped // 2,
            f"{place.mapped} records of {entity_type} are in GHL, and of those that Phorest has only {place.imported} are "
            "here: the import is incomplete or of another business. Import everything again with "
            "`phorest-ghl sync clients --full`.",
        )
    return tuple(found)


_IMPORTED = {"client": "phorest_clients", "appointment": "phorest_appointments", "staff": "phorest_staff"}


def load(connection: Connection, location_id: str, entity_type: str) -> Place:
    """What is known of where a run of an entity is about to write."""
    mapped = {
        (row.location_id, row.entity_type): row.n
        for row in connection.execute(
            text("""select location_id, entity_type, count(*) as n from entity_mappings where removed_at is null
                    group by location_id, entity_type""")
        )
    }
    others: dict[str, int] = {}
    for (other, _), count in mapped.items():
        if other != location_id:
            others[other] = others.get(other, 0) + count
    table = _IMPORTED.get(entity_type)
    here = mapped.get((location_id, entity_type), 0) if table else 0
    return Place(
        location_id=location_id,
        here=identity(connection),
        written_in=connection.execute(
            text("select written_in from ghl_locations where location_id = :id"), {"id": location_id}
        ).scalar_one_or_none(),
        ours=sum(count for (found, _), count in mapped.items() if found == location_id),
        elsewhere=max(others.items(), key=lambda item: item[1]) if others else None,
        mapped=here,
        imported=connection.execute(text(f"select count(*) from {table}")).scalar_one() if table else 0,  # noqa: S608
    )


def identity(connection: Connection) -> str:
    """This database, told apart from every copy: the cluster's number, the database's, and the schema.

    Where the server does not tell its number (some hosted ones), the two others alone.
    """
    with connection.begin_nested() as attempt:
        try:
            cluster = connection.execute(text("select system_identifier from pg_control_system()")).scalar_one()
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            attempt.rollback()
            cluster = "unknown"
    row = connection.execute(
        text("select oid, current_schema() as name from pg_database where datname = current_database()")
    ).one()
    return f"{cluster}/{row.oid}/{row.name}"


def writes_here(connection: Connection, location_id: str, here: str) -> None:
    """The location is written to from this database from now on."""
    connection.execute(
        text("""update ghl_locations set written_in = :here
                where location_id = :id and written_in is distinct from :here"""),
        {"id": location_id, "here": here},
    )
