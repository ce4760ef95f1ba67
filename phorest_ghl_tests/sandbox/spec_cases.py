"""The vendor's specs as schemathesis reads them, and aiming its cases at things that exist.

Belongs here: loading and repairing specs, one of everything, putting its ids into cases. Does not belong here: judging
answers.
"""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import schemathesis

from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox import contract
from phorest_ghl_tests.sandbox.driver import V2, V3, Answer

FILES = ("contacts", "calendars", "locations", "users")
VERSION_HEADERS = {"v2": V2, "v3": V3}
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})


def load(version: str, name: str) -> schemathesis.BaseSchema:
    """One spec file. The defects that keep it from being OpenAPI 3.0 are repaired here, and only those.

    1. Shared schemas lie in a file of their own, which a document in memory cannot point to.
    2. Security schemes of type http have the `name` and `in` of type apiKey.
    3. A parameter has alternatives (`oneOf`) beside its schema (v3 contacts).
    4. Schemas have lists of `examples`, which came with OpenAPI 3.1 (calendars).
    5. No object says that it takes nothing beside what it lists, though the API does not (facts/ghl-api §3).
    """
    beside = contract.SPECS if version == "v2" else contract.SPECS / "v3" / "common"
    shared = json.loads((beside / "common-schemas.json").read_text())["components"]["schemas"]
    text = (contract.SPECS / version / (f"{name}.json" if version == "v2" else f"{name}-v3.json")).read_text()
    document = _repaired(json.loads(text.replace("../common/common-schemas.json", "")))
    components = document["components"]
    components["schemas"] = shared | components["schemas"]
    for scheme in components["securitySchemes"].values():
        if scheme["type"] == "http":
            scheme.pop("name", None)
            scheme.pop("in", None)
    for method, operation in (pair for path in document["paths"].values() for pair in path.items()):
        for parameter in operation.get("parameters", ()) if method in _METHODS else ():
            if "schema" in parameter:
                parameter.pop("oneOf", None)
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    return schema


