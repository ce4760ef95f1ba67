"""Checks GHL traffic against the vendor's specs, and walks through every operation once.

A deviation is a property that the spec does not list, a missing one that it requires, or another type: the specs are
read as strictly as they can be.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs

from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox.driver import V2, V3, Answer, Driver

SPECS = Path(__file__).parents[3] / "shared" / "specs" / "ghl"
V2_FILES = ("contacts", "calendars", "locations", "users", "oauth")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    version: str
    request: Request
    answer: Answer


class Recorder(Driver):
    """A driver that keeps what it sent and got."""

    def __init__(self, **options: Any) -> None:
        self.exchanges: list[Exchange] = []
        super().__init__(**options)

    def send(self, api: Any, request: Request) -> Answer:
        """Send, and remember."""
        answer = super().send(api, request)
        if api is self.app.ghl:
            self.exchanges.append(Exchange("v3" if request.headers.get("version") == V3 else "v2", request, answer))
        return answer


@cache
def _documents(version: str) -> tuple[dict[str, Any], ...]:
    common = json.loads((SPECS / "common-schemas.json").read_text())
    if version == "v3":
        common = json.loads((SPECS / "v3" / "common" / "common-schemas.json").read_text())
    found = []
    for name in V2_FILES:
        path = SPECS / version / (f"{name}.json" if version == "v2" else f"{name}-v3.json")
        document = json.loads(path.read_text())
        document["components"]["schemas"] = common["components"]["schemas"] | document["components"]["schemas"]
        found.append(_strict(document))
    return tuple(found)


def _strict(node: Any) -> Any:
    """The same document as JSON Schema that allows nothing it does not list."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _strict(value) for key, value in node.items() if key not in {"example", "examples", "default"}}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = found["$ref"].replace("../common/common-schemas.json", "")
    if isinstance(found.get("type"), str) and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    if found.pop("nullable", False) is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def operation(version: str, request: Request) -> tuple[dict[str, Any], str, dict[str, Any]] | None:
    """The document, the path template and the operation that a request is for; literal segments win."""
    parts = request.path.strip("/").split("/")
    matches: list[tuple[list[bool], dict[str, Any], str, dict[str, Any]]] = []
    for document in _documents(version):
        for template, operations in document["paths"].items():
            wanted = template.strip("/").split("/")
            named = [want.startswith("{") for want in wanted]
            fits = len(wanted) == len(parts) and all(
                open_ or want == have for open_, want, have in zip(named, wanted, parts, strict=True)
            )
            if fits and request.method.lower() in operations:
                matches.append((named, document, template, operations[request.method.lower()]))
    return min(matches, key=lambda match: match[0])[1:] if matches else None


def deviations(exchange: Exchange) -> Iterator[str]:
    """What of this exchange the spec does not say, one line each."""
    found = operation(exchange.version, exchange.request)
    if found is None:
        yield f"{exchange.version} {exchange.request.method} {_generic(exchange.request.path)} | no such operation in the spec"
        return
    document, template, spec = found
    where = f"{exchange.version} {exchange.request.method} {template}"
    accepted = exchange.answer.status < 300
    if accepted and exchange.request.body.startswith(b"{"):
        content = spec.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", next(iter(content.values()), {})).get("schema", {})
        yield from (f"{where} | request {line}" for line in _errors(document, schema, exchange.request.json()))
    response = spec["responses"].get(str(exchange.answer.status))
    if response is None:
        yield f"{where} | status {exchange.answer.status} is not declared"
        return
    for media in response.get("content", {}).values():
        yield from (
            f"{where} | {exchange.answer.status} {line}"
            for line in _errors(document, media["schema"], exchange.answer.json)
        )


def _errors(document: dict[str, Any], schema: dict[str, Any], value: Any) -> Iterator[str]:
    validator = _validator(json.dumps(schema), id(document))
    for error in validator.iter_errors(value):
        path = ".".join("*" if isinstance(part, int) else part for part in error.instance_path)
        unexpected = getattr(error.kind, "unexpected", None)
        if unexpected is not None:
            yield from (f"{path + '.' if path else ''}{name} is not declared" for name in unexpected)
        else:
            yield f"{path}: {re.sub(r'^.* is not', 'is not', error.message, flags=re.DOTALL)}"


