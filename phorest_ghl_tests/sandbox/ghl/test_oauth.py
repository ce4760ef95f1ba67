"""OAuth and webhooks (facts/ghl-api §2.2, §14)."""

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import orjson
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox.driver import V3, Answer, Driver

BACK = "http://127.0.0.1:9/callback"


def _install(drive: Driver, **more: str) -> str:
    query = {
        "response_type": "code",
        "client_id": drive.world.credentials.app_id,
        "redirect_uri": BACK,
        "state": "s 1",
        **more,
    }
    answer = drive.send(drive.app.ghl, Request("GET", "/v2/oauth/chooselocation", urlencode(query)))
    assert answer.status == 302
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["s 1"]
    return back["code"][0]


def _spend(drive: Driver, version: str | None = None, **form: str) -> Answer:
    known = drive.world.credentials
    full = {"client_id": known.app_id, "client_secret": known.app_secret, **form}
    if version == V3:
        names = {
            "client_id": "clientId",
            "client_secret": "clientSecret",
            "grant_type": "grantType",
            "refresh_token": "refreshToken",
        }
        full = {names.get(name, name): value for name, value in full.items()}
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"version": version} if version else {})
    return drive.send(drive.app.ghl, Request("POST", "/oauth/token", "", headers, urlencode(full).encode()))


def _pair(drive: Driver, **more: str) -> dict[str, Any]:
    answer = _spend(drive, grant_type="authorization_code", code=_install(drive, **more))
    assert answer.status == 200, answer.json
    return answer.json


def test_a_code_buys_a_pair_once(drive: Driver) -> None:
    code = _install(drive)
    first = _spend(drive, grant_type="authorization_code", code=code)
    assert first.status == 200
    assert (first.json["expires_in"], first.json["userType"], first.json["locationId"]) == (
        86_399,
        "Location",
        drive.location,
    )
    assert _spend(drive, grant_type="authorization_code", code=code).status == 400
    assert drive.ghl("GET", f"/locations/{drive.location}", token=first.json["access_token"]).status == 200


def test_each_refresh_invalidates_the_old_refresh_token(drive: Driver) -> None:
    one = _pair(drive)["refresh_token"]
    two = _spend(drive, grant_type="refresh_token", refresh_token=one).json["refresh_token"]
    assert two != one
    again = _spend(drive, grant_type="refresh_token", refresh_token=one)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert _spend(drive, grant_type="refresh_token", refresh_token=two).status == 200


def test_an_access_token_ends_after_a_day(drive: Driver) -> None:
    token = _pair(drive)["access_token"]
    drive.control("POST", "/clock", {"advance_s": 86_400})
    answer = drive.ghl("GET", f"/locations/{drive.location}", token=token)
    assert (answer.status, answer.json["message"]) == (401, "Invalid token: access token is invalid")


def test_v3_speaks_camel_case(drive: Driver) -> None:
    answer = _spend(drive, V3, grant_type="authorization_code", code=_install(drive))
    assert {"accessToken", "refreshToken", "expiresIn", "tokenType"} <= set(answer.json)
    assert _spend(drive, V3, grant_type="refresh_token", refresh_token=answer.json["refreshToken"]).status == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password"}, 422), ({}, 422), ({"grant_type": "refresh_token", "refresh_token": "x"}, 400),
        ({"grant_type": "authorization_code", "client_secret": "wrong", "code": "x"}, 401),
        ({"grant_type": "client_credentials"}, 400),
    ],
)  # fmt: skip
def test_a_wrong_token_request_is_refused(drive: Driver, form: dict[str, str], status: int) -> None:
    assert _spend(drive, **form).status == status


def test_scopes_bind_an_app_token(drive: Driver) -> None:
    token = _pair(drive, scope="contacts.readonly")["access_token"]
    assert drive.ghl("GET", "/contacts/none", token=token).status == 400
    answer = drive.ghl("POST", "/contacts/", {"locationId": drive.location}, token=token)
    assert (answer.status, answer.json["message"]) == (401, "The token is not authorized for this scope.")