def _repaired(node: Any) -> Any:
    if isinstance(node, list):
        return [_repaired(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not (key == "examples" and isinstance(value, list))}
    found = {key: _repaired(value) for key, value in kept.items()}
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


class Target:
    """A sandbox with one of everything, made anew for each operation, so that its deletions hurt no other one."""

    def __init__(self, server: SandboxServer, version: str) -> None:
        self.server, self.version = server, version
        self.location = server.settings["GHL_LOCATION_ID"]
        self.headers = {
            "Authorization": f"Bearer {server.settings['GHL_PRIVATE_TOKEN']}",
            "Version": VERSION_HEADERS[version],
        }
        self._turn = 0
        self._known: dict[str, Any] = {}

    def furnish(self, http: httpx.Client) -> None:
        """Make one of everything that a path or a body can name."""
        self._turn += 1
        where = {"locationId": self.location}

        def make(path: str, body: dict[str, Any], *found: str) -> str:
            answer = http.post(path, json=body, headers=self.headers)
            assert answer.is_success, answer.text
            row = answer.json()
            for key in (*found, "id"):
                row = row[key]
            return row

        contact = make("/contacts/", where | {"firstName": "A", "email": self._email()}, "contact")
        user, calendar = (self.server.settings[f"GHL_DEFAULT_{name}_ID"] for name in ("USER", "CALENDAR"))
        start = {"startTime": "2030-06-03T10:00:00+01:00", "ignoreFreeSlotValidation": True, "assignedUserId": user}
        event = make(
            "/calendars/events/appointments",
            where | start | {"calendarId": calendar, "contactId": contact, "toNotify": False},
        )
        base = f"/locations/{self.location}"
        name = f"Turn {self._turn}"
        task = {"title": "t", "dueDate": "2030-01-01T10:00:00Z", "completed": False}
        group = {"name": name, "description": "d", "slug": f"turn-{self._turn}"}
        block = {"calendarId": calendar, "startTime": "2030-06-05T10:00:00Z", "endTime": "2030-06-05T11:00:00Z"}
        members = [{"userId": user}]
        self._known = {
            "locationId": self.location,
            "contactId": contact,
            "contacts": [contact, "gone"],
            "followers": [user],
            "userId": user,
            "assignedUserId": user,
            "assignedTo": user,
            "companyId": self._company(http),
            "calendarId": make("/calendars/", where | {"name": name, "teamMembers": members}, "calendar"),
            "groupId": make("/calendars/groups", where | group, "group"),
            "eventId": event,
            "appointmentId": event,
            "blockId": make("/calendars/events/block-slots", where | block),
            "noteId": make(f"/calendars/appointments/{event}/notes", {"body": "n"}, "note"),
            "taskId": make(f"/contacts/{contact}/tasks", task, "task"),
            "tagId": make(f"{base}/tags", {"name": name}, "tag"),
            "id of notes": make(f"/contacts/{contact}/notes", {"body": "n"}, "note"),
            "id of customFields": make(f"{base}/customFields", {"name": name, "dataType": "TEXT"}, "customField"),
            "type": "add",
        }

    def _company(self, http: httpx.Client) -> str:
        return http.get(f"/locations/{self.location}", headers=self.headers).json()["location"]["companyId"]

    def _email(self) -> str:
        self._turn += 1
        return f"case{self._turn}@example.com"

    def aim(self, case: schemathesis.Case, *, valid: bool) -> None:
        """Put what exists where the case names something of that kind, and true headers beside it.

        `valid` cases also get dates and addresses that mean something (to the spec they are any text or number), and
        what an operation needs though its spec does not say so.
        """
        above = case.path.rstrip("/").rsplit("/", 2)[-2]
        for name in case.path_parameters or {}:
            known = self._known.get(f"id of {above}" if name == "id" else name)
            known = self._known["blockId"] if above == "block-slots" else known
            if known is not None:
                case.path_parameters[name] = known
        told = self._known | (self._sensible(case) if valid else {})
        for part in (case.query, case.body):
            for name, value in part.items() if isinstance(part, dict) else ():
                if name in told and isinstance(value, float if isinstance(told[name], float) else type(told[name])):
                    part[name] = told[name]
        if valid and isinstance(case.body, dict):
            self._complete(case.path, case.body, told)
        case.headers = dict(self.headers)

    def _sensible(self, case: schemathesis.Case) -> dict[str, Any]:
        span = ("1900000000000", "1900600000000")
        if case.method != "GET":
            span = ("2030-06-04T10:00:00+01:00", "2030-06-04T11:00:00+01:00")
        days = {"startDate": 1_900_000_000_000.0, "endDate": 1_900_600_000_000.0, "dueDate": "2030-01-01T10:00:00Z"}
        mail = self._email()
        return {"startTime": span[0], "endTime": span[1], "email": mail, "phone": f"+35387555{self._turn:04d}"} | days

    def _complete(self, path: str, body: dict[str, Any], told: dict[str, Any]) -> None:
        """What the facts ask for beyond the spec: ghl-api §5.1 (campaigns), §6 (upsert), §7.1, §9.1, §11.2, §11.5."""
        if path == "/contacts/upsert":
            body["email"] = told["email"]
        elif path == "/contacts/search":
            body |= {"locationId": self.location, "pageLimit": 10}
        elif path.startswith("/calendars/events/appointments"):
            body |= {"startTime": told["startTime"], "endTime": told["endTime"], "ignoreFreeSlotValidation": True}
            body |= {"assignedUserId": told["userId"]}
        elif "/campaigns/" in path:
            body.clear()
        elif path.endswith("/customFields"):
            body["dataType"] = "TEXT"
        elif path in {"/calendars/", "/calendars/{calendarId}"}:
            _make_a_calendar_that_can_be(body, told["userId"])
        elif path.startswith("/calendars/events/block-slots"):
            body |= {"startTime": told["startTime"], "endTime": told["endTime"]}
            body.pop("assignedUserId", None)

    def exchange(self, response: schemathesis.Response) -> contract.Exchange:
        """What was sent and came back, as the contract test reads it."""
        sent, url = response.request, urlsplit(response.request.url or "")
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
        request = Request(sent.method or "", url.path, url.query, {}, body)
        media = "".join(response.headers.get("content-type", ()))
        return contract.Exchange(
            self.version, request, Answer(response.status_code, response.json() if "json" in media else None, {})
        )


def _make_a_calendar_that_can_be(body: dict[str, Any], user: str) -> None:
    """Lengths of more than nothing, and members who exist, where the case names any; to the spec they are anything."""
    lengths = ("slotDuration", "slotInterval", "slotBuffer", "preBuffer", "allowBookingAfter", "allowBookingFor")
    body.update({name: 30 for name in lengths if name in body})
    for member in body.get("teamMembers", ()):
        member["userId"] = user