@cache
def _validator(schema: str, document: int) -> Any:
    components = next(
        found["components"] for version in ("v2", "v3") for found in _documents(version) if id(found) == document
    )
    return jsonschema_rs.Draft202012Validator(json.loads(schema) | {"components": components})


def _generic(path: str) -> str:
    return re.sub(r"/(?=[^/]*[A-Z0-9])[A-Za-z0-9]{20}", "/{id}", path)


def tour(version: str, **options: Any) -> Recorder:
    """Every operation of the sandbox's GHL side once or more, under one version header, with its usual mistakes."""
    drive = Recorder(**{"clients": 20} | options)
    calendars = "2021-04-15" if version == V2 else V3

    def call(method: str, path: str, body: object = None, *, on: str = version, **query: object) -> Any:
        return drive.ghl(method, path, body, query=query or None, version=on).json

    key = _tour_contacts(drive, call, version)
    _tour_location(drive, call)
    _tour_refusals(drive, call, version)
    _tour_events(drive, lambda *given, **named: call(*given, **{"on": calendars} | named), key)
    call("DELETE", f"/contacts/{key}")
    _tour_oauth(drive, version)
    return drive


def _tour_oauth(drive: Driver, version: str) -> None:
    """An agency installs the app, refreshes, and exchanges its token for the location's."""
    known = drive.world.credentials
    drive.switch(ghl_installed_by="Company")
    asked = urlencode({"client_id": known.app_id, "redirect_uri": "http://127.0.0.1:9/"})
    code = drive.app.ghl.answer(
        page := Request("GET", "/oauth/chooselocation", asked), drive.app.ghl.find(page)
    ).headers["location"]
    camel = version == V3
    form = {"client_id": known.app_id, "client_secret": known.app_secret}
    form = {"clientId": known.app_id, "clientSecret": known.app_secret} if camel else form
    grant, refresh, access = (
        ("grantType", "refreshToken", "accessToken") if camel else ("grant_type", "refresh_token", "access_token")
    )
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"version": V3} if camel else {})

    def token(**more: str) -> Any:
        return drive.send(
            drive.app.ghl, Request("POST", "/oauth/token", "", headers, urlencode(form | more).encode())
        ).json

    pair = token(**{grant: "authorization_code", "code": code.rpartition("code=")[2]})
    pair = token(**{grant: "refresh_token", refresh: pair[refresh]})
    where = {"companyId": drive.world.location["companyId"], "locationId": drive.location}
    exchange, installed = (
        ("location-token", "installed-locations") if camel else ("locationToken", "installedLocations")
    )
    drive.ghl("POST", f"/oauth/{exchange}", where, token=pair[access], version=version)
    query = {"companyId": where["companyId"], "appId": known.app_id.partition("-")[0]}
    drive.ghl("GET", f"/oauth/{installed}", query=query, token=pair[access], version=version)


