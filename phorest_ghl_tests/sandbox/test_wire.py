"""What happens on the socket: faults, dates, limits, processes; over real HTTP."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess, SandboxServer

Call = Callable[..., httpx.Response]


@pytest.fixture
def calm(server: SandboxServer) -> Iterator[SandboxServer]:
    """The shared server, without faults before and after."""
    server.control("DELETE", "/faults")
    server.control("POST", "/switches", {"ghl_rate_max": 100_000, "ghl_rate_window_s": 10.0})
    server.control("DELETE", "/requests")
    yield server
    server.control("DELETE", "/faults")


@pytest.fixture
def ghl(calm: SandboxServer) -> Iterator[Call]:
    """A GHL call over HTTP."""
    headers = {"Authorization": f"Bearer {calm.settings['GHL_PRIVATE_TOKEN']}", "Version": "2021-07-28"}
    with httpx.Client(base_url=calm.url, headers=headers, timeout=2.0) as client:
        yield client.request


@pytest.fixture
def phorest(calm: SandboxServer) -> Iterator[Call]:
    """A Phorest call below the business over HTTP."""
    base = f"{calm.settings['PHOREST_API_BASE_URL']}/{calm.settings['PHOREST_BUSINESS_ID']}"
    user = (calm.settings["PHOREST_CLIENT_ID"], calm.settings["PHOREST_CLIENT_SECRET"])
    with httpx.Client(base_url=base, auth=user, timeout=2.0) as client:
        yield client.request


def _create(calm: SandboxServer, ghl: Call, name: str) -> httpx.Response:
    return ghl("POST", "/contacts/", json={"locationId": calm.settings["GHL_LOCATION_ID"], "firstName": name})


def _names(calm: SandboxServer) -> list[str]:
    return [row["firstName"] for row in calm.truth("ghl/contacts")]


@pytest.mark.parametrize("kind", ["429", "500", "502", "503", "504", "520"])
def test_a_status_fault_strikes_before_the_work_is_done(calm: SandboxServer, ghl: Call, kind: str) -> None:
    calm.control("POST", "/faults", {"api": "ghl", "route": "POST /contacts/", "kind": kind, "count": 1})
    assert _create(calm, ghl, f"never {kind}").status_code == int(kind)
    assert f"never {kind}" not in _names(calm)
    assert _create(calm, ghl, f"then {kind}").status_code == 201


def test_a_429_comes_in_its_vendors_shape(calm: SandboxServer, ghl: Call, phorest: Call) -> None:
    calm.control("POST", "/faults", {"kind": "429", "count": 2})
    by_ghl, by_phorest = ghl("GET", "/contacts/x"), phorest("GET", "/branch")
    assert (by_ghl.headers["x-ratelimit-remaining"], by_ghl.headers["x-ratelimit-interval-milliseconds"]) == (
        "0",
        "10000",
    )
    assert by_phorest.json()["errorCode"] == "TOO_MANY_REQUESTS"
    assert by_phorest.headers["x-phorest-trace-id"] == by_phorest.json()["id"]
    calm.control("POST", "/faults", {"kind": "429", "retry_after": "7"})
    assert ghl("GET", "/contacts/x").headers["retry-after"] == "7"


def test_a_status_fault_can_strike_after_the_work_was_done(calm: SandboxServer, ghl: Call) -> None:
    calm.control("POST", "/faults", {"api": "ghl", "route": "POST /contacts/", "kind": "502", "after_commit": True})
    assert _create(calm, ghl, "after 502").status_code == 502
    assert "after 502" in _names(calm)


def test_a_timeout_before_leaves_nothing_and_one_after_commit_leaves_the_contact(
    calm: SandboxServer, ghl: Call
) -> None:
    for kind, left in (("timeout_before", False), ("timeout_after_commit", True)):
        calm.control("POST", "/faults", {"api": "ghl", "route": "POST /contacts/", "kind": kind, "ms": 10_000})
        with pytest.raises(httpx.ReadTimeout):
            ghl(
                "POST",
                "/contacts/",
                json={"locationId": calm.settings["GHL_LOCATION_ID"], "firstName": kind},
                timeout=0.2,
            )
        assert (kind in _names(calm)) is left


@pytest.mark.parametrize("after", [False, True])
def test_a_reset_breaks_the_connection_before_or_after_the_work(calm: SandboxServer, ghl: Call, after: bool) -> None:  # noqa: FBT001
    calm.control("POST", "/faults", {"api": "ghl", "kind": "reset", "after_commit": after})
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        _create(calm, ghl, f"reset {after}")
    assert (f"reset {after}" in _names(calm)) is after


def test_a_truncated_answer_ends_in_the_middle_of_its_body(calm: SandboxServer, phorest: Call) -> None:
    calm.control("POST", "/faults", {"api": "phorest", "route": "/client", "kind": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError):
        phorest("GET", "/client")
    assert phorest("GET", "/client").status_code == 200


def test_an_html_answer_comes_from_the_gateway(calm: SandboxServer, phorest: Call) -> None:
    calm.control("POST", "/faults", {"api": "phorest", "kind": "html"})
    answer = phorest("GET", "/client")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"


def test_slow_waits(calm: SandboxServer, phorest: Call) -> None:
    calm.control("POST", "/faults", {"kind": "slow", "ms": 120})
    start = time.monotonic()
    assert phorest("GET", "/branch").status_code == 200
    assert time.monotonic() - start >= 0.12


def test_latency_is_waited_once_a_request_and_not_for_each_other() -> None:
    with SandboxServer(SandboxOptions(clients=5, months=0, latency_ms=80)) as running, httpx.Client() as client:
        start = time.monotonic()
        client.get(f"{running.url}/contacts/x")
        assert 0.08 <= time.monotonic() - start < 5


def test_created_but_422_says_no_and_creates(calm: SandboxServer, ghl: Call) -> None:
    calm.control("POST", "/faults", {"route": "POST /contacts/", "kind": "created_but_422"})
    answer = _create(calm, ghl, "refused yet there")
    assert (answer.status_code, answer.json()["error"]) == (422, "Unprocessable Entity")
    assert "refused yet there" in _names(calm)


def test_filter_ignored_returns_everything_with_200(calm: SandboxServer, phorest: Call) -> None:
    future = {"updatedAfter": "2199-01-01T00:00:00.000Z"}
    assert phorest("GET", "/client", params=future).json()["page"]["totalElements"] == 0
    calm.control("POST", "/faults", {"route": "GET /client", "kind": "filter_ignored"})
    everything = phorest("GET", "/client", params=future).json()["page"]["totalElements"]
    assert everything == phorest("GET", "/client").json()["page"]["totalElements"]


def test_clear_ignored_answers_200_and_keeps_the_value(calm: SandboxServer, ghl: Call) -> None:
    made = ghl(
        "POST",
        "/contacts/",
        json={"locationId": calm.settings["GHL_LOCATION_ID"], "firstName": "Clear", "city": "Cork"},
    )
    key = made.json()["contact"]["id"]
    calm.control("POST", "/faults", {"route": "PUT /contacts/{contactId}", "kind": "clear_ignored"})
    assert ghl("PUT", f"/contacts/{key}", json={"city": None}).json()["contact"]["city"] == "Cork"
    assert "city" not in ghl("PUT", f"/contacts/{key}", json={"city": None}).json()["contact"]


def test_an_export_is_downloaded_from_its_link_without_credentials(calm: SandboxServer, phorest: Call) -> None:
    branch = calm.settings["PHOREST_BRANCH_ID"]
    job = phorest("POST", f"/branch/{branch}/csvexportjob", json={"jobType": "CLIENT_CSV"}).json()["jobId"]
    url = phorest("GET", f"/branch/{branch}/csvexportjob/{job}").json()["tempCsvExternalUrl"]
    assert httpx.get(url).text.startswith("client_id,version,first_name")
    assert phorest("GET", url).status_code == 400


def test_webhooks_arrive_signed_at_the_address_that_was_given(calm: SandboxServer, ghl: Call) -> None:
    arrived: queue.Queue[tuple[str, str | None]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arrived.put((body["type"], self.headers["X-GHL-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        calm.control("POST", "/webhooks", {"url": f"http://127.0.0.1:{receiver.server_port}/hooks"})
        known = calm.control("GET", "/credentials")
        asked = {"client_id": known["app_id"], "redirect_uri": "http://127.0.0.1:9/"}
        code = ghl("GET", "/oauth/chooselocation", params=asked).headers["location"].rpartition("code=")[2]
        form = {
            "client_id": known["app_id"],
            "client_secret": known["app_secret"],
            "grant_type": "authorization_code",
            "code": code,
        }
        assert ghl("POST", "/oauth/token", data=form).status_code == 200
        _create(calm, ghl, "Announced")
        assert [arrived.get(timeout=5)[0] for _ in range(2)] == ["INSTALL", "ContactCreate"]
        calm.control("POST", "/webhooks", {"url": None})
        receiver.shutdown()


def test_page_drift_moves_a_row_between_two_pages(calm: SandboxServer, phorest: Call) -> None:
    def ids(page: int) -> list[str]:
        shown = phorest(
            "GET", "/client", params={"size": 30, "page": page, "includeArchived": "true", "includeDeleted": "true"}
        ).json()
        return [row["clientId"] for row in shown["_embedded"]["clients"]]

    first = ids(0)
    calm.control("POST", "/faults", {"route": "GET /client", "kind": "page_drift"})
    seen = {*first, *ids(1), *ids(2)}
    assert len(seen) == 60, "one client slipped through between the pages"


def test_a_rate_strikes_about_that_share(calm: SandboxServer, phorest: Call) -> None:
    calm.control("POST", "/switches", {"phorest_rate_max": 100_000})
    calm.control("POST", "/faults", {"api": "phorest", "kind": "503", "rate": 0.3})
    hits = sum(phorest("GET", "/branch").status_code == 503 for _ in range(200))
    assert 30 <= hits <= 90


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "gremlins"},
        {"kind": "500", "route": "/contact"},
        {"kind": "500", "api": "hubspot"},
        {"kind": "500", "times": 3},
    ],
)
def test_a_misspelt_fault_is_refused_with_a_sentence(calm: SandboxServer, wish: dict[str, Any]) -> None:
    answer = httpx.post(f"{calm.url}/__sandbox__/faults", json=wish)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_the_date_header_follows_the_salons_clock(calm: SandboxServer, phorest: Call) -> None:
    calm.control("POST", "/clock", {"advance_s": 40 * 86_400})
    stamp = parsedate_to_datetime(phorest("GET", "/branch").headers["date"])
    assert abs((stamp - datetime.now(UTC)).total_seconds() - 40 * 86_400) < 5
    assert httpx.post(f"{calm.url}/__sandbox__/clock", json={"advance_s": -5}).status_code == 400


def test_the_request_log_knows_the_most_requests_in_any_window(calm: SandboxServer, ghl: Call, phorest: Call) -> None:
    for _ in range(7):
        ghl("GET", "/contacts/none")
    phorest("GET", "/branch")
    report = calm.control("GET", "/requests")
    assert report["apis"]["ghl"] | {"seconds": 0} == {
        "requests": 7, "rejected_429": 0, "window_s": 10.0, "most_in_window": 7, "most_asked_in_window": 7,
        "seconds": 0,
    }  # fmt: skip
    assert {"api": "ghl", "method": "GET", "route": "/contacts/{contactId}", "status": 400, "count": 7} in report[
        "requests"
    ]
    calm.control("DELETE", "/requests")
    assert calm.control("GET", "/requests")["requests"] == []


def test_the_log_looks_at_windows_as_long_as_the_switch_says(calm: SandboxServer) -> None:
    calm.control("POST", "/switches", {"ghl_rate_window_s": 0.5})
    assert calm.control("GET", "/requests")["apis"]["ghl"]["window_s"] == 0.5


@pytest.mark.crash
def test_the_state_survives_kill_9_and_a_new_process_goes_on_from_it(tmp_path: Path) -> None:
    with SandboxProcess(SandboxOptions(clients=25, months=0, state=tmp_path)) as sandbox:
        first = sandbox.settings
        headers = {"Authorization": f"Bearer {first['GHL_PRIVATE_TOKEN']}", "Version": "2021-07-28"}
        body = {
            "locationId": first["GHL_LOCATION_ID"],
            "firstName": "Kept",
            "email": "kept@example.com",
            "tags": ["vip"],
        }
        key = httpx.post(f"{sandbox.url}/contacts/", headers=headers, json=body).json()["contact"]["id"]
        client = sandbox.truth("phorest/clients")[3]["clientId"]
        sandbox.control("PATCH", f"/phorest/clients/{client}", {"notes": "kept too"})
        sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
        before = (sandbox.truth("automations"), sandbox.truth("phorest/clients"), sandbox.control("GET", "/workflows"))
        sandbox.kill()
        with (tmp_path / "journal.jsonl").open("ab") as half_written:
            half_written.write(b'["ghl.contacts","x",{"id":')
        sandbox.start()
        assert sandbox.settings == first, "same port, same credentials"
        assert sandbox.truth("ghl/contacts")[0]["id"] == key
        assert before == (
            sandbox.truth("automations"),
            sandbox.truth("phorest/clients"),
            sandbox.control("GET", "/workflows"),
        )
        again = httpx.post(f"{sandbox.url}/contacts/", headers=headers, json=body)
        assert again.json()["meta"]["contactId"] == key


def test_the_clock_goes_on_from_where_it_was_after_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(clients=5, months=0, state=tmp_path, now=datetime(2026, 1, 31, 9, tzinfo=UTC))
    seen: list[str] = []
    for advance in (0, 3_600, 0):
        with SandboxServer(options) as running:
            running.control("POST", "/clock", {"advance_s": advance})
            seen.append(running.control("GET", "/clock")["now"])
    assert [moment[:13] for moment in seen] == ["2026-01-31T09", "2026-01-31T10", "2026-01-31T10"]
    assert seen == sorted(seen)


def test_a_state_of_other_options_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with SandboxServer(SandboxOptions(clients=20, months=0, state=tmp_path)):
        pass
    with pytest.raises(ValueError, match="belongs to a sandbox of other options"):
        SandboxServer(SandboxOptions(clients=21, months=0, state=tmp_path))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_at_once_whatever_is_held_open(how: signal.Signals) -> None:
    sandbox = SandboxProcess(SandboxOptions(clients=5, months=0))
    sandbox.start()
    process = sandbox.process
    assert process is not None
    assert next(iter(sandbox.settings)) == "PHOREST_API_BASE_URL"
    sandbox.control("POST", "/faults", {"kind": "timeout_before", "ms": 60_000})
    with httpx.Client() as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"{sandbox.url}/contacts/x", timeout=0.1)
    with httpx.Client() as client:
        client.get(f"{sandbox.url}/__sandbox__/clock")
        start = time.monotonic()
        process.send_signal(how)
        assert process.wait(5) == 0
        assert time.monotonic() - start < 3
    sandbox.stop()


def test_a_taken_port_and_wrong_options_end_with_a_sentence(server: SandboxServer) -> None:
    port = server.url.rpartition(":")[2]
    for arguments, status in ((["--clients=5", f"--port={port}"], 1), (["--clients=0"], 2)):
        command = [sys.executable, "-m", "phorest_ghl.sandbox", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == status
        assert ended.stderr.strip().endswith(".")
        assert "Traceback" not in ended.stderr
