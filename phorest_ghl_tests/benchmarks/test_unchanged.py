"""`bench unchanged` at a tiny size: everything is read again, nothing is written, and a write would be seen."""

import pytest
import sqlalchemy as sa

from benchmarks import unchanged
from benchmarks.report import Options
from phorest_ghl_tests.phorest.salon import salon
from phorest_ghl_tests.support.databases import Database


@pytest.mark.road
def test_a_salon_in_which_nothing_changed_is_read_and_planned_without_a_row_or_a_change() -> None:
    said: list[str] = []
    report = unchanged.run(Options(clients=120, rounds=1), said.append)
    whole, delta = report.figures["all read"], report.figures["what changed read"]
    assert whole["clients_read"] == 121
    assert int(whole["appointments_read"]) > int(delta["appointments_read"])
    assert {(case["rows_written"], case["changes_planned"]) for case in (whole, delta)} == {(0, 0)}
    assert float(whole["own_s"]) == pytest.approx(
        float(whole["ours_cpu_s"]) + float(whole["postgres_cpu_s"]), abs=0.002
    )
    assert report.holds == (report.ratio >= report.bar)
    assert len(said) == 3


def test_a_row_that_is_written_or_only_locked_is_seen(database: Database) -> None:
    with salon(database.url, clients=20, months_back=1) as shop:
        shop.everything(full=True)
        before = unchanged._transaction(database.engine)
        assert unchanged._written(database.engine, before) == 0
        for statement in (
            "update phorest_appointments set notes = notes where ctid in (select min(ctid) from phorest_appointments)",
            "select from phorest_clients where phorest_id = (select min(phorest_id) from phorest_clients) for update",
        ):
            with database.engine.begin() as connection:
                connection.execute(sa.text(statement))
        assert unchanged._written(database.engine, before) == 2
