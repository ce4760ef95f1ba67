"""`bench import` at a tiny size: every contender brings everything, and says so or fails."""

import psycopg
import pytest

from benchmarks import bare_loop, import_clients
from benchmarks.bare_loop import Source
from benchmarks.report import BenchError, Options
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


@pytest.mark.e2e
def test_both_contenders_run_through_and_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_clients, "LATENCIES_MS", (100,))
    said: list[str] = []
    report = import_clients.run(Options(clients=250, rounds=1), said.append)
    figures = report.figures["100 ms a page"]
    assert figures["clients"] == 251
    assert report.ratio == figures["ratio"]
    assert report.holds == (report.ratio >= report.bar)
    assert [line.split(",")[3].split(":")[0].strip() for line in said] == ["ours", "bare loop"]


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
