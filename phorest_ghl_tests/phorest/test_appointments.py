"""Appointments by branch and month: windows, deltas, moves, and what vanished."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product as pairs
from zoneinfo import ZoneInfo

import pytest

from phorest_ghl.phorest.branches import UnknownZone
from phorest_ghl.phorest.results import combined
from phorest_ghl.phorest.scopes import Month, months_around
from phorest_ghl_tests.phorest.salon import Row, Salon, salon, without_nulls
from phorest_ghl_tests.support.databases import Database


@pytest.fixture
def shop(database: Database) -> Iterator[Salon]:
    with salon(database.url, branches=2, clients=400, months_back=1) as made:
        yield made


def expected(shop: Salon, window: tuple[Month, ...]) -> dict[str, Row]:
    """The truth's rows of these months, as a list shows them (notes and online categories are hidden there)."""
    first, last = window[0].first.isoformat(), window[-1].last.isoformat()
    hidden = {"internetServiceCategories", "notes"}
    return {
        row["appointmentId"]: without_nulls({k: v for k, v in row.items() if k not in hidden})
        for row in shop.truth("appointments")
        if first <= row["appointmentDate"] <= last
    }


def one(shop: Salon, **wanted: object) -> Row:
    """An appointment of the coming months with these values."""
    today = datetime.now(UTC).date().isoformat()
    return next(
        row
        for row in shop.truth("appointments")
        if row["appointmentDate"] > today
        and row["appointmentDate"] < "2100"
        and all(row.get(name) == value for name, value in {"deleted": False, **wanted}.items())
    )


def window_of(shop: Salon) -> tuple[Month, ...]:
    return months_around(datetime.now(UTC).date())


def test_the_window_s_months_of_every_branch_are_held_as_phorest_has_them(shop: Salon) -> None:
    results = shop.appointments()
    assert all(result.complete and result.lower is None for result in results)
    window = window_of(shop)
    assert {result.scope for result in results} == {f"{b}/{m}" for b, m in pairs(shop.branches(), window)}
    truth = expected(shop, window)
    held = {**shop.held("phorest_appointments"), **shop.held("phorest_appointments", gone=True)}
    assert {key: row["raw"] for key, row in held.items()} == truth
    assert {key for key, row in held.items() if row["deleted_at"]} == {k for k, row in truth.items() if row["deleted"]}
    states = {row["activation_state"] for row in held.values()}
    assert {"CANCELED", "ARCHIVED"} <= states, "cancelled and archived ones are asked for, unknown words are kept"


def test_instants_follow_each_branch_s_zone_and_the_local_parts_are_kept(shop: Salon) -> None:
    shop.appointments()
    zones = {row["branchId"]: ZoneInfo(row["timeZone"]) for row in shop.truth("branches")}
    assert len(set(zones.values())) == 2
    for row in shop.held("phorest_appointments").values():
        local = datetime.combine(row["appointment_date"], row["start_time"], zones[row["branch_id"]])
        assert row["starts_at"] == local.astimezone(UTC)
        assert row["starts_at"] <= row["ends_at"]


def test_another_time_mode_computes_the_instants_of_unchanged_rows_anew(shop: Salon) -> None:
    shop.appointments()
    shop.runtime.settings = shop.runtime.settings.model_copy(update={"phorest_appointment_time_mode": "utc"})
    results = shop.runtime.importer("B").appointments(full=True)
    assert sum(result.updated for result in results) > 0
    for row in shop.held("phorest_appointments").values():
        assert row["starts_at"] == datetime.combine(row["appointment_date"], row["start_time"], UTC)
    again = shop.runtime.importer("B").appointments(full=True)
    assert sum(result.updated for result in again) == 0


