"""The order of checks, tokens, versions, scopes, locations, limits and error shapes (facts/ghl-api §1-§4, §18.1)."""

from datetime import timedelta
from typing import Any

import pytest

from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox.driver import Driver

RATE = {"X-RateLimit-Limit-Daily", "X-RateLimit-Daily-Remaining", "X-RateLimit-Interval-Milliseconds",
"X-RateLimit-Max",
        "X-RateLimit-Remaining"}  # fmt: skip


def _token(drive: Driver, *scopes: str, location: str = "own") -> str:
    return drive.control("POST", "/tokens", {"scopes": list(scopes), "location": location}).json["token"]


@pytest.mark.parametrize(
    ("token", "message"),
    [("nonsense", "Invalid JWT"), ("pit-00000000-0000-4000-a000-000000000000", "Invalid Private Integration token")],
)
def test_a_bad_token_is_401_with_the_observed_text(drive: Driver, token: str, message: str) -> None:
    answer = drive.ghl("GET", "/contacts/x", token=token)
    assert answer.status == 401
    assert answer.json | {"traceId": ""} == {
        "statusCode": 401,
        "message": message,
        "error": "Unauthorized",
        "traceId": "",
    }


def test_no_token_is_401(drive: Driver) -> None:
    assert drive.send(drive.app.ghl, Request("GET", "/contacts/x")).json["message"] == "Invalid JWT"


def test_the_version_header_is_needed_and_must_be_known(drive: Driver) -> None:
    assert drive.ghl("GET", "/contacts/x", version=None).json["message"] == "version header was not found."
    assert drive.ghl("GET", "/contacts/x", version="2020-01-01").json["message"] == "version header is invalid"


@pytest.mark.parametrize("version", ["2021-07-28", "2021-04-15", "2023-02-21", "v3"])
def test_every_published_version_works_on_every_module(drive: Driver, version: str) -> None:
    assert drive.ghl("GET", f"/locations/{drive.location}", version=version).status == 200


def test_an_unknown_path_is_404_with_cannot(drive: Driver) -> None:
    answer = drive.ghl("DELETE", "/calendars/events/appointments/x")
    assert answer.status == 404
    assert answer.json["message"] == "Cannot DELETE /calendars/events/appointments/x"
    assert answer.json["error"] == "Not Found"


def test_the_checks_come_in_the_documented_order(drive: Driver) -> None:
    """Each request has every later mistake too; only the first one shows."""
    body: dict[str, Any] = {"locationId": drive.world.credentials.other_location, "nonsense": 1}
    weak, strong = _token(drive, "contacts.readonly"), _token(drive, "contacts.write")
    post = "/contacts/"
    assert drive.ghl("POST", post, body, token="x", version=None).json["message"] == "Invalid JWT"
    assert drive.ghl("POST", post, body, token=weak, version=None).json["message"] == "version header was not found."
    assert drive.ghl("POST", "/contact/", body, token=weak).status == 404
    assert drive.ghl("POST", post, body, token=weak).json["message"] == "The token is not authorized for this scope."
    assert drive.ghl("POST", post, body, token=strong).status == 403
    drive.switch(ghl_rate_max=0)
    assert drive.ghl("POST", post, {"locationId": drive.location, "nonsense": 1}, token=strong).status == 429
    drive.switch(ghl_rate_max=100)
    drive.app.ghl._windows.clear()
    assert drive.ghl("POST", post, {"locationId": drive.location, "nonsense": 1}, token=strong).status == 422


def test_a_token_of_another_location_is_403_in_path_query_and_body(drive: Driver) -> None:
    other = _token(drive, "contacts.readonly", "contacts.write", "locations.readonly", location="other")
    for method, path, body, query in (
        ("GET", f"/locations/{drive.location}", None, None),
        ("GET", "/contacts/search/duplicate", None, {"locationId": drive.location, "email": "a@example.com"}),
        ("POST", "/contacts/", {"locationId": drive.location}, None),
    ):
        answer = drive.ghl(method, path, body, query=query, token=other)
        assert (answer.status, answer.json["message"]) == (403, "The token does not have access to this location.")


