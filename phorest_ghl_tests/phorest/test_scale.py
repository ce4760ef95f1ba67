"""Size: memory does not grow with the number of clients, and importing what is unchanged writes nothing."""

import json
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.pages import Page, parse_page
from phorest_ghl.phorest.specs import CLIENTS, ImportSpec
from phorest_ghl_tests.phorest.salon import salon
from phorest_ghl_tests.support.databases import Database

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = 200
IMPORTED = ("branches", "client_categories", "clients", "staff", "service_categories", "services", "products",
            "appointments", "purchases")  # fmt: skip


class ManyClients:
    """Lists any number of clients without holding them."""

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self.requests = 0

    def page(self, spec: ImportSpec, number: int, *, params: Mapping[str, str] | None = None) -> Page:
        self.requests += 1
        numbers = range(number * PAGE, min((number + 1) * PAGE, self.clients))
        rows = [{"clientId": f"C{n:021d}", "version": 1, "updatedAt": "2025-01-01T00:00:00.000Z"} for n in numbers]
        pages = -(-self.clients // PAGE)
        meta = {"number": number, "size": PAGE, "totalElements": self.clients, "totalPages": pages}
        return parse_page(spec, json.dumps({"_embedded": {spec.embedded_key: rows}, "page": meta}).encode())

    def now(self) -> datetime:
        return NOW


def load(database: Database, clients: int) -> ImportResult:
    importer = Importer(database.engine, ManyClients(clients), Keyring(b"sixteen bytes and more"), batch_id="B")  # pyright: ignore[reportArgumentType]
    return importer.run(CLIENTS, full=True, upper=NOW)


def peak(database: Database, clients: int) -> int:
    """The most memory that Python's objects took at any moment of an import, in bytes."""
    tracemalloc.start()
    try:
        result = load(database, clients)
        assert (result.complete, result.seen) == (True, clients)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_peak_memory_is_the_same_for_six_times_as_many_clients(database: Database) -> None:
    load(database, 400)  # what is made once and kept: compiled statements, models
    small, large = peak(database, 8_000), peak(database, 48_000)  # both more than the pages that may wait
    # pydantic keeps a bounded cache of short texts, about 1 MB when full, and how many pages wait at once is the
    # machine's affair; 40,000 ids alone would be 3.1 MB, and a row of each many times that.
    assert large < small + 2_500_000, f"{small:,} bytes for 8,000 clients, {large:,} for 48,000"


def test_importing_what_is_unchanged_writes_no_row(database: Database) -> None:
    with salon(database.url, clients=400, branches=2, months_back=1) as shop:
        shop.everything(full=True)
        before = row_versions(database)
        assert sum(len(rows) for rows in before.values()) > 800
        results = shop.everything(full=True)
        assert {(result.inserted, result.updated, result.tombstoned) for result in results} == {(0, 0, 0)}
        assert row_versions(database) == before
        assert shop.rows("select * from phorest_versions") == []
        assert shop.rows("select * from import_listed") == []


def row_versions(database: Database) -> dict[str, dict[Any, tuple[Any, ...]]]:
    """Where every row stands and which transaction wrote or locked it: any write or lock, however vain, changes it."""
    with database.engine.connect() as connection:
        return {
            name: {
                (row.branch, row.phorest_id): (row.ctid, row.xmin, row.xmax)
                for row in connection.execute(
                    sa.text(f"""select to_jsonb(t) ->> 'branch_id' as branch, phorest_id, ctid::text, xmin::text, xmax::text
                                from phorest_{name} as t""")  # noqa: S608 - names of ours
                )
            }
            for name in IMPORTED
        }


@pytest.mark.parametrize("clients", [1, PAGE, PAGE + 1])
def test_a_list_of_any_length_is_read_to_its_end(database: Database, clients: int) -> None:
    assert load(database, clients).seen == clients
