"""The GHL side against the vendor's own specs, v2 and v3, and no route that answers 500 whatever it is sent."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl_tests.sandbox import contract
from phorest_ghl_tests.sandbox.driver import V2, V3, Driver

OVERLAY = json.loads((Path(__file__).parent / "contract_overlay.json").read_text())
needs_specs = pytest.mark.skipif(
    not contract.SPECS.is_dir(), reason="the vendor's specs are not beside this checkout (../shared/specs/ghl)"
)


@pytest.mark.shared
@needs_specs
def test_every_answer_and_accepted_request_is_as_the_specs_say_or_as_the_overlay_explains() -> None:
    found = {
        line
        for version in (V2, V3)
        for exchange in contract.tour(version).exchanges
        for line in contract.deviations(exchange)
    }
    patterns = {entry["deviation"]: entry["fact"] for entry in OVERLAY}
    unexplained = sorted(line for line in found if not any(fnmatchcase(line, pattern) for pattern in patterns))
    assert unexplained == []
    unused = [pattern for pattern in patterns if not any(fnmatchcase(line, pattern) for line in found)]
    assert unused == [], "an explanation that explains nothing any more"
    assert all(fact.startswith("ghl-api §") for fact in patterns.values())


@pytest.mark.parametrize("version", [V2, V3])
def test_the_tour_visits_every_operation(version: str) -> None:
    drive = contract.tour(version)
    visited = {found[0].name for exchange in drive.exchanges if (found := drive.app.ghl.find(exchange.request))}
    elsewhere = {"GET /oauth/chooselocation", "GET /v2/oauth/chooselocation"}  # pages for people, in no spec
    if version == V3:
        elsewhere |= {
            "POST /oauth/locationToken",
            "GET /oauth/installedLocations",
            "DELETE /contacts/{contactId}/campaigns/removeAll",
        }
    hidden = {route.name for route in drive.app.ghl.router.routes if route.facts["v3_only"]} if version == V2 else set()
    assert {route.name for route in drive.app.ghl.router.routes} - visited - elsewhere - hidden == set()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def crash() -> Driver:
    """A salon with one of everything, to be sent nonsense."""
    drive = Driver(clients=20, months=1)
    drive.contact(firstName="A", email="a@example.com")
    return drive


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_no_ghl_route_fails_whatever_its_body_holds(crash: Driver, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(crash.app.ghl.router.routes))
    contact, calendar = (next(iter(crash.world.ghl[name].rows), "none") for name in ("contacts", "calendars"))
    known = {"{contactId}": contact, "{calendarId}": calendar, "{locationId}": crash.location, "{type}": "add"}
    path = "/".join(known.get(part, "x" if part.startswith("{") else part) for part in route.template.split("/"))
    shape = route.facts["body"] or {}
    body: dict[str, Any] = {
        name: data.draw(_plausible(crash, name, contact, calendar) | JUNK) for name in shape if data.draw(st.booleans())
    }
    query = {name: data.draw(st.text(max_size=6) | st.integers(-1, 99).map(str)) for name in route.facts["query"]}
    answer = crash.ghl(route.method, path, body, query=query, version=data.draw(st.sampled_from([V2, V3])))
    assert answer.status < 500


def _plausible(drive: Driver, name: str, contact: str, calendar: str) -> st.SearchStrategy[Any]:
    values = {
        "locationId": drive.location, "contactId": contact, "contacts": [contact], "calendarId": calendar,
        "startTime": "2030-01-01T10:00:00Z", "pageLimit": 10,
        "filters": [{"field": "email", "operator": "eq", "value": 1}], "dndSettings": {"SMS": {"status": "active"}},
    }  # fmt: skip
    return st.just(values.get(name, "x"))


PHOREST_QUERY = (
    "page", "size", "updatedAfter", "from_date", "to_date", "sort", "client_id", "appointment_id", "firstName",
    "phone", "fetch_deleted",
)  # fmt: skip
PHOREST_BODY = {
    "version": 0, "firstName": "A", "lastName": "B", "startTime": "10:00:00.000", "endTime": "11:00:00.000",
    "jobType": "CLIENT_CSV", "items": [{"product": {}}], "payments": [{"type": "CASH", "amount": 1}],
    "pointsChange": 3, "operationType": "ADD",
}  # fmt: skip


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_phorest_route_fails_whatever_it_is_sent(crash: Driver, data: st.DataObject) -> None:
    routes = crash.app.phorest.router.routes
    route = data.draw(st.sampled_from(routes))
    client = next(iter(crash.world.phorest["clients"].rows))
    appointment = next(iter(crash.world.appointments.rows))
    known = {"{branchId}": crash.branch, "{clientId}": client, "{appointmentId}": appointment}
    path = "/".join(known.get(part, "x" if part.startswith("{") else part) for part in route.template.split("/"))
    query = {
        name: data.draw(st.text(max_size=6) | st.just("2026-01-01"))
        for name in PHOREST_QUERY
        if data.draw(st.booleans())
    }
    good: dict[str, Any] = {"clientId": client, "appointmentId": appointment, "branchId": crash.branch} | PHOREST_BODY
    names = data.draw(st.sets(st.sampled_from(sorted({*route.facts["body"], *good}))))
    body = {name: data.draw(st.just(good.get(name, "x")) | JUNK) for name in sorted(names)}
    answer = crash.phorest(route.method, path, body if route.method != "GET" else None, query=query)
    assert answer.status < 500
