"""Every call that the client can make, against the vendor's published schemas of both generations."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phorest_ghl.ghl.calendars import CalendarClient, EventWrite
from phorest_ghl.ghl.client import private_token
from phorest_ghl.ghl.fields import CUSTOM, GUARD_TAG, SOURCE
from phorest_ghl.ghl.models import ContactWrite, DndSetting
from phorest_ghl.ghl.versions import ApiVersion, Generation
from phorest_ghl.http.session import ApiSession
from phorest_ghl_tests.http.wire import NotingBudget

SPECS = Path(__file__).resolve().parents[3] / "shared" / "specs" / "ghl"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SPECS.exists(), reason="the vendor's specs are not here: ../shared/specs/ghl is absent"),
]

GENERATIONS: tuple[Generation, ...] = ("2021", "v3")
FILES = {
    "2021": {name: f"v2/{name}.json" for name in ("contacts", "locations", "calendars", "users")},
    "v3": {name: f"v3/{name}-v3.json" for name in ("contacts", "locations", "calendars", "users")},
}
SEARCH_BODY = {"locationId", "pageLimit", "filters", "searchAfter"}
"""Deviation: the official schema of a search is an empty object; its real members are in facts/ghl-api §7.1."""
CHANNELS_OF_NO_SCHEMA = {"RCS", "rcs"}
"""Deviation: seen in live answers and in no schema (facts/ghl-api §10). Echoed where read, never invented (S8)."""
BIRTH = "dateOfBirth"
"""Deviation: the schemas call it an object, and say by description and example that it is a text (facts/ghl-api §5.2)."""
WITHOUT_SPEC = {"workflows"}
"""Calls of an API whose published spec is not among ours: checked by hand below."""
OPERATORS: Mapping[str, set[str]] = {
    "dndSettings.SMS.status": {"eq", "not_eq", "exists", "not_exists"},
    "dndSettings.Email.status": {"eq", "not_eq", "exists", "not_exists"},
    "dndSettings.Call.status": {"eq", "not_eq", "exists", "not_exists"},
    "dnd": {"eq", "not_eq", "exists", "not_exists"},
    "dateUpdated": {"range", "exists", "not_exists"},
    "customFields.F": {"eq", "not_eq", "contains", "not_contains", "exists", "not_exists"},
}
"""Filters of a search that the client or its callers use, and what the vendor lets them be compared by (facts §7.1)."""

CONTACT = {"contact": {"id": "X"}}
ANSWERS: Mapping[str, object] = {
    "/locations/L": {"location": {"id": "L", "settings": {}}},
    "/locations/L/customFields": {
        "customFields": [],
        "customField": {"id": "F", "name": "n", "fieldKey": "contact.n", "dataType": "TEXT"},
    },
    "/contacts/": CONTACT,
    "/contacts/X": CONTACT,
    "/contacts/search": {"contacts": []},
    "/contacts/search/duplicate": {"contact": None},
    "/contacts/bulk/tags/update/add": {"responses": []},
    "/contacts/bulk/tags/update/remove": {"responses": []},
    "/contacts/X/notes": {"notes": [{"id": "N", "body": "b"}], "note": {"id": "N"}},
    "/contacts/X/notes/N": {"note": {"id": "N"}},
    "/users/": {"users": [{"id": "U", "email": "a@example.com"}, {"id": "V", "deleted": True}]},
    "/users/search": {"users": [{"id": "U", "email": "a@example.com"}, {"id": "V", "deleted": True}]},
    "/workflows/": {"workflows": [{"id": "W", "name": "n", "status": "published"}]},
    "/calendars/": {"calendars": [{"id": "C", "teamMembers": [{"userId": "U"}]}]},
    "/calendars/events": {"events": [{"id": "E"}]},
    "/calendars/events/appointments": {"id": "E"},
    "/calendars/events/appointments/E": {"event": {"id": "E"}},
}
TEMPLATES = {
    "/users/": ("users", "/users/"),
    "/users/search": ("users", "/users/search"),
    "/contacts/X/notes": ("contacts", "/contacts/{contactId}/notes"),
    "/contacts/X/notes/N": ("contacts", "/contacts/{contactId}/notes/{id}"),
    "/locations/L": ("locations", "/locations/{locationId}"),
    "/locations/L/customFields": ("locations", "/locations/{locationId}/customFields"),
    "/contacts/": ("contacts", "/contacts/"),
    "/contacts/X": ("contacts", "/contacts/{contactId}"),
    "/contacts/search": ("contacts", "/contacts/search"),
    "/contacts/search/duplicate": ("contacts", "/contacts/search/duplicate"),
    "/contacts/bulk/tags/update/add": ("contacts", "/contacts/bulk/tags/update/{type}"),
    "/contacts/bulk/tags/update/remove": ("contacts", "/contacts/bulk/tags/update/{type}"),
    "/calendars/": ("calendars", "/calendars/"),
    "/calendars/events": ("calendars", "/calendars/events"),
    "/calendars/events/appointments": ("calendars", "/calendars/events/appointments"),
    "/calendars/events/appointments/E": ("calendars", "/calendars/events/appointments/{eventId}"),
}
WHOLE = ContactWrite(
    identity={
        "first_name": "Aoife", "last_name": "Byrne", "email": "a@example.com", "phone": "+353871234567",
        "street_address": "1 Main St", "city": "Cork", "state": "Cork", "postal_code": "T12 X70A", "country": "IE",
        "date_of_birth": "1990-04-02",
    },
    dnd=True,
    dnd_settings={"SMS": DndSetting(status="active", code="phorest_ghl")},
    custom_fields={"F": "A1", "G": ""},
)  # fmt: skip
NINE, TEN = datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 1, 10, tzinfo=UTC)
WHOLE_EVENT = EventWrite(
    notify=False, calendar_id="C", contact_id="X", title="Cut", description="Aoife", status="confirmed", user_id="U",
    starts_at=NINE, ends_at=TEN,
)  # fmt: skip
EVENT_CALLS: Mapping[str, tuple[Callable[[CalendarClient], object], ...]] = {
    "calendars": (lambda client: client.calendars(),),
    "events": (lambda client: client.events("C", NINE, TEN),),
    "event": (lambda client: client.event("E"),),
    "create_event": (lambda client: client.create_event(WHOLE_EVENT),),
    "update_event": (
        lambda client: client.update_event("E", EventWrite(notify=True, status="cancelled")),
        lambda client: client.update_event("E", replace(WHOLE_EVENT, contact_id=None)),
    ),
}
"""Calls of calendars, by the name of their method."""
CALLS: Mapping[str, tuple[Callable[[CalendarClient], object], ...]] = {
    **EVENT_CALLS,
    "location": (lambda client: client.location(),),
    "now": (lambda client: client.now(),),
    "custom_fields": (lambda client: client.custom_fields(),),
    "workflows": (lambda client: client.workflows(),),
    "contact": (lambda client: client.contact("X"),),
    "delete_contact": (lambda client: client.delete_contact("X"),),
    "duplicate": (
        lambda client: client.duplicate(email="a@example.com"),
        lambda client: client.duplicate(phone="+353871234567"),
    ),
    "all_contacts": (lambda client: list(client.all_contacts()),),
    "search": (lambda client: list(client.search([{"field": "customFields.F", "operator": "eq", "value": "A"}])),),
    "opted_out": (
        lambda client: list(client.opted_out(None)),
        lambda client: list(client.opted_out(datetime(2026, 3, 1, tzinfo=UTC))),
    ),
    "create_contact": (
        lambda client: client.create_contact(
            ContactWrite(**{**WHOLE.__dict__, "source": SOURCE, "tags": (GUARD_TAG, "role:staff")})
        ),
    ),
    "update_contact": (lambda client: client.update_contact("X", WHOLE),),
    "bulk_tags": (
        lambda client: client.bulk_tags(["X", "Y"], [GUARD_TAG]),
        lambda client: client.bulk_tags(["X"], ["a", "b"], remove=True),
    ),
    "create_custom_field": tuple(
        lambda client, spec=spec: client.create_custom_field(spec.label, spec.data_type) for spec in CUSTOM
    ),
}
"""Every call that the client can make, by the name of its method."""
EACH = [pytest.param(name, call, id=f"{name} {n}") for name, calls in CALLS.items() for n, call in enumerate(calls, 1)]


def sent(
    generation: Generation, call: Callable[[Any], object], kind: Callable[..., Any] = CalendarClient
) -> httpx.Request:
    """The one request that a call of the client makes."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=ANSWERS[request.url.path])

    with ApiSession(
        api="ghl",
        base_url="https://services.leadconnectorhq.com",
        auth=private_token("pit-x"),
        budget=NotingBudget(),
        transport=httpx.MockTransport(answer),
    ) as session:
        call(kind(session, "L", ApiVersion(generation)))
    (request,) = requests
    return request


