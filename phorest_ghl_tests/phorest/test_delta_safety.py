"""What a delta must not trust: its filter, the list's order while it is read, and that PostgreSQL stays up."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phorest_ghl.assembly import open_runtime
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.phorest.importer import ImportResult
from phorest_ghl.phorest.results import combined
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.settings import load_settings
from phorest_ghl_tests.phorest.salon import Salon, salon, without_nulls
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.postgres_processes import kill_postmaster, wait_until
from phorest_ghl_tests.sync.rig import RETRY, environment, options

PAGES = 3


@pytest.fixture
def shop(database: Database) -> Iterator[Salon]:
    with salon(database.url, clients=200 * PAGES - 10) as made:
        yield made


def clients(shop: Salon, *, full: bool = False) -> ImportResult:
    shop.pass_time()
    return shop.importer().clients(full=full)["client"]


def assert_as_in_phorest(shop: Salon) -> None:
    truth = {row["clientId"]: row for row in shop.truth("clients")}
    stored = {row["phorest_id"]: row["raw"] for row in shop.rows("select phorest_id, raw from phorest_clients")}
    for row in truth.values():
        row.pop("truth")
    assert stored == {key: without_nulls(row) for key, row in truth.items()}


def cursor(shop: Salon) -> dict[str, Any]:
    return shop.rows("select * from import_cursors where entity_type = 'client'")[0]


def test_a_filter_that_does_not_filter_is_found_by_the_probe_and_the_cursor_stays(shop: Salon) -> None:
    clients(shop)
    before = cursor(shop)
    shop.fault("filter_ignored", "GET /client", rate=1.0)
    result = clients(shop)
    assert result.filter_ignored
    assert not result.complete
    assert "did not apply the delta's filter" in str(result.problem)
    assert cursor(shop)["watermark"] == before["watermark"]
    assert cursor(shop)["probed_at"] is None
    shop.calm()
    assert clients(shop).complete
    assert cursor(shop)["probed_at"] is not None


def test_the_probe_is_made_once_a_day(shop: Salon) -> None:
    clients(shop)
    counts: list[int] = []
    for wait in (0, 0, 25 * 3600, 0):
        shop.pass_time(wait)
        counts.append(clients(shop).requests)
    assert counts[0] - counts[1] == 1
    assert counts[2] - counts[3] == 1


def test_a_probe_that_phorest_refuses_shows_that_the_bound_is_read(shop: Salon) -> None:
    clients(shop)
    shop.fault("created_but_422", "GET /client", count=1)
    assert clients(shop).complete
    assert cursor(shop)["probed_at"] is not None


def test_a_probe_whose_answer_is_cut_off_is_made_again(shop: Salon) -> None:
    clients(shop)
    shop.fault("html", "GET /client", count=2)
    assert clients(shop).complete
    assert cursor(shop)["probed_at"] is not None


def test_a_filter_that_stops_to_filter_between_two_probes_is_seen_by_what_comes_back(shop: Salon) -> None:
    clients(shop)
    clients(shop)
    before = cursor(shop)
    shop.fault("filter_ignored", "GET /client", rate=1.0)
    row = shop.truth("clients")[5]
    shop.edit("clients", row["clientId"], lastName="Changed")
    result = clients(shop)
    assert (result.filter_ignored, result.watermark) == (True, None)
    assert cursor(shop)["watermark"] == before["watermark"]
    assert shop.held("phorest_clients")[row["clientId"]]["last_name"] == "Changed", "what came is kept all the same"


def test_an_appointments_filter_that_does_not_filter_is_seen_too(database: Database) -> None:
    with salon(database.url, clients=400, months_back=1) as shop:
        shop.appointments()
        shop.fault("filter_ignored", "GET /branch/{branchId}/appointment", rate=1.0)
        assert combined(shop.appointments()).filter_ignored
        shop.calm()
        assert combined(shop.appointments()).complete


@pytest.mark.parametrize("full", [True, False], ids=["full", "delta"])
def test_a_row_that_moves_between_two_pages_hides_nobody(shop: Salon, full: bool) -> None:  # noqa: FBT001
    """One client goes to the end of the list while the second page is asked for: its neighbour slips to page one."""
    clients(shop)
    shop.pass_time(3600)
    shop.sandbox.control("PATCH", "/phorest/clients", {"set": {"notes": "all at once"}})
    shop.fault("page_drift", "GET /client", count=2)
    assert clients(shop, full=full).complete
    assert_as_in_phorest(shop)


def test_a_delta_whose_rows_change_while_it_is_read_loses_none_of_them(shop: Salon) -> None:
    """A row that changes leaves the list, since it is newer than the frozen bound: the rows behind it move up."""
    clients(shop)
    shop.pass_time(3600)
    shop.sandbox.control("PATCH", "/phorest/clients", {"set": {"notes": "all at once"}})
    shop.pass_time(5)
    importer = shop.importer()
    page, edited, changed = importer._client.page, [0], threading.Event()

    def busy(spec: Any, number: int, **more: Any) -> Any:
        if spec.entity_type == "client" and number == 1 and edited[0] < 2:
            edited[0] += 1
            key = shop.truth("clients")[3 + edited[0]]["clientId"]
            shop.edit("clients", key, lastName="Changed meanwhile")
            changed.set()
        elif spec.entity_type == "client" and number > 1:
            changed.wait(10)  # pages are fetched ahead: the ones behind must come after the change
        return page(spec, number, **more)

    importer._client.page = busy  # pyright: ignore[reportAttributeAccessIssue]
    try:
        result = importer.clients()["client"]
    finally:
        del importer._client.page
    assert edited == [2]
    assert (result.complete, result.lower is None) == (True, False)
    # At once, and not only by the next run: its overlap would hide what this one lost.
    assert shop.rows("select 1 as one from phorest_clients where notes is distinct from 'all at once'") == []
    clients(shop)
    assert_as_in_phorest(shop)


def test_a_full_read_in_which_one_row_leaves_and_another_comes_is_read_again(shop: Salon) -> None:
    """The total stays the same and no row comes twice: only that a row is newer than the read gives it away."""
    importer = shop.importer()
    page, done = importer._client.page, [False]

    def busy(spec: Any, number: int, **more: Any) -> Any:
        if spec.entity_type == "client" and number == PAGES - 1 and not done[0]:
            done[0] = True
            shop.delete("clients", shop.truth("clients")[3]["clientId"])
            shop.sandbox.control("POST", "/live", {"count": 1, "kinds": ["client created"], "step_s": 2})
        return page(spec, number, **more)

    importer._client.page = busy  # pyright: ignore[reportAttributeAccessIssue]
    try:
        result = importer.clients()["client"]
    finally:
        del importer._client.page
    assert done == [True]
    assert result.complete
    truth = {row["clientId"] for row in shop.truth("clients")}
    assert truth <= {row["phorest_id"] for row in shop.rows("select phorest_id from phorest_clients")}
    assert clients(shop, full=True).tombstoned == 1


@pytest.mark.crash
@pytest.mark.parametrize("crash", [True, False], ids=["killed", "restarted"])
def test_an_import_outlives_a_restart_of_postgresql(state_dir: Path, crash: bool) -> None:  # noqa: FBT001
    with SandboxServer(options(clients=3_000, latency_ms=30)) as sandbox:
        environ = environment(sandbox, "", PHOREST_GHL_STATE_DIR=str(state_dir))
        with open_runtime(load_settings(environ, None), retry=RETRY) as runtime:
            shop = Salon(sandbox, runtime)
            found: list[ImportResult] = []
            run = threading.Thread(target=lambda: found.append(clients(shop)))
            run.start()
            wait_until(lambda: len(shop.rows("select 1 as one from phorest_clients")) >= 400)
            server = EmbeddedServer(state_dir)
            if crash:
                kill_postmaster(server)
                time.sleep(0.2)
            else:
                server.stop()
            server.start()
            run.join(60)
            assert [result.complete for result in found] == [True]
            assert_as_in_phorest(shop)
