"""Nonsense is answered, never crashed on: queries of both vendors, one parameter at a time."""

from collections.abc import Callable
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import V3, Answer, Driver

ODD = ("", "x", "-1", "²", "٣", "2.5", "1e400", "NaN", "9" * 400, "%", "\x00", "2026-13-45", "[]", "true", "null")


@pytest.fixture(scope="module")
def busy() -> Driver:
    """A salon with one of most things."""
    drive = Driver(clients=20, months=1)
    drive.contact(firstName="A", email="a@example.com")
    return drive


def _fails(call: Callable[..., Answer], *given: Any, **named: Any) -> bool:
    """Whether a handler raises; over HTTP that is a 500 with a traceback."""
    try:
        return call(*given, **named).status >= 500
    except Exception:  # noqa: BLE001 - any is the failure looked for
        return True


def _path(drive: Driver, template: str) -> str:
    contact, calendar = (next(iter(drive.world.ghl[name].rows)) for name in ("contacts", "calendars"))
    client, appointment = next(iter(drive.world.phorest["clients"].rows)), next(iter(drive.world.appointments.rows))
    known = {
        "{contactId}": contact, "{calendarId}": calendar, "{locationId}": drive.location, "{branchId}": drive.branch,
        "{clientId}": client, "{appointmentId}": appointment, "{type}": "add",
    }  # fmt: skip
    return "/".join(known.get(part, "x" if part.startswith("{") else part) for part in template.split("/"))


def test_no_query_parameter_of_ghl_fails_on_odd_text(busy: Driver) -> None:
    usual = {
        "locationId": busy.location, "companyId": busy.world.location["companyId"], "startTime": "1900000000000",
        "endTime": "1900100000000", "startDate": "1900000000000", "endDate": "1900100000000", "limit": "5",
        "offset": "0", "calendarId": next(iter(busy.world.ghl["calendars"].rows)),
    }  # fmt: skip
    failed: list[tuple[str, str, str]] = []
    for route in busy.app.ghl.router.routes:
        base = {name: usual[name] for name in route.facts["query"] if name in usual}
        for name in route.facts["query"]:
            for odd in ODD:
                query, path = base | {name: odd}, _path(busy, route.template)
                if _fails(busy.ghl, route.method, path, query=query, version=V3):
                    failed.append((route.name, name, odd))
    assert failed == []


def test_no_query_parameter_of_phorest_fails_on_odd_text(busy: Driver) -> None:
    names = (
        "page", "size", "updatedAfter", "updatedBefore", "createdAfter", "createdBefore", "from_date", "to_date", "date",
        "updated_from", "updated_to", "sort", "client_id", "appointment_id", "firstName", "lastName", "email", "phone",
        "mobile", "includeArchived", "includeDeleted", "fetch_deleted", "fetch_canceled", "fetch_archived",
        "fetch_notes", "staff_id", "externalId", "start_date", "end_date", "from", "to", "deduct",
    )  # fmt: skip
    window = {"from_date": "2026-05-01", "to_date": "2026-05-31"}
    failed: list[tuple[str, str, str]] = []
    for route in busy.app.phorest.router.routes:
        if route.method != "GET":
            continue
        for name in names:
            for odd in ODD:
                query, path = window | {name: odd}, _path(busy, route.template)
                if _fails(busy.phorest, "GET", path, query=query):
                    failed.append((route.name, name, odd))
    assert failed == []