def test_after_a_complete_read_a_month_is_read_by_what_changed(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE", state="BOOKED")
    shop.edit("appointments", row["appointmentId"], activationState="CANCELED")
    results = shop.appointments()
    changed = [result for result in results if result.updated]
    assert [result.scope for result in changed] == [f"{row['branchId']}/{row['appointmentDate'][:7]}"]
    assert changed[0].lower is not None
    assert shop.held("phorest_appointments")[row["appointmentId"]]["activation_state"] == "CANCELED"
    assert sum(result.seen for result in results) < 30, "a delta does not list everything"


def test_a_month_that_was_never_read_whole_is_read_whole_and_a_backfill_always_is(shop: Salon) -> None:
    month = window_of(shop)[2]
    first, second = shop.importer().appointments([month]), shop.importer().appointments([month, month.next()])
    assert all(result.lower is None for result in first)
    assert [result.lower is None for result in second] == [False, True, False, True]
    assert all(result.lower is None for result in shop.importer().appointments([month], full=True))


def test_an_appointment_that_moves_to_another_month_is_moved_and_not_doubled(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE")
    key, held = row["appointmentId"], len(shop.held("phorest_appointments"))
    there = window_of(shop)[-1].last.isoformat()
    shop.edit("appointments", key, appointmentDate=there)
    shop.appointments()
    assert shop.held("phorest_appointments")[key]["appointment_date"].isoformat() == there
    assert len(shop.held("phorest_appointments")) == held


def test_one_that_moves_out_of_the_window_is_found_by_id_by_the_next_complete_read(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE")
    far = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
    shop.edit("appointments", row["appointmentId"], appointmentDate=far)
    assert combined(shop.appointments()).asked_by_id == 0  # no delta of the window shows it
    result = combined(shop.appointments(full=True))
    assert (result.asked_by_id, result.tombstoned, result.unsettled) == (1, 0, 0)
    assert shop.held("phorest_appointments")[row["appointmentId"]]["appointment_date"].isoformat() == far


def test_one_that_is_gone_is_over_and_a_restored_one_is_not(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE")
    shop.delete("appointments", row["appointmentId"])
    assert combined(shop.appointments()).tombstoned == 0
    assert combined(shop.appointments(full=True)).tombstoned == 1
    assert row["appointmentId"] in shop.held("phorest_appointments", gone=True)
    assert combined(shop.appointments(full=True)).asked_by_id == 0


def test_s4_gone_means_nothing_while_a_known_appointment_of_the_branch_is_not_found_either(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE")
    shop.delete("appointments", row["appointmentId"])
    importer = shop.importer()
    ask = importer._client.one
    asked: list[str] = []

    def nothing(spec: object, phorest_id: str, *, branch_id: str = "") -> object:
        asked.append(phorest_id)
        return ask(spec, "no-such-appointment", branch_id=branch_id)  # pyright: ignore[reportArgumentType]

    importer._client.one = nothing  # pyright: ignore[reportAttributeAccessIssue]
    try:
        result = combined(importer.appointments(full=True))
    finally:
        del importer._client.one
    assert (result.tombstoned, result.unsettled) == (0, 1)
    assert len(asked) == 2
    assert row["appointmentId"] in shop.held("phorest_appointments")
    assert combined(shop.appointments(full=True)).tombstoned == 1


def test_s4_an_outage_of_the_read_by_id_ends_nothing(shop: Salon) -> None:
    shop.appointments()
    row = one(shop, activationState="ACTIVE")
    shop.delete("appointments", row["appointmentId"])
    shop.fault("503", "GET /branch/{branchId}/appointment/{appointmentId}", rate=1.0)
    result = combined(shop.appointments(full=True))
    assert (result.tombstoned, result.unsettled, result.complete) == (0, 1, True)
    shop.calm()
    assert combined(shop.appointments(full=True)).tombstoned == 1


def test_an_empty_window_where_many_rows_were_held_ends_nothing_and_keeps_the_cursor(shop: Salon) -> None:
    shop.appointments()
    month, branch = window_of(shop)[1], shop.branches()[0]
    mine = [r for r in shop.truth("appointments") if r["branchId"] == branch and r["appointmentDate"][:7] == str(month)]
    before = shop.rows("select * from import_cursors where scope = :scope", scope=f"{branch}/{month}")
    for row in mine:
        shop.delete("appointments", row["appointmentId"])
    results = shop.importer().appointments([month], full=True)
    assert [result.suspiciously_empty for result in results if result.scope == f"{branch}/{month}"] == [True]
    assert combined(results).tombstoned == 0
    assert shop.rows("select * from import_cursors where scope = :scope", scope=f"{branch}/{month}") == before


def test_a_branch_without_a_known_zone_stops_with_a_sentence_that_names_it(shop: Salon) -> None:
    branch = shop.branches()[0]
    shop.importer().clients()
    with shop.engine.begin() as connection:
        connection.exec_driver_sql(
            "update phorest_branches set time_zone = 'Mars/Olympus' where phorest_id = %s", (branch,)
        )
    with pytest.raises(UnknownZone, match=rf"{branch} has the time zone 'Mars/Olympus'"):
        shop.importer().appointments()
