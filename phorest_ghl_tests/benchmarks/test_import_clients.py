"""`bench import` at a tiny size: every contender brings everything, and says so or fails."""

import contextlib

import psycopg
import pytest

from benchmarks import bare_loop, dlt_peer, import_clients
from benchmarks.bare_loop import Source
from benchmarks.peers import has_dlt
from benchmarks.report import BenchError, Options
from phorest_ghl.assembly import libpq_url
from phorest_ghl.phorest.client import basic_auth
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.databases import Database

pytest.importorskip("aiohttp", reason="the bench extra is not installed")


def _source(served: SandboxServer, **changed: str) -> Source:
    settings = served.settings | changed
    return Source(
        url=f"{settings['PHOREST_API_BASE_URL']}/{settings['PHOREST_BUSINESS_ID']}/client",
        headers=basic_auth(settings["PHOREST_CLIENT_ID"], settings["PHOREST_CLIENT_SECRET"])(),
        size=40,
        in_flight=3,
    )


@pytest.mark.road
def test_the_contenders_run_through_and_every_ratio_stands_beside_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_clients, "LATENCIES_MS", (0, 100))
    monkeypatch.setattr(import_clients, "has_dlt", lambda: False)
    said: list[str] = []
    report = import_clients.run(Options(clients=250, rounds=1), said.append)
    idle, waiting = report.figures["0 ms a page"], report.figures["100 ms a page"]
    assert idle["clients"] == waiting["clients"] == 251
    assert (idle["bar_bare_loop"], waiting["bar_bare_loop"], idle["bar_unchanged"]) == (0.8, 0.8, 1.0)
    assert report.ratio in (idle["ratio_bare_loop"], waiting["ratio_bare_loop"], idle["ratio_unchanged"])
    assert float(idle["ours_peak_rss_mb"]) > 20
    assert [line.split(",")[3].split(":")[0].strip() for line in said[1:]] == ["ours", "bare loop"] * 2
    assert said[0] == report.figures["dlt"]["not_measured"]
    assert not report.holds  # a bar that nobody measured does not hold


@pytest.mark.parametrize(("tuned", "holds"), [(1.9, True), (1.7, False)])
def test_it_holds_only_if_every_bar_does_and_the_ratio_shown_is_the_one_nearest_to_its_bar(
    tuned: float,
    holds: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = {"ratio_bare_loop": 0.9, "bar_bare_loop": 0.8, "ratio_dlt_tuned": tuned, "bar_dlt_tuned": 1.8}
    monkeypatch.setattr(import_clients, "_measure", lambda *_: figures)
    monkeypatch.setattr(import_clients, "has_dlt", lambda: True)
    monkeypatch.setattr(import_clients, "Lab", contextlib.nullcontext)
    report = import_clients.run(Options(), lambda _: None)
    assert (report.ratio, report.bar, report.holds) == (tuned, 1.8, holds)


@pytest.mark.road
@pytest.mark.parametrize("variant", ["default", "best"])
def test_dlt_brings_every_client_too(variant: dlt_peer.Variant, database: Database) -> None:
    if not has_dlt():
        pytest.skip("the peers extra is not installed")
    with SandboxServer(SandboxOptions(clients=150, months=0)) as served:
        assert dlt_peer.load(variant, _source(served), libpq_url(database.url)).rows == 151


def test_the_operators_own_settings_are_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/live")
    with SandboxServer(SandboxOptions(clients=1, months=0)) as served:
        lent = import_clients.settings_of(served, import_clients.Database("postgresql:///bench", "dbname=bench"))
    assert lent.database_url == "postgresql:///bench"
    assert lent.ghl_api_base_url == served.url


def test_the_bare_loop_brings_every_client_once_and_writes_nothing_the_second_time(database: Database) -> None:
    with SandboxServer(SandboxOptions(clients=150, months=0)) as served:
        first, second = (bare_loop.load(_source(served), database.dsn) for _ in range(2))
        truth = {row["clientId"]: row for row in served.truth("phorest/clients")}
    assert (first.rows, first.written, second.rows, second.written) == (151, 151, 151, 0)
    with psycopg.connect(database.dsn) as connection:
        held = connection.execute('select "clientId", "lastName", notes, archived from bare_clients').fetchall()
    assert {(key, last, notes, archived) for key, last, notes, archived in held} == {
        (key, row.get("lastName"), row.get("notes"), row["archived"]) for key, row in truth.items()
    }


def test_a_bare_loop_that_is_refused_is_a_sentence(database: Database) -> None:
    with SandboxServer(SandboxOptions(clients=1, months=0)) as served:
        refused = _source(served, PHOREST_CLIENT_SECRET="wrong")
        with pytest.raises(BenchError, match="could not read the sandbox's clients"):
            bare_loop.load(refused, database.dsn)
