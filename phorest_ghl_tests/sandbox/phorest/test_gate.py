"""Credentials, business, branch, region, limit and headers of the Phorest side (facts/phorest-api §2, §4, §13)."""

import pytest

from phorest_ghl.sandbox.phorest.gate import PREFIX
from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox.driver import Driver


def test_wrong_or_missing_credentials_get_401_in_plain_text(drive: Driver) -> None:
    bare = Request("GET", f"{PREFIX}/{drive.world.credentials.business}/client")
    for answer in (drive.phorest("GET", "/client", user="someone@example.com"), drive.send(drive.app.phorest, bare)):
        assert (answer.status, answer.json) == (401, "Unauthorized")


def test_the_401_body_is_json_or_empty_by_switch(drive: Driver) -> None:
    drive.switch(phorest_401_body="json")
    assert drive.phorest("GET", "/client", user="x").json["statusCode"] == 401
    drive.switch(phorest_401_body="empty")
    assert drive.phorest("GET", "/client", user="x").json == ""


def test_an_unknown_business_or_branch_is_404_and_a_foreign_business_403(drive: Driver) -> None:
    known = drive.world.credentials
    for business, status in (("nobody", 404), (known.other_business, 403), (known.business, 200)):
        assert drive.phorest("GET", "/client", business=business).status == status
    assert drive.phorest("GET", "/client", business=known.other_business, user=known.other_user).status == 200
    assert drive.phorest("GET", "/client", user=known.other_user).status == 403


def test_the_rate_limit_is_100_a_second_with_the_observed_headers() -> None:
    drive = Driver(switches={"phorest_rate_max": 100})
    answers = [drive.phorest("GET", "/branch") for _ in range(105)]
    assert [answer.status for answer in answers[:100]] == [200] * 100
    assert 429 in {answer.status for answer in answers[100:]}
    names = sorted(name for name in answers[0].headers if name.startswith("x-ratelimit"))
    suffix = "rate-limit-application_third-party-api-server_global_sandbox_example.com"
    assert names == [f"x-ratelimit-{part}-{suffix}" for part in ("limit", "remaining", "reset")]
    assert answers[0].headers[names[1]] == "99"
    refused = next(answer for answer in answers if answer.status == 429)
    assert "retry-after" not in refused.headers


def test_every_answer_has_its_own_trace_id_which_errors_repeat(drive: Driver) -> None:
    traces = {drive.phorest("GET", "/branch").headers["x-phorest-trace-id"] for _ in range(5)}
    assert len(traces) == 5
    missing = drive.phorest("GET", "/client/none")
    assert missing.json["id"] == missing.headers["x-phorest-trace-id"]


def test_the_wrong_region_reads_but_redirects_writes(drive: Driver) -> None:
    drive.switch(phorest_wrong_region=True)
    assert drive.phorest("GET", "/client").status == 200
    answer = drive.phorest("POST", "/client", {"firstName": "A", "lastName": "B"})
    assert answer.status == 302
    assert answer.headers["location"].startswith("https://api-gateway-us.phorest.com/")


@pytest.mark.parametrize("path", ["/client/walkin", "/clients", "/branch/x/client"])
def test_wrong_paths_are_404(drive: Driver, path: str) -> None:
    assert drive.phorest("GET", path).status == 404


def test_an_unsupported_method_is_405(drive: Driver) -> None:
    assert drive.phorest("DELETE", "/client/x").status == 405
