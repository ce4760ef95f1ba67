"""Each row of the facts' sandbox sections (phorest-api §13, ghl-api §18), held by the smallest observation of it.

Rows that need more room have tests of their own; here stands the list, so that a fact cannot quietly go missing.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import V3, Driver

Check = Callable[[Driver], bool]
WINDOW = {"from_date": "2026-05-01", "to_date": "2026-05-31"}


@pytest.fixture
def drive() -> Driver:
    """A small salon with a diary."""
    return Driver(clients=60, months=2, now=datetime(2026, 5, 20, 10, tzinfo=UTC))


def _keys(drive: Driver, path: str) -> set[str]:
    window = WINDOW if path.endswith("appointment") else {}
    return set(drive.phorest("GET", path, query=window).json["_embedded"])


def _events(drive: Driver) -> dict[str, Any]:
    calendar, user = (next(iter(drive.world.ghl[name].rows)) for name in ("calendars", "users"))
    contact = drive.contact(firstName="A", email="a@example.com")["id"]
    return {
        "calendarId": calendar, "locationId": drive.location, "contactId": contact, "assignedUserId": user,
        "startTime": "2026-06-02T10:00:00+01:00", "ignoreFreeSlotValidation": True,
    }  # fmt: skip


def _book(drive: Driver, **more: object) -> Any:
    return drive.ghl("POST", "/calendars/events/appointments", _events(drive) | more, version="2021-04-15")


def _delete_appointment(drive: Driver) -> int:
    return drive.phorest("DELETE", f"{{b}}/appointment/{next(iter(drive.world.appointments.rows))}").status


def _put_client(drive: Driver, version: int) -> int:
    row = next(iter(drive.world.phorest["clients"].rows.values()))
    return drive.phorest("PUT", f"/client/{row['clientId']}", row | {"version": row["version"] + version}).status


def _points_leave_updated_at(drive: Driver) -> bool:
    key, row = next(iter(drive.world.phorest["clients"].rows.items()))
    body = {"clientId": key, "branchId": drive.branch, "description": "d", "pointsChange": 1, "operationType": "ADD"}
    drive.phorest("POST", "/loyaltypoints", body)
    return drive.phorest("GET", f"/client/{key}").json["updatedAt"] == row["updatedAt"]


def _eleventh_hour(drive: Driver) -> bool:
    drive.switch(phorest_rate_max=1)
    drive.phorest("GET", "/branch")
    answer = drive.phorest("GET", "/branch")
    return (
        answer.status == 429
        and "retry-after" not in answer.headers
        and any("ratelimit" in name for name in answer.headers)
    )


def _wrong_region(drive: Driver) -> bool:
    drive.switch(phorest_wrong_region=True)
    return (drive.phorest("GET", "/branch").status, drive.phorest("POST", "/client", {}).status) == (200, 302)


def _half_null(drive: Driver) -> bool:
    rows = drive.phorest("GET", "/client", query={"size": 200}).json["_embedded"]["clients"]
    return len({"externalId" in row for row in rows}) == 2 and all(row.get("externalId") is None for row in rows)


def _staff_as(drive: Driver, user: str) -> int:
    return drive.phorest("GET", "/client", user=user).status


PHOREST: dict[str, Check] = {
    "1 wrong credentials answer 401 in plain text": lambda d: (
        d.phorest("GET", "/client", user="x").json == "Unauthorized"
    ),
    "1 the user begins with global/": lambda d: (
        _staff_as(d, d.world.credentials.phorest_user.removeprefix("global/")) == 401
    ),
    "2 an unknown business is 404": lambda d: d.phorest("GET", "/client", business="x").status == 404,
    "2 an unknown branch is 404": lambda d: d.phorest("GET", "/branch/x/staff").status == 404,
    "2 another business is 403": lambda d: (
        d.phorest("GET", "/client", business=d.world.credentials.other_business).status == 403
    ),
    "3 an empty page has no _embedded": lambda d: set(d.phorest("GET", "/client", query={"page": 99}).json) == {"page"},
    "3 staff come as staffs": lambda d: _keys(d, "{b}/staff") == {"staffs"},
    "3 appointments come as appointments": lambda d: _keys(d, "{b}/appointment") == {"appointments"},
    "3 categories come as clientCategories": lambda d: _keys(d, "/category/client") == {"clientCategories"},
    "4 the default size is 20": lambda d: d.phorest("GET", "/client").json["page"]["size"] == 20,
    "4 sizes are clamped to 200": lambda d: (
        d.phorest("GET", "/client", query={"size": 999}).json["page"]["size"] == 200
    ),
    "4 appointments are clamped to 100": lambda d: (
        d.phorest("GET", "{b}/appointment", query=WINDOW | {"size": 999}).json["page"]["size"] == 100
    ),
    "5 unknown parameters are ignored": lambda d: (
        d.phorest("GET", "/client", query={"updatedSince": "x"}).status == 200
    ),
    "5 malformed parameters are 400": lambda d: d.phorest("GET", "/client", query={"page": "-1"}).status == 400,
    "6 archived clients are hidden": lambda d: (
        d.phorest("GET", "/client").json["page"]["totalElements"]
        < d.phorest("GET", "/client", query={"includeArchived": "true"}).json["page"]["totalElements"]
    ),
    "7 a window is needed": lambda d: d.phorest("GET", "{b}/appointment").status == 400,
    "7 a window ends after it starts": lambda d: (
        d.phorest("GET", "{b}/appointment", query={"from_date": "2026-05-02", "to_date": "2026-05-01"}).status == 400
    ),
    "7 a window has at most 31 days": lambda d: (
        d.phorest("GET", "{b}/appointment", query=WINDOW | {"to_date": "2026-06-01"}).status == 400
    ),
    "8 services ignore a delta": lambda d: (
        d.phorest("GET", "{b}/service", query={"updatedAfter": "2199-01-01T00:00:00.000Z"}).json["page"][
            "totalElements"
        ]
        > 0
    ),
    "9 the walk-in client is one client": lambda d: "clientId" in d.phorest("GET", "/client/walk-in").json,
    "9 a batch of none is 400": lambda d: d.phorest("GET", "/client-batch").status == 400,
    "10 a client needs both names": lambda d: (
        d.phorest("POST", "/client", {"firstName": "A", "lastName": " "}).status == 400
    ),
    "10 a client starts at version 0": lambda d: (
        d.phorest("POST", "/client", {"firstName": "A", "lastName": "B"}).json["version"] == 0
    ),
    "11 a stale version is 409": lambda d: (_put_client(d, -1), _put_client(d, 0)) == (409, 200),
    "12 deleting an appointment is 500": lambda d: _delete_appointment(d) == 500,
    "13 loyalty does not bump updatedAt": _points_leave_updated_at,
    "14 a refused booking is 400": lambda d: d.phorest("POST", "{b}/booking", {}).status == 400,
    "15 too many requests are 429 with headers, without Retry-After": _eleventh_hour,
    "16 every answer has a trace id": lambda d: "x-phorest-trace-id" in d.phorest("GET", "/branch").headers,
    "17 the wrong region reads and redirects": _wrong_region,
    "19 instants have whole seconds": lambda d: all(
        row["updatedAt"].endswith(".000Z") for row in d.phorest("GET", "/client").json["_embedded"]["clients"]
    ),
    "19 products have real milliseconds": lambda d: any(
        not row["updatedAt"].endswith(".000Z") for row in d.phorest("GET", "{b}/product").json["_embedded"]["products"]
    ),
    "19 local times have milliseconds": lambda d: all(
        re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", row["startTime"])
        for row in d.phorest("GET", "{b}/appointment", query=WINDOW).json["_embedded"]["appointments"]
    ),
    "20 half of the null fields are absent": _half_null,
}


def _limited(drive: Driver) -> bool:
    drive.switch(ghl_rate_max=2)
    return [drive.ghl("GET", f"/locations/{drive.location}").status for _ in range(3)] == [200, 200, 429]


def _lag(drive: Driver) -> bool:
    drive.switch(ghl_search_lag_s=3.0)
    drive.contact(firstName="A")
    before = len(drive.search())
    drive.world.clock.advance(timedelta(seconds=4))
    return (before, len(drive.search())) == (0, 1)


def _permanent(drive: Driver) -> bool:
    key = drive.contact(email="a@example.com")["id"]
    drive.control("PATCH", f"/ghl/contacts/{key}", {"dndSettings": {"SMS": {"status": "permanent"}}})
    answer = drive.ghl("PUT", f"/contacts/{key}", {"dndSettings": {"SMS": {"status": "inactive"}}})
    return (answer.status, answer.json["statusCode"]) == (400, 401)


def _bulk(drive: Driver) -> bool:
    body = {"contacts": [drive.contact()["id"], "bad"], "tags": ["x"], "locationId": drive.location}
    answer = drive.ghl("POST", "/contacts/bulk/tags/update/add", body)
    return (answer.status, answer.json["errorCount"]) == (201, 1)


def _upsert_error(drive: Driver) -> int:
    return drive.ghl("POST", "/contacts/upsert", {"locationId": drive.location, "firstName": "A"}).status


def _duplicate(drive: Driver) -> bool:
    key = drive.contact(email="a@example.com")["id"]
    answer = drive.ghl("POST", "/contacts/", {"locationId": drive.location, "email": "A@example.com"})
    return (
        answer.status == 400
        and answer.json["meta"]["contactId"] == key
        and answer.json["meta"]["matchingField"] == "email"
    )


def _wrapped(drive: Driver) -> bool:
    made = _book(drive)
    got = drive.ghl("GET", f"/calendars/events/appointments/{made.json['id']}").json
    gone = drive.ghl("DELETE", f"/calendars/events/{made.json['id']}", {})
    return made.status == 200 and "event" not in made.json and "event" in got and gone.status == 201


def _silent(drive: Driver) -> bool:
    _book(drive, toNotify=False)
    return drive.runs(trigger="appointment") == [] and drive.world.automations.not_run.counts["toNotify false"] == 1


GHL: dict[str, Check] = {
    "1 the token comes first": lambda d: (
        d.ghl("GET", "/nowhere", token="x", version=None).json["message"] == "Invalid JWT"
    ),
    "1 five rate headers on every answer": lambda d: (
        sum("X-RateLimit" in name for name in d.ghl("GET", "/nowhere").headers) == 5
    ),
    "2 private tokens begin with pit-": lambda d: d.world.credentials.ghl_token.startswith("pit-"),
    "3 more than a burst is 429": _limited,
    "4 lower-cased tags": lambda d: d.contact(tags=["VIP"])["tags"] == ["vip"],
    "4 lower-cased email": lambda d: d.contact(email="A@Example.com")["email"] == "a@example.com",
    "4 E.164 phones": lambda d: d.contact(phone="087 555 1234")["phone"] == "+353875551234",
    "4 success is misspelt": lambda d: d.ghl("DELETE", f"/contacts/{d.contact()['id']}").json["succeded"] is True,
    "4 unknown fields are ignored": lambda d: d.contact(customFields=[{"id": "x", "value": 1}])["customFields"] == [],
    "5 a duplicate names the contact": _duplicate,
    "5 an upsert needs an address": lambda d: _upsert_error(d) == 400,
    "6 a missing contact is 400 and named": lambda d: (
        d.ghl("GET", "/contacts/x").json["message"] == "Contact with id x not found"
    ),
    "6 a missing event is 400": lambda d: (
        d.ghl("GET", "/calendars/events/appointments/x").json["message"] == "The event id is invalid"
    ),
    "7 search shows a write 3 s later": _lag,
    "7 pageLimit is required": lambda d: d.ghl("POST", "/contacts/search", {"locationId": d.location}).status == 422,
    "8 a permanent channel cannot be opened": _permanent,
    "9 errors of a bulk call are inside its 201": _bulk,
    "10 a create is flat, a read wrapped, a delete 201": _wrapped,
    "10 a time needs an offset": lambda d: _book(d, startTime="2026-06-02T10:00:00").status == 422,
    "10 a member of the calendar is needed": lambda d: _book(d, assignedUserId="x").status == 422,
    "10 toNotify false sends nothing and is counted": _silent,
    "12 v3 spells channels its own way": lambda d: (
        set(
            d.ghl("GET", f"/contacts/{d.contact(dndSettings={'SMS': {'status': 'active'}})['id']}", version=V3).json[
                "contact"
            ]["dndSettings"]
        )
        == {"sms"}
    ),
}


@pytest.mark.parametrize("fact", PHOREST)
def test_phorest_behaves_as_section_13_says(drive: Driver, fact: str) -> None:
    assert PHOREST[fact](drive)


@pytest.mark.parametrize("fact", GHL)
def test_ghl_behaves_as_section_18_says(drive: Driver, fact: str) -> None:
    assert GHL[fact](drive)


WRONG = [
    "/client/walkin", "{b}/client/walk-in", "/client/batch", "/client/{c}/service-histories",
    "/client/{c}/servicehistory", "{b}/client", "{b}/client/{c}", "{b}/loyalty-points/change",
    "{b}/changeloyaltypoints", "{b}/appointment/{a}/check-in", "{b}/appointment/{a}/cancel",
    "{b}/appointment/{a}/confirm", "{b}/booking/x/note", "{b}/booking/x/notes", "{b}/staff-work-time-table",
    "{b}/staff/x/break", "{b}/client/{c}/course", "{b}/deposit-payment-link", "{b}/lead",
]  # fmt: skip


@pytest.mark.parametrize("path", WRONG)
def test_a_path_that_public_code_got_wrong_is_404_here_too(drive: Driver, path: str) -> None:
    """facts/phorest-api §6.1."""
    client, appointment = next(iter(drive.world.phorest["clients"].rows)), next(iter(drive.world.appointments.rows))
    full = path.replace("{c}", client).replace("{a}", appointment)
    assert {drive.phorest(method, full, {}).status for method in ("GET", "POST")} <= {404, 405}


def test_every_numbered_row_of_both_sections_is_held_here_or_named() -> None:
    """18 is latency (test_wire.py); 11 is webhooks (test_oauth.py)."""
    assert {int(fact.split()[0]) for fact in PHOREST} | {18} == set(range(1, 21))
    assert {int(fact.split()[0]) for fact in GHL} | {11} == set(range(1, 13))