def operation(generation: Generation, request: httpx.Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """The vendor's description of a request, and the file it stands in."""
    module, template = TEMPLATES[request.url.path]
    spec = orjson.loads((SPECS / FILES[generation][module]).read_bytes())
    return spec["paths"][template][request.method.lower()], spec


def strict(node: Any) -> Any:
    """The same schemas refusing what they do not name, as the API does (facts/ghl-api §3)."""
    if isinstance(node, dict):
        closed = {name: {"type": "string"} if name == BIRTH else strict(member) for name, member in node.items()}
        if closed.get("properties"):
            closed["additionalProperties"] = False
        return closed
    return [strict(member) for member in node] if isinstance(node, list) else node


def validator(described: dict[str, Any], spec: dict[str, Any]) -> Any:
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": strict(copy.deepcopy(spec["components"]))})


def check(generation: Generation, request: httpx.Request) -> None:
    """Path, verb, version, query and body are the vendor's."""
    described, spec = operation(generation, request)
    parameters = {(p["in"], p["name"]): p for p in described.get("parameters", [])}
    version = parameters["header", "Version"]["schema"]["enum"]
    assert request.headers["Version"] in version
    known = {name for place, name in parameters if place == "query"}
    assert set(request.url.params) <= known
    needed = {name for (place, name), p in parameters.items() if place == "query" and p.get("required")}
    assert needed <= set(request.url.params)
    if "requestBody" in described:
        body = orjson.loads(request.content)
        errors = [error.message for error in validator(described, spec).iter_errors(body)]
        assert errors == []
    else:
        assert request.content == b""


settings_of = st.builds(
    DndSetting,
    status=st.sampled_from(["active", "inactive", "permanent"]),
    message=st.none() | st.text(max_size=20),
    code=st.none() | st.text(max_size=10),
)
channels = st.dictionaries(st.sampled_from(["Call", "Email", "SMS", "WhatsApp", "GMB", "FB"]), settings_of)
writes = st.builds(
    ContactWrite,
    identity=st.dictionaries(st.sampled_from(sorted(WHOLE.identity)), st.text(max_size=20)),
    dnd=st.none() | st.booleans(),
    dnd_settings=st.none() | channels,
    custom_fields=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=20)),
)