def test_an_agency_token_must_be_exchanged_for_a_locations(drive: Driver) -> None:
    drive.switch(ghl_installed_by="Company")
    agency = _pair(drive)
    assert "locationId" not in agency
    refused = drive.ghl("GET", f"/locations/{drive.location}", token=agency["access_token"])
    assert (refused.status, refused.json["message"][:18]) == (401, "This AuthClass is ")
    body = {"companyId": agency["companyId"], "locationId": drive.location}
    given = drive.ghl("POST", "/oauth/locationToken", body, token=agency["access_token"])
    assert given.status == 200
    assert "refresh_token" not in given.json
    assert drive.ghl("GET", f"/locations/{drive.location}", token=given.json["access_token"]).status == 200
    app = drive.world.credentials.app_id.partition("-")[0]
    where = {"companyId": agency["companyId"], "appId": app}
    assert drive.ghl("GET", "/oauth/installedLocations", query=where, token=agency["access_token"]).json["count"] == 1
    assert drive.ghl("GET", "/oauth/installed-locations", query=where, token=agency["access_token"]).status == 404
    v3 = drive.ghl("GET", "/oauth/installed-locations", query=where, token=agency["access_token"], version=V3)
    assert v3.json["items"][0]["_id"] == drive.location
    assert drive.ghl("POST", "/oauth/locationToken", body).status == 401, "a location's token is none of an agency"


def test_an_app_and_a_private_token_have_buckets_of_their_own() -> None:
    drive = Driver(switches={"ghl_rate_max": 1})
    token = _pair(drive)["access_token"]
    assert drive.ghl("GET", f"/locations/{drive.location}").status == 200
    assert drive.ghl("GET", f"/locations/{drive.location}", token=token).status == 200
    assert drive.ghl("GET", f"/locations/{drive.location}", token=token).status == 429


# --- webhooks -------------------------------------------------------------------------------------------------------