def test_every_answer_has_the_five_rate_headers_and_a_trace_id(drive: Driver) -> None:
    for answer in (
        drive.ghl("GET", f"/locations/{drive.location}"),
        drive.ghl("GET", "/contacts/none"),
        drive.ghl("GET", "/nowhere"),
        drive.ghl("GET", "/contacts/none", token="x"),
        drive.ghl("POST", "/contacts/", {}),
    ):
        assert set(answer.headers) >= RATE
        assert len(answer.json["traceId"]) == 36


def test_the_burst_is_100_per_window_and_the_headers_count_down() -> None:
    drive = Driver(switches={"ghl_rate_max": 100})
    answers = [drive.ghl("GET", f"/locations/{drive.location}") for _ in range(101)]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers[:3]] == ["99", "98", "97"]
    assert [answer.status for answer in answers] == [200] * 100 + [429]
    assert answers[100].json["message"] == "Too Many Requests"
    assert answers[100].headers["X-RateLimit-Interval-Milliseconds"] == "10000"
    assert "Retry-After" not in answers[100].headers


def test_bad_tokens_do_not_use_the_bucket_up() -> None:
    drive = Driver(switches={"ghl_rate_max": 2})
    for _ in range(5):
        drive.ghl("GET", f"/locations/{drive.location}", token="x")
    assert drive.ghl("GET", f"/locations/{drive.location}").headers["X-RateLimit-Remaining"] == "1"


def test_the_day_has_its_own_limit_that_ends_at_midnight() -> None:
    drive = Driver(switches={"ghl_daily_max": 2})
    answers = [drive.ghl("GET", f"/locations/{drive.location}") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["X-RateLimit-Daily-Remaining"] == "0"
    drive.world.clock.advance(timedelta(days=1))
    assert drive.ghl("GET", f"/locations/{drive.location}").status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/contacts/", {"additionalEmails": []}, "additionalEmails"),
        ("POST", "/contacts/", {"externalId": "x"}, "externalId"),
        ("PUT", "/contacts/{c}", {"locationId": "{l}"}, "locationId"),
        ("PUT", "/contacts/{c}", {"gender": "female"}, "gender"),
        ("PUT", "/contacts/{c}", {"companyName": "x"}, "companyName"),
        ("POST", "/contacts/{c}/tags", {"tags": [], "locationId": "{l}"}, "locationId"),
    ],
)
def test_an_unknown_property_is_422_by_name(
    drive: Driver, method: str, path: str, body: dict[str, Any], named: str
) -> None:
    key = drive.contact(firstName="A")["id"]
    if path == "/contacts/":
        body = {"locationId": drive.location, **body}
    body = {name: drive.location if value == "{l}" else value for name, value in body.items()}
    answer = drive.ghl(method, path.replace("{c}", key), body)
    assert answer.status == 422
    assert answer.json["message"] == [f"property {named} should not exist"]
    assert answer.json["error"] == "Unprocessable Entity"


def test_an_unknown_query_parameter_is_422_too(drive: Driver) -> None:
    answer = drive.ghl("GET", f"/locations/{drive.location}", query={"x": "1"})
    assert answer.json["message"] == ["property x should not exist"]


def test_missing_and_mistyped_properties_are_listed_together(drive: Driver) -> None:
    answer = drive.ghl("POST", "/contacts/", {"email": "", "customFields": {}, "dnd": "yes"})
    assert answer.status == 422
    assert set(answer.json["message"]) == {
        "locationId must be a string", "email must be an email", "customFields must be an array of objects",
        "dnd must be a boolean value",
    }  # fmt: skip


def test_a_body_that_is_no_json_is_400(drive: Driver) -> None:
    assert drive.ghl("POST", "/contacts/", b"{").status == 400
