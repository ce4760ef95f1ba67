"""Whether a run writes where it should."""

from dataclasses import replace

import pytest

from phorest_ghl.sync.stops.place import DATABASE, EMPTY, LOCATION, UNKNOWN, Place, identity, misplaced
from phorest_ghl_tests.support.databases import Database

HOME = Place(
    location_id="L1", here="DB1", written_in="DB1", ours=900, elsewhere=None, mapped=800, imported=850
)  # fmt: skip
NEW = replace(HOME, written_in=None, ours=0, mapped=0)


@pytest.mark.parametrize(
    ("place", "unknown", "guard", "says"),
    [
        (
            replace(NEW, elsewhere=("L0", 700)),
            0,
            LOCATION,
            "has written 700 objects to location L0 and none to this one",
        ),
        (replace(HOME, here="DB2"), 0, DATABASE, "two deployments write to one location"),
        (HOME, 11, UNKNOWN, "restored from an older copy, or another deployment writes to this location"),
        (replace(HOME, imported=399), 0, EMPTY, "the import is incomplete or of another business"),
    ],
)
def test_a_run_that_would_write_where_it_should_not_is_stopped_with_a_sentence(
    place: Place, unknown: int, guard: str, says: str
) -> None:
    (found,) = misplaced(place, "client", unknown=unknown)
    assert found.guard == guard
    assert says in found.sentence
    assert (
        f"Nothing was written. If that is meant, let one run pass with `phorest-ghl allow client {guard} "
        in found.sentence
    )


@pytest.mark.parametrize(
    ("place", "unknown"),
    [
        (HOME, 0),
        (HOME, 10),
        (NEW, 0),
        (replace(HOME, elsewhere=("L0", 700)), 0),
        (replace(NEW, written_in="DB1", elsewhere=("L0", 700)), 0),
        (replace(HOME, written_in=None), 0),
        (replace(HOME, here="DB2", ours=0, mapped=0), 0),
        (replace(HOME, imported=400), 0),
        (replace(HOME, mapped=20, imported=0), 0),
    ],
    ids=[
        "at home",
        "a few lost mappings",
        "the first location ever",
        "a location that was moved to on purpose",
        "a second location that a person let pass",
        "a database of before there was this guard",
        "a copy that has written nothing there",
        "half of it",
        "a handful",
    ],
)
def test_what_is_as_it_should_be_is_not_stopped(place: Place, unknown: int) -> None:
    assert misplaced(place, "client", unknown=unknown) == ()


def test_two_databases_of_one_server_are_told_apart_and_one_is_itself_for_any_role(
    database: Database, scratch_database: Database
) -> None:
    with database.engine.connect() as connection:
        first = identity(connection)
        connection.exec_driver_sql("create role somebody_plain")
        connection.exec_driver_sql("set local role somebody_plain")
        assert identity(connection) == first
        connection.rollback()
        assert identity(connection) == first
    with scratch_database.engine.connect() as connection:
        assert identity(connection) != first