class Receiver:
    """Answers with the given statuses in turn, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[tuple[httpx.Headers, bytes]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.headers, request.content))
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200)

    def payloads(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in self.seen]


def _deliver(drive: Driver, receiver: Receiver) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
            while drive.world.webhooks.pending:
                await drive.world.webhooks.deliver(client, *drive.world.webhooks.pending.popleft())

    asyncio.run(run())


@pytest.fixture
def hooked(drive: Driver) -> Driver:
    """An installed app with a webhook address."""
    drive.control("POST", "/webhooks", {"url": "http://127.0.0.1:9/hooks"})
    _pair(drive)
    drive.world.webhooks.pending.clear()
    drive.switch(ghl_webhook_retry_s=0.001)
    return drive


def test_a_private_integration_gets_no_webhooks(drive: Driver) -> None:
    drive.control("POST", "/webhooks", {"url": "http://127.0.0.1:9/hooks"})
    drive.contact(firstName="A")
    assert not drive.world.webhooks.pending


def test_events_are_flat_but_appointments_nested_and_api_writes_echo(hooked: Driver) -> None:
    receiver = Receiver()
    key = hooked.contact(firstName="A", email="a@example.com", tags=["one"])["id"]
    hooked.ghl("PUT", f"/contacts/{key}", {"city": "Cork", "dndSettings": {"SMS": {"status": "active"}}})
    hooked.ghl("POST", f"/contacts/{key}/tags", {"tags": ["two"]})
    hooked.ghl("POST", f"/contacts/{key}/notes", {"body": "n", "title": "t"})
    calendar, user = (next(iter(hooked.world.ghl[name].rows)) for name in ("calendars", "users"))
    body = {
        "calendarId": calendar,
        "locationId": hooked.location,
        "contactId": key,
        "startTime": "2026-12-01T10:00:00Z",
    }
    hooked.ghl(
        "POST", "/calendars/events/appointments", body | {"assignedUserId": user, "ignoreFreeSlotValidation": True}
    )
    hooked.ghl("DELETE", f"/contacts/{key}")
    _deliver(hooked, receiver)
    found = {payload["type"]: payload for payload in receiver.payloads()}
    assert list(found) == [
        "ContactCreate", "ContactUpdate", "ContactDndUpdate", "ContactTagUpdate", "NoteCreate", "AppointmentCreate",
        "ContactDelete",
    ]  # fmt: skip
    assert (found["ContactCreate"]["id"], found["ContactCreate"]["tags"]) == (key, ["one"])
    assert found["ContactDndUpdate"]["dndSettings"] == {"SMS": {"status": "active"}}
    assert found["AppointmentCreate"]["appointment"]["contactId"] == key
    assert "id" not in found["AppointmentCreate"]
    assert "title" not in found["NoteCreate"], "#312"
    assert all({"locationId", "appId", "timestamp", "webhookId"} <= set(payload) for payload in found.values())


def test_both_signatures_verify_the_raw_bytes_with_the_sandboxs_own_keys(hooked: Driver) -> None:
    receiver = Receiver()
    hooked.contact(firstName="Zoë")
    _deliver(hooked, receiver)
    headers, body = receiver.seen[0]
    keys = hooked.control("GET", "/webhooks").json
    modern = serialization.load_pem_public_key(keys["ed25519_public_key"].encode())
    legacy = serialization.load_pem_public_key(keys["rsa_public_key"].encode())
    assert isinstance(modern, ed25519.Ed25519PublicKey)
    assert isinstance(legacy, rsa.RSAPublicKey)
    modern.verify(base64.b64decode(headers["X-GHL-Signature"]), body)
    legacy.verify(base64.b64decode(headers["X-WH-Signature"]), body, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        modern.verify(base64.b64decode(headers["X-GHL-Signature"]), body + b" ")
    hooked.switch(ghl_webhook_signatures="none")
    assert hooked.world.webhooks.signatures(body) == {}


@pytest.mark.parametrize(
    ("statuses", "attempts"), [([429, 429, 200], 3), ([500], 1), ([404], 1), ([429] * 9, 7), ([429, 500], 2)]
)
def test_only_429_is_retried_and_at_most_six_times(hooked: Driver, statuses: list[int], attempts: int) -> None:
    receiver = Receiver(*statuses)
    hooked.contact(firstName="A")
    _deliver(hooked, receiver)
    assert len(receiver.seen) == attempts
    assert len({body for _, body in receiver.seen}) == 1, "a retry repeats the same event"
    assert len(hooked.control("GET", "/ghl/deliveries").json) == attempts


def test_inbound_dnd_fires_nothing_264_unless_the_switch_says_so(hooked: Driver) -> None:
    key = hooked.contact(firstName="A")["id"]
    hooked.world.webhooks.pending.clear()
    hooked.control("PATCH", f"/ghl/contacts/{key}", {"inboundDndSettings": {"all": {"status": "active"}}})
    assert not hooked.world.webhooks.pending
    hooked.switch(ghl_inbound_dnd_webhook=True)
    hooked.control("PATCH", f"/ghl/contacts/{key}", {"inboundDndSettings": {"all": {"status": "inactive"}}})
    assert orjson.loads(hooked.world.webhooks.pending[0][1])["type"] == "ContactDndUpdate"


def test_events_can_be_chosen_lost_or_doubled(hooked: Driver) -> None:
    url = "http://127.0.0.1:9/hooks"
    for more, expected in (({"events": ["NoteCreate"]}, 0), ({"drop": 1.0}, 0), ({"duplicate": 1.0}, 2)):
        hooked.world.webhooks.pending.clear()
        hooked.control("POST", "/webhooks", {"url": url, **more})
        hooked.contact(firstName="A")
        assert len(hooked.world.webhooks.pending) == expected
    assert hooked.control("POST", "/webhooks", {"to": url}).status == 400


def test_a_code_that_is_spent_sends_install(drive: Driver) -> None:
    drive.control("POST", "/webhooks", {"url": "http://127.0.0.1:9/hooks"})
    _pair(drive)
    assert [orjson.loads(body)["type"] for _, body in drive.world.webhooks.pending] == ["INSTALL"]