def _tour_contacts(drive: Driver, call: Any, version: str) -> str:
    where = {"locationId": drive.location}
    field = call("POST", f"/locations/{drive.location}/customFields", {"name": "F", "dataType": "TEXT"})["customField"][
        "id"
    ]
    sms, name = ("SMS", "field_value") if version == V2 else ("sms", "fieldValue")
    full = where | {
        "firstName": "Aoife", "lastName": "Byrne", "email": "a@example.com", "phone": "+353875551234",
        "address1": "1 Test Row", "city": "Dublin", "postalCode": "D1", "country": "IE", "source": "phorest",
        "tags": ["one"], "dnd": False, "gender": "female", "companyName": "C", "timezone": "Europe/Dublin",
        "website": "https://example.com", "dateOfBirth": "1990-04-02", "customFields": [{"id": field, name: "x"}],
        "dndSettings": {sms: {"status": "active", "message": "m", "code": "c"}},
        "inboundDndSettings": {"all": {"status": "inactive", "message": "m"}},
    }  # fmt: skip
    key = call("POST", "/contacts/", full)["contact"]["id"]
    call("POST", "/contacts/", where | {"email": "a@example.com"})
    call("POST", "/contacts/", {"nonsense": 1})
    call("GET", f"/contacts/{key}")
    call("GET", "/contacts/none")
    call("PUT", f"/contacts/{key}", {"city": "Cork", "customFields": [{"id": field, name: "y"}]})
    call("POST", "/contacts/upsert", where | {"email": "a@example.com", "lastName": "Z"})
    call("GET", "/contacts/", locationId=drive.location)
    call("POST", "/contacts/search", where | {"pageLimit": 5})
    call("GET", "/contacts/search/duplicate", locationId=drive.location, email="a@example.com")
    call("POST", f"/contacts/{key}/tags", {"tags": ["two"]})
    call("DELETE", f"/contacts/{key}/tags", {"tags": ["two"]})
    call("POST", "/contacts/bulk/tags/update/add", where | {"contacts": [key], "tags": ["three"]})
    call("POST", "/contacts/bulk/business", where | {"ids": [key], "businessId": "B"})
    call("GET", "/contacts/business/B", locationId=drive.location)
    note = call("POST", f"/contacts/{key}/notes", {"body": "n", "title": "t", "pinned": False})["note"]["id"]
    task = call(
        "POST", f"/contacts/{key}/tasks", {"title": "t", "dueDate": "2026-01-01T10:00:00Z", "completed": False}
    )["task"]["id"]
    for kind, child in (("notes", note), ("tasks", task)):
        call("GET", f"/contacts/{key}/{kind}")
        call("GET", f"/contacts/{key}/{kind}/{child}")
        call("PUT", f"/contacts/{key}/{kind}/{child}", {"body": "b"})
    call("PUT", f"/contacts/{key}/tasks/{task}/completed", {"completed": True})
    call("POST", f"/locations/{drive.location}/tasks/search", {"completed": True})
    call("DELETE", f"/contacts/{key}/notes/{note}")
    call("DELETE", f"/contacts/{key}/tasks/{task}")
    user = next(iter(drive.world.ghl["users"].rows))
    call("POST", f"/contacts/{key}/followers", {"followers": [user]})
    call("DELETE", f"/contacts/{key}/followers", {"followers": [user]})
    call("POST", f"/contacts/{key}/workflow/w", {"eventStartTime": "2026-01-01T10:00:00+00:00"})
    call("DELETE", f"/contacts/{key}/workflow/w", {})
    call("POST", f"/contacts/{key}/campaigns/c", {})
    call("DELETE", f"/contacts/{key}/campaigns/c")
    call("DELETE", f"/contacts/{key}/campaigns/{'removeAll' if version == V2 else 'remove-all'}")
    return key


def _tour_location(drive: Driver, call: Any) -> None:
    where = f"/locations/{drive.location}"
    call("GET", where)
    call("GET", f"{where}/timezones")
    call("GET", f"{where}/customFields", model="contact")
    field = call("POST", f"{where}/customFields", {"name": "G", "dataType": "TEXT"})["customField"]["id"]
    call("POST", f"{where}/customFields", {"name": "G", "dataType": "TEXT"})
    call("GET", f"{where}/customFields/{field}")
    call("PUT", f"{where}/customFields/{field}", {"name": "H"})
    call("DELETE", f"{where}/customFields/{field}")
    call("GET", f"{where}/tags")
    tag = call("POST", f"{where}/tags", {"name": "T"})["tag"]["id"]
    call("GET", f"{where}/tags/{tag}")
    call("PUT", f"{where}/tags/{tag}", {"name": "U"})
    call("DELETE", f"{where}/tags/{tag}")
    call("GET", "/users/", locationId=drive.location)
    call("GET", "/workflows/", locationId=drive.location)
    call("GET", "/users/search", companyId=drive.world.location["companyId"])
    call("GET", f"/users/{next(iter(drive.world.ghl['users'].rows))}")


