"""Appointments and bookings (facts/phorest-api §7.5, §7.6, §13 items 7, 11, 12)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import Answer, Driver


@pytest.fixture
def drive() -> Driver:
    """A small salon with a diary, its clock fixed so that summer time lies inside it."""
    return Driver(clients=900, months=3, now=datetime(2026, 5, 20, 10, tzinfo=UTC), seed=11)


ALL = {"fetch_canceled": "true", "fetch_deleted": "true", "fetch_archived": "true"}


def _list(drive: Driver, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in range(50):
        answer = drive.phorest(
            "GET", "{b}/appointment", query={"from_date": "2026-05-01", "to_date": "2026-05-31", "page": page, **query}
        )
        assert answer.status == 200, answer.json
        found += answer.json.get("_embedded", {}).get("appointments", [])
        if page + 1 >= answer.json["page"]["totalPages"]:
            return found
    raise AssertionError("endless paging")


def _future(drive: Driver) -> dict[str, Any]:
    rows = _list(drive, from_date="2026-06-01", to_date="2026-06-30")
    return next(
        row for row in rows if row["state"] == "BOOKED" and row["activationState"] == "ACTIVE" and row.get("clientId")
    )


@pytest.mark.parametrize(
    ("first", "last", "status"),
    [
        ("2026-05-01", "2026-05-31", 200), ("2026-05-01", "2026-06-01", 400), ("2026-05-02", "2026-05-01", 400),
        ("2026-02-01", "2026-02-28", 200),
        (None, "2026-05-31", 400), ("2026-05-01", None, 400), ("2026-5-1", "2026-05-31", 400),
        ("20260501", "2026-05-31", 400),
    ],
)  # fmt: skip
def test_a_window_is_needed_in_order_and_of_at_most_31_days(
    drive: Driver, first: str | None, last: str | None, status: int
) -> None:
    query = {name: value for name, value in (("from_date", first), ("to_date", last)) if value is not None}
    assert drive.phorest("GET", "{b}/appointment", query=query).status == status


def test_an_updated_filter_without_a_window_is_400(drive: Driver) -> None:
    assert drive.phorest("GET", "{b}/appointment", query={"updated_from": "2026-05-01T00:00:00.000Z"}).status == 400


def test_cancelled_deleted_and_archived_rows_come_only_on_demand(drive: Driver) -> None:
    plain, every = _list(drive), _list(drive, **ALL)
    assert {row["appointmentId"] for row in plain} < {row["appointmentId"] for row in every}
    assert all(not row["deleted"] and row.get("activationState") not in {"CANCELED", "ARCHIVED"} for row in plain)
    assert any(row.get("activationState") == "CANCELED" for row in _list(drive, fetch_canceled="true"))
    assert not any(row["deleted"] for row in _list(drive, fetch_canceled="true"))
    assert len(_list(drive, fetch_cancelled="true")) == len(plain), "the British spelling is an unknown parameter"


def test_the_delta_works_inside_the_window_and_sorts_by_update(drive: Driver) -> None:
    rows = _list(drive, **ALL)
    bound = sorted(row["updatedAt"] for row in rows)[len(rows) // 2]
    found = _list(drive, **ALL, updated_from=bound)
    assert {row["appointmentId"] for row in found} == {
        row["appointmentId"] for row in rows if row["updatedAt"] >= bound
    }
    assert [row["updatedAt"] for row in found] == sorted(row["updatedAt"] for row in found)
    assert [row["createdAt"] for row in rows] == sorted(row["createdAt"] for row in rows), (
        "without a delta, by creation"
    )
    assert _list(drive, updated_from="2199-01-01T00:00:00.000Z") == []


def test_wrong_names_of_the_delta_are_ignored(drive: Driver) -> None:
    assert len(_list(drive, updated_after="2199-01-01T00:00:00.000Z")) == len(_list(drive))


@pytest.mark.parametrize(("parameter", "name"), [("client_id", "clientId"), ("staff_id", "staffId")])
def test_rows_are_filtered_by_client_and_staff(drive: Driver, parameter: str, name: str) -> None:
    wanted = next(row[name] for row in _list(drive) if row.get(name))
    assert {row[name] for row in _list(drive, **{parameter: wanted})} == {wanted}


def test_sort_is_a_property_and_a_direction(drive: Driver) -> None:
    days = [row["appointmentDate"] for row in _list(drive, sort="appointmentDate,desc")]
    assert days == sorted(days, reverse=True)
    window = {"from_date": "2026-05-01", "to_date": "2026-05-31"}
    assert drive.phorest("GET", "{b}/appointment", query={**window, "sort": "mood,asc"}).status == 400


def test_a_page_holds_at_most_100_rows(drive: Driver) -> None:
    window = {"from_date": "2026-05-01", "to_date": "2026-05-31", "size": 500}
    assert drive.phorest("GET", "{b}/appointment", query=window).json["page"]["size"] == 100


def test_online_categories_and_notes_come_only_with_their_flags(drive: Driver) -> None:
    key = _list(drive)[0]["appointmentId"]
    drive.phorest("POST", f"{{b}}/appointment/{key}/note", {"serviceNote": "patch test done"})

    def row(**query: object) -> dict[str, Any]:
        return next(row for row in _list(drive, **query) if row["appointmentId"] == key)

    assert not {"notes", "internetServiceCategories"} & set(row())
    assert row(fetch_notes="true")["notes"] == "patch test done"
    assert row(fetch_online_category="true")["internetServiceCategories"][0].keys() == {"id", "name"}
    assert "notes" not in row(includeNotes="true"), "that name is only known to the single read"
    assert (
        drive.phorest("GET", f"{{b}}/appointment/{key}", query={"includeNotes": "true"}).json["notes"]
        == "patch test done"
    )
    assert "notes" not in drive.phorest("GET", f"{{b}}/appointment/{key}").json


def test_listed_rows_can_lack_their_branch_by_switch(drive: Driver) -> None:
    assert {row["branchId"] for row in _list(drive)} == {drive.branch}
    drive.switch(phorest_appointments_name_branch=False)
    assert not any("branchId" in row for row in _list(drive))


def test_a_single_row_is_of_its_branch() -> None:
    drive = Driver(clients=20, months=1, branches=2)
    first, second = drive.world.phorest["branches"].rows
    key = next(row["appointmentId"] for row in drive.world.appointments.rows.values() if row["branchId"] == first)
    assert drive.phorest("GET", f"/branch/{first}/appointment/{key}").status == 200
    assert drive.phorest("GET", f"/branch/{second}/appointment/{key}").status == 404
    assert drive.phorest("GET", f"/branch/nowhere/appointment/{key}").status == 404


def test_deleting_an_appointment_is_500_as_observed(drive: Driver) -> None:
    answer = drive.phorest("DELETE", f"{{b}}/appointment/{_future(drive)['appointmentId']}")
    assert answer.status == 500
    assert "not supported" in answer.json["detail"]


def _move(drive: Driver, row: dict[str, Any], **changed: object) -> Answer:
    names = ("appointmentId", "version", "appointmentDate", "startTime", "endTime", "staffId")
    body = {name: row[name] for name in names} | changed
    return drive.phorest(
        "PUT", f"{{b}}/appointment/{row['appointmentId']}", body, query={"force_selected_time": "true"}
    )


def test_a_move_keeps_local_times_and_raises_the_version(drive: Driver) -> None:
    row = _future(drive)
    moved = _move(
        drive, row, appointmentDate="2026-06-17", startTime="08:15:00.000", endTime="08:45:00.000", state="PAID"
    ).json
    assert (moved["appointmentDate"], moved["startTime"], moved["endTime"]) == (
        "2026-06-17",
        "08:15:00.000",
        "08:45:00.000",
    )
    assert (moved["version"], moved["state"]) == (row["version"] + 1, "BOOKED"), "a state in the body has no effect"
    assert _move(drive, row).status == 409
    drive.switch(phorest_put_time_mode="utc")
    again = _move(drive, moved, startTime="08:15:00.000", endTime="08:45:00.000").json
    assert (again["startTime"], again["endTime"]) == ("09:15:00.000", "09:45:00.000"), "Irish summer time"


def test_the_end_follows_the_service_when_the_staff_changes(drive: Driver) -> None:
    row = _future(drive)
    other = next(key for key in drive.world.phorest["staff"].rows if key != row["staffId"])
    moved = _move(drive, row, staffId=other, startTime="10:00:00.000", endTime="23:00:00.000").json
    minutes = drive.world.phorest["services"].rows[row["serviceId"]]["duration"]
    assert moved["endTime"] == f"{10 + minutes // 60:02d}:{minutes % 60:02d}:00.000"


def test_cancel_and_confirm_take_repeated_ids_and_unknown_ids_are_404(drive: Driver) -> None:
    rows = [row["appointmentId"] for row in _list(drive)[:2]]
    query = [("appointment_id", key) for key in rows]
    confirmed = drive.phorest("POST", "{b}/appointment/confirm", query=query)
    assert [row["confirmed"] for row in confirmed.json["_embedded"]["appointments"]] == [True, True]
    cancelled = drive.phorest("POST", "{b}/appointment/cancel", query=query)
    assert {row["activationState"] for row in cancelled.json["_embedded"]["appointments"]} == {"CANCELED"}
    assert not set(rows) & {row["appointmentId"] for row in _list(drive)}
    assert drive.phorest("POST", "{b}/appointment/cancel").status == 400
    assert drive.phorest("POST", "{b}/appointment/cancel", query={"appointment_id": "unknown"}).status == 404
    assert drive.phorest("POST", f"{{b}}/appointment/{rows[0]}/cancel").status == 404


def test_check_in_sets_the_state_of_an_active_unpaid_row_only(drive: Driver) -> None:
    key = _future(drive)["appointmentId"]
    answer = drive.phorest("POST", f"{{b}}/appointment/{key}/checkin")
    assert answer.json["_embedded"]["appointments"][0]["state"] == "CHECKED_IN"
    paid = next(row["appointmentId"] for row in _list(drive) if row["state"] == "PAID")
    assert drive.phorest("POST", f"{{b}}/appointment/{paid}/checkin").status == 400
    assert drive.phorest("POST", f"{{b}}/appointment/{key}/check-in").status == 404


def test_the_diary_has_the_odd_rows_of_life() -> None:
    drive = Driver(clients=3_000, months=12, now=datetime(2026, 5, 20, 10, tzinfo=UTC))
    rows = list(drive.world.appointments.rows.values())
    assert len(rows) / 16 == pytest.approx(172, rel=0.1)
    share = lambda test: sum(map(test, rows)) / len(rows)  # noqa: E731
    assert share(lambda row: row.get("activationState") == "CANCELED") == pytest.approx(0.08, abs=0.02)
    assert share(lambda row: row["deleted"]) == pytest.approx(0.02, abs=0.01)
    assert share(lambda row: not row.get("clientId")) == pytest.approx(0.04, abs=0.015)
    assert share(lambda row: row.get("clientId") == drive.world.walk_in) == pytest.approx(0.03, abs=0.015)
    assert any(row["endTime"] < row["startTime"] for row in rows), "crossing midnight"
    assert any(row["endTime"] == row["startTime"] for row in rows), "of no length"
    assert any(row["appointmentDate"].startswith("2205") for row in rows)
    assert any(
        row["appointmentDate"] in {"2026-03-29", "2025-10-26"} and row["startTime"] == "01:30:00.000" for row in rows
    ), "a DST night"
    assert any("state" not in row and "activationState" not in row for row in rows)
    assert any(row.get("clientId") and row["clientId"] not in drive.world.phorest["clients"] for row in rows)


# --- bookings -------------------------------------------------------------------------------------------------------


def _book(drive: Driver, status: str = "ACTIVE", start: str = "2026-06-10T08:00:00.000Z", who: int = 0) -> Answer:
    person = next(row for row in drive.world.phorest["staff"].rows.values() if row["userId"] and not row["archived"])
    service = next(key for key, row in drive.world.phorest["services"].rows.items() if not row["archived"])
    client = list(drive.world.phorest["clients"].rows)[who]
    schedule = {"serviceId": service, "startTime": start, "staffId": person["staffId"]}
    body = {"bookingStatus": status, "clientId": client, "note": "hello"}
    return drive.phorest(
        "POST",
        "{b}/booking",
        body | {"clientAppointmentSchedules": [{"clientId": client, "serviceSchedules": [schedule]}]},
    )


@pytest.fixture
def quiet() -> Driver:
    """No diary, so that nothing is in the way of a booking."""
    return Driver(clients=20, months=0, now=datetime(2026, 5, 20, 10, tzinfo=UTC))


def test_a_bookings_instant_is_utc_and_its_row_local(quiet: Driver) -> None:
    answer = _book(quiet)
    assert answer.status == 201
    (row,) = _list(quiet, from_date="2026-06-10", to_date="2026-06-10")
    assert (row["startTime"], row["source"], row["bookingId"]) == ("09:00:00.000", "API", answer.json["bookingId"])
    assert answer.json["schedules"][0]["appointmentId"] == row["appointmentId"]


def test_a_taken_slot_is_refused_with_the_codes_of_the_guide(quiet: Driver) -> None:
    assert _book(quiet).status == 201
    answer = _book(quiet, who=1)
    assert answer.status == 400
    assert (answer.json["detail"], answer.json["errorCode"]) == ("STAFF_DOUBLE_BOOKED", "SLOT_UNAVAILABLE")


def test_a_hold_can_be_activated_or_vanishes_on_its_own(quiet: Driver) -> None:
    held, kept = _book(quiet, "RESERVED").json, _book(quiet, "RESERVED", "2026-06-11T08:00:00.000Z").json
    assert quiet.phorest("POST", f"{{b}}/booking/{kept['bookingId']}/activate", {"depositAmount": 20.0}).status == 200
    quiet.world.clock.advance(timedelta(minutes=11))
    (row,) = _list(quiet, from_date="2026-06-10", to_date="2026-06-12")
    assert (row["bookingId"], row["activationState"], row["depositAmount"]) == (kept["bookingId"], "ACTIVE", 20.0)
    assert quiet.phorest("GET", f"{{b}}/appointment/{held['schedules'][0]['appointmentId']}").status == 404
    assert quiet.phorest("POST", f"{{b}}/booking/{held['bookingId']}/activate").status == 404


def test_a_booking_can_be_cancelled_and_noted(quiet: Driver) -> None:
    booking = _book(quiet).json["bookingId"]
    assert quiet.phorest("POST", f"{{b}}/booking/{booking}/appendnote", {"note": "more"}).status == 200
    assert quiet.phorest("POST", f"{{b}}/booking/{booking}/cancel").json["bookingStatus"] == "CANCELED"
    (row,) = _list(quiet, from_date="2026-06-10", to_date="2026-06-10", fetch_canceled="true", fetch_notes="true")
    assert (row["activationState"], row["notes"]) == ("CANCELED", "hello\nmore")


def test_availability_offers_free_starts_only(quiet: Driver) -> None:
    service = next(key for key, row in quiet.world.phorest["services"].rows.items() if not row["archived"])
    person = next(row for row in quiet.world.phorest["staff"].rows.values() if row["userId"] and not row["archived"])
    wish = {"clientServiceSelections": [{"serviceSelections": [{"serviceId": service, "staffId": person["staffId"]}]}]}
    period = {"startTime": "2026-06-10T07:00:00.000Z", "endTime": "2026-06-10T12:00:00.000Z"}
    before = quiet.phorest("POST", "{b}/appointments/availability", {**wish, **period}).json["data"]
    assert before[0]["startTime"] == "2026-06-10T08:00:00.000Z", "nine o'clock in Dublin in summer"
    _book(quiet, start=before[0]["startTime"])
    after = quiet.phorest("POST", "{b}/appointments/availability", {**wish, **period}).json["data"]
    assert before[0]["startTime"] not in {row["startTime"] for row in after}
    assert quiet.phorest("POST", "{b}/appointments/availability", wish).status == 400


def test_the_first_and_last_visits_of_clients_are_those_of_the_diary(drive: Driver) -> None:
    visits: dict[str, list[str]] = {}
    for row in drive.world.appointments.rows.values():
        if (
            row.get("state") == "PAID"
            and not row["deleted"]
            and row.get("clientId")
            and date.fromisoformat(row["appointmentDate"]).year < 2200
        ):
            visits.setdefault(row["clientId"], []).append(row["appointmentDate"])
    clients = drive.world.phorest["clients"].rows
    past = {
        key: max(day for day in days if day <= "2026-05-20")
        for key, days in visits.items()
        if min(days) <= "2026-05-20"
    }
    assert past
    assert {key: clients[key]["lastVisit"] for key in past if key in clients} == {
        key: day for key, day in past.items() if key in clients
    }
