"""The table of scopes names for each operation the scope that GHL asks for, and the app asks for all that are used."""

import pytest

from phorest_ghl.ghl.scopes import WANTED, scope_of
from phorest_ghl.sandbox.ghl import (
    calendars,
    contacts,
    custom_fields,
    event_notes,
    events,
    locations,
    notes,
    oauth,
    search,
    tags,
    users,
    workflows,
)
from phorest_ghl.sandbox.ghl.common import GhlRoute

ROUTES = [
    route
    for module in (
        calendars, contacts, custom_fields, event_notes, events, locations, notes, oauth, search, tags, users, workflows,
    )
    for route in module.ROUTES
    if route.facts["scope"] and "/tasks/search" not in route.template
]  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_each_operation_needs_the_scope_that_the_table_names(route: GhlRoute) -> None:
    assert scope_of(f"{route.method} {route.template}") == route.facts["scope"]


def test_what_the_client_calls_is_asked_for_and_what_nobody_knows_has_no_scope() -> None:
    used = (
        "POST /contacts/search", "PUT /contacts/{contactId}", "POST /contacts/bulk/tags/update/{type}",
        "GET /calendars/", "PUT /calendars/events/appointments/{eventId}", "GET /users/search", "GET /workflows/",
        "POST /locations/{locationId}/customFields", "GET /locations/{locationId}", "POST /oauth/locationToken",
    )  # fmt: skip
    assert {scope_of(operation) for operation in used} <= set(WANTED)
    assert scope_of("GET /nowhere") is None