def _tour_refusals(drive: Driver, call: Any, version: str) -> None:
    """What the specs declare wrongly or not at all."""
    where = {"locationId": drive.location}
    call("POST", "/contacts/search", where)
    call("GET", "/contacts/search/duplicate", locationId=drive.location, nonsense=1)
    call("GET", "/users/")
    call("GET", "/users/search", companyId="another")
    call("POST", "/contacts/bulk/business", where | {"ids": ["x" * 51], "businessId": "B"})
    for path, body in (
        ("/contacts/bulk/tags/update/add", where | {"contacts": [], "tags": []}),
        ("/contacts/bulk/business", where | {"ids": [], "businessId": "B"}),
    ):
        drive.ghl("POST", path, body, token="pit-bad", version=version)


def _tour_events(drive: Driver, call: Any, contact: str) -> None:
    where = {"locationId": drive.location}
    calendar, user = (next(iter(drive.world.ghl[name].rows)) for name in ("calendars", "users"))
    silent = {"toNotify": False, "ignoreFreeSlotValidation": True, "ignoreDateRange": True, "assignedUserId": user}
    body = (
        where
        | silent
        | {"calendarId": calendar, "contactId": contact, "startTime": "2030-06-03T10:00:00+01:00", "title": "Cut"}
    )
    event = call("POST", "/calendars/events/appointments", body)["id"]
    call("POST", "/calendars/events/appointments", {"nonsense": 1})
    call("POST", "/calendars/events/appointments", body | {"ignoreFreeSlotValidation": False})
    path = f"/calendars/events/appointments/{event}"
    call("GET", path)
    call("PUT", path, silent | {"appointmentStatus": "showed", "endTime": "2030-06-03T11:00:00+01:00"})
    call("GET", "/calendars/events/appointments/none")
    call("GET", f"/contacts/{contact}/appointments")
    span = where | {"calendarId": calendar, "startTime": "1900000000000", "endTime": "1910000000000"}
    call("GET", "/calendars/events", **span)
    note = call("POST", f"/calendars/appointments/{event}/notes", {"body": "n"})["note"]["id"]
    call("GET", f"/calendars/appointments/{event}/notes", limit=5, offset=0)
    call("PUT", f"/calendars/appointments/{event}/notes/{note}", {"body": "m"})
    call("DELETE", f"/calendars/appointments/{event}/notes/{note}")
    slot = where | {
        "title": "Lunch",
        "calendarId": calendar,
        "startTime": "2030-06-04T10:00:00+01:00",
        "endTime": "2030-06-04T11:00:00+01:00",
    }
    block = call("POST", "/calendars/events/block-slots", slot)["id"]
    call("PUT", f"/calendars/events/block-slots/{block}", where | {"calendarId": calendar, "title": "Tea"})
    of_a_user = {name: value for name, value in slot.items() if name != "calendarId"} | {"assignedUserId": user}
    call("POST", "/calendars/events/block-slots", of_a_user)
    call("GET", "/calendars/blocked-slots", **span)
    for key in (block, event):
        call("DELETE", f"/calendars/events/{key}", {})
    call("GET", "/calendars/", locationId=drive.location)
    made = call("POST", "/calendars/", where | {"name": "Other"})["calendar"]["id"]
    call("GET", f"/calendars/{made}")
    call("PUT", f"/calendars/{made}", {"name": "Another"})
    call("GET", f"/calendars/{made}/free-slots", startDate=1_900_000_000_000, endDate=1_900_100_000_000)
    call("DELETE", f"/calendars/{made}")
    group = call("POST", "/calendars/groups", where | {"name": "G", "description": "d", "slug": "g"})["group"]["id"]
    call("GET", "/calendars/groups", locationId=drive.location)
    call("POST", "/calendars/groups/validate-slug", where | {"slug": "x"})
    call("PUT", f"/calendars/groups/{group}", {"name": "G", "description": "d", "slug": "g"})
    call("PUT", f"/calendars/groups/{group}/status", {"isActive": False})
    call("DELETE", f"/calendars/groups/{group}")