@pytest.fixture(scope="module", params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Generation:
    return request.param


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(write=writes)
def test_every_create_and_update_is_what_the_schema_says(generation: Generation, write: ContactWrite) -> None:
    check(generation, sent(generation, lambda client: client.update_contact("X", write)))
    whole = ContactWrite(**{**write.__dict__, "source": SOURCE, "tags": (GUARD_TAG,)})
    check(generation, sent(generation, lambda client: client.create_contact(whole)))


@pytest.mark.parametrize(("name", "call"), EACH)
def test_every_call_is_what_the_schema_says(
    generation: Generation, name: str, call: Callable[[CalendarClient], object]
) -> None:
    if name not in WITHOUT_SPEC:
        check(generation, sent(generation, call))


def test_no_method_of_the_client_is_left_out() -> None:
    methods = {name for name, _ in inspect.getmembers(CalendarClient, inspect.isfunction) if not name.startswith("_")}
    assert methods == CALLS.keys()


def test_workflows_are_asked_for_as_the_vendors_page_says(generation: Generation) -> None:
    (call,) = CALLS["workflows"]
    request = sent(generation, call)
    assert (request.method, request.url.path, dict(request.url.params)) == ("GET", "/workflows/", {"locationId": "L"})
    assert request.headers["Version"] == ("v3" if generation == "v3" else "2021-07-28")
    assert request.content == b""


@pytest.mark.parametrize("name", ["all_contacts", "search", "opted_out"])
def test_a_search_has_the_members_and_filters_that_the_facts_name(generation: Generation, name: str) -> None:
    for call in CALLS[name]:
        request = sent(generation, call)
        described, _ = operation(generation, request)
        assert described["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("SearchBodyV2DTO")
        body = orjson.loads(request.content)
        assert set(body) <= SEARCH_BODY
        assert body["pageLimit"] <= 500
        for leaf in leaves(body["filters"]):
            assert leaf["operator"] in OPERATORS[leaf["field"]]
            if leaf["operator"] == "range":
                assert set(leaf["value"]) <= {"gte", "lte", "gt", "lt"}
            else:
                assert isinstance(leaf["value"], bool if leaf["field"] == "dnd" else str)


def leaves(filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The filters of a search without their groups."""
    for item in filters:
        if "group" in item:
            assert set(item) == {"group", "filters"}
            assert item["group"] in {"AND", "OR"}
            yield from leaves(item["filters"])
        else:
            assert set(item) == {"field", "operator", "value"}
            yield item


def test_a_channel_of_no_schema_is_the_one_thing_that_deviates(generation: Generation) -> None:
    write = ContactWrite(dnd_settings={"RCS": DndSetting(status="active"), "SMS": DndSetting(status="active")})
    request = sent(generation, lambda client: client.update_contact("X", write))
    described, spec = operation(generation, request)
    body = orjson.loads(request.content)
    odd = set(body["dndSettings"]) & CHANNELS_OF_NO_SCHEMA
    assert len(odd) == 1
    assert not validator(described, spec).is_valid(body)
    body["dndSettings"] = {name: setting for name, setting in body["dndSettings"].items() if name not in odd}
    assert validator(described, spec).is_valid(body)


def test_the_strict_schemas_refuse_what_the_api_refuses(generation: Generation) -> None:
    """Else the tests above would prove nothing."""
    request = sent(generation, lambda client: client.update_contact("X", ContactWrite(identity={"email": "a@b.ie"})))
    described, spec = operation(generation, request)
    for unknown in ({"locationId": "L"}, {"gender": "female"}, {"dndSettings": {"Pigeon": {"status": "active"}}}):
        assert not validator(described, spec).is_valid(unknown)
