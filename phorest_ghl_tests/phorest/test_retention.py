"""Pruning: what is over goes after its time, what Phorest still lists never."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from phorest_ghl.phorest.retention import TABLES, Retention, prune
from phorest_ghl_tests.phorest.salon import Salon, salon
from phorest_ghl_tests.support.databases import Database

DAY = timedelta(days=1)


@pytest.fixture
def shop(database: Database) -> Iterator[Salon]:
    with salon(database.url, clients=60) as made:
        made.importer().clients()
        yield made


def later(days: int) -> datetime:
    return datetime.now(UTC) + days * DAY


def test_versions_go_after_their_time_and_no_sooner(shop: Salon) -> None:
    client = shop.truth("clients")[3]["clientId"]
    shop.edit("clients", client, lastName="Changed")
    shop.importer().clients(full=True)
    keep = Retention(versions={"phorest_clients": 10 * DAY}, tombstones={})
    assert prune(shop.engine, keep, later(9)) == {"phorest_versions": 0}
    assert prune(shop.engine, keep, later(11)) == {"phorest_versions": 1}
    assert shop.rows("select * from phorest_versions") == []


def test_a_vanished_row_goes_and_one_that_phorest_calls_deleted_stays(shop: Salon) -> None:
    vanished, deleted = (row["clientId"] for row in [r for r in shop.truth("clients") if not r["deleted"]][3:5])
    shop.delete("clients", vanished)
    shop.edit("clients", deleted, deleted=True)
    assert shop.importer().clients(full=True)["client"].tombstoned == 1
    gone = set(shop.held("phorest_clients", gone=True))
    assert {vanished, deleted} <= gone
    assert prune(shop.engine, Retention(versions={}, tombstones={"phorest_clients": DAY}), later(2)) == {
        "phorest_clients": 1
    }
    assert set(shop.held("phorest_clients", gone=True)) == gone - {vanished}
    assert shop.importer().clients(full=True)["client"].inserted == 0


def test_none_keeps_for_ever_and_each_table_has_its_own_time(shop: Salon) -> None:
    nothing = Retention(versions=dict.fromkeys(TABLES), tombstones=dict.fromkeys(TABLES))
    assert prune(shop.engine, nothing, later(100_000)) == {}
    usual = shop.runtime.retention()
    assert set(prune(shop.engine, usual, later(0))) == {"phorest_versions", *TABLES}
    assert (usual.versions["phorest_clients"], usual.tombstones["phorest_purchases"]) == (400 * DAY, 730 * DAY)


def test_a_misspelt_table_is_refused() -> None:
    with pytest.raises(ValueError, match="There is no import table phorest_clinets"):
        Retention(versions={"phorest_clinets": DAY}, tombstones={})
