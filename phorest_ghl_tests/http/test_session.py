"""How a call leaves, what is repeated, and what is never shown."""

import logging
import socket
import threading
from datetime import UTC, datetime

import httpx
import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from phorest_ghl.http.answer import Answer
from phorest_ghl.http.budget import Lane, UnlimitedBudget
from phorest_ghl.http.errors import ApiError, Category, NotSent
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.http.session import ApiSession
from phorest_ghl_tests.http.wire import Clock, NotingBudget, Script, no, ok, policy, session

POST = {"method": "POST", "path": "/contacts/", "operation": "POST /contacts/"}
GET = {"method": "GET", "path": "/contacts/CON1", "operation": "GET /contacts/{contactId}"}


def _failure(http: ApiSession, **call: object) -> ApiError:
    with pytest.raises(ApiError) as raised:
        http.send(**call)  # pyright: ignore[reportArgumentType]
    return raised.value


def test_a_call_carries_path_query_body_credentials_and_its_own_headers() -> None:
    script = Script(ok({"contact": {"id": "CON1"}, "traceId": "t-1"}, date="Tue, 24 Nov 2026 04:00:00 GMT"))
    answer = session(script).send(
        **POST,
        params={"a": "x y", "none": None, "many": ["1", "2"], "yes": True},
        json={"tags": ["é"]},
        headers={"Version": "v3"},
    )
    request = script.requests[0]
    assert str(request.url) == "https://api.example/base/contacts/?a=x+y&many=1&many=2&yes=true"
    assert request.content == '{"tags":["é"]}'.encode()
    assert request.headers["authorization"] == "Bearer secret-token-1"
    assert request.headers["version"] == "v3"
    assert request.headers["content-type"] == "application/json"
    assert answer.json()["contact"]["id"] == "CON1"
    assert answer.trace_id == "t-1"
    assert answer.date == datetime(2026, 11, 24, 4, tzinfo=UTC)


def test_a_post_is_never_repeated_blindly() -> None:
    for fault in (httpx.ReadTimeout(""), httpx.WriteError(""), httpx.RemoteProtocolError(""), no(502), no(500)):
        script = Script(fault)
        error = _failure(session(script), **POST)
        assert error.category is Category.UNKNOWN_OUTCOME
        assert len(script.requests) == 1


def test_a_post_whose_answer_cannot_be_read_has_an_unknown_outcome() -> None:
    """The contact may exist although a gateway's page came back in its place."""
    for answer in (
        httpx.Response(201, html="<html>"),
        httpx.Response(201, content=b'{"contact":{"id":"C', headers={"content-type": "application/json"}),
    ):
        assert _failure(session(Script(answer)), **POST).category is Category.UNKNOWN_OUTCOME


def test_a_post_that_never_left_or_was_refused_by_the_limiter_is_sent_again() -> None:
    for fault in (httpx.ConnectError("no route"), httpx.ConnectTimeout(""), httpx.PoolTimeout(""), no(429)):
        script = Script(fault, ok(status=201))
        assert session(script).send(**POST).status == 201
        assert len(script.requests) == 2


def test_a_search_by_post_may_be_flagged_repeatable_and_a_put_unrepeatable() -> None:
    assert session(Script(no(502), ok())).send(**POST, repeatable=True).status == 200
    error = _failure(session(Script(no(502))), **{**GET, "method": "PUT"}, repeatable=False)
    assert error.category is Category.UNKNOWN_OUTCOME


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "fault", [httpx.ReadTimeout(""), httpx.ConnectError(""), 500, 502, 503, 504, 520, 429, "html", "cut"]
)
def test_repeatable_calls_get_over_every_passing_fault(method: str, fault: Exception | int | str) -> None:
    first: Exception | httpx.Response
    if isinstance(fault, Exception):
        first = fault
    elif isinstance(fault, int):
        first = no(fault)
    elif fault == "html":
        first = httpx.Response(200, html="<html>bad gateway</html>")
    else:
        first = httpx.Response(200, content=b'{"a": [1, 2', headers={"content-type": "application/json"})
    script = Script(first, ok({"fine": True}))
    assert session(script).send(method, "/x", operation="X /x").json() == {"fine": True}


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 412, 422])
def test_what_will_not_change_is_asked_once(status: int) -> None:
    script = Script(no(status))
    assert _failure(session(script), **GET).status == status
    assert len(script.requests) == 1


def test_redirects_are_not_followed() -> None:
    script = Script(no(301, "", location="https://elsewhere.example/"))
    error = _failure(session(script, api="phorest"), **POST)
    assert error.category is Category.WRONG_REGION


def test_damaged_answers_end_as_a_protocol_error_with_a_sentence() -> None:
    pages = [httpx.Response(200, html="<html>a@example.com</html>") for _ in range(5)]
    error = _failure(session(Script(*pages)), **GET)
    assert error.category is Category.PROTOCOL
    assert "its body is a web page, as gateways send (26 bytes)" in str(error)


def test_a_body_that_the_caller_reads_is_asked_for_again_when_it_is_cut_off() -> None:
    damaged = httpx.Response(200, content=b'{"a": [1, 2', headers={"content-type": "application/json"})
    script = Script(damaged, ok({"a": 1}))
    answer = session(script).send("GET", "/x", operation="GET /x", reader=orjson.loads)
    assert (answer.parsed, len(script.requests)) == ({"a": 1}, 2)


def test_json_that_the_caller_s_reader_refuses_is_the_caller_s_to_refuse() -> None:
    def refuse(body: bytes) -> object:
        raise ValueError(len(body))

    script = Script(ok({"a": 1}))
    answer = session(script).send("GET", "/x", operation="GET /x", reader=refuse)
    assert (answer.json(), len(script.requests)) == ({"a": 1}, 1)


def test_an_empty_answer_is_only_good_where_nothing_was_asked_for() -> None:
    empty = [httpx.Response(200) for _ in range(5)]
    assert _failure(session(Script(*empty)), **GET).category is Category.PROTOCOL
    answer = session(Script(httpx.Response(204))).send("DELETE", "/x", operation="DELETE /x")
    with pytest.raises(ApiError, match="its body is empty"):
        answer.json()


def test_texts_that_do_not_claim_to_be_json_are_handed_on() -> None:
    answer = session(Script(httpx.Response(200, text="id,name\n1,x"))).send("GET", "/csv", operation="GET /csv")
    assert answer.content == b"id,name\n1,x"
    with pytest.raises(ApiError, match="not JSON") as raised:
        answer.json()
    assert raised.value.category is Category.PROTOCOL


def test_an_answer_made_by_hand_parses_too_and_shows_no_content() -> None:
    answer = Answer(status=200, headers={}, content=b'{"email":"a@example.com"}')
    assert answer.json() == {"email": "a@example.com"}
    assert "example" not in repr(answer)


def test_every_attempt_takes_a_turn_in_its_lane_and_is_counted() -> None:
    budget = NotingBudget()
    http = session(Script(no(503), no(503), ok()), budget=budget)
    http.send(**GET, lane=Lane.REPAIR, bulk=True)
    assert budget.turns == [(Lane.REPAIR, True)] * 3
    assert http.requests == 3
    assert len(budget.headers) == 3


def test_nothing_is_sent_when_the_caller_no_longer_wants_it_once_its_turn_has_come() -> None:
    budget, script = NotingBudget(), Script(no(429), ok())
    http = session(script, budget=budget)
    wanted = iter([True, False])
    with pytest.raises(NotSent, match="PUT /x was not sent"):
        http.send("PUT", "/x", operation="PUT /x", json={}, still=lambda: next(wanted))
    assert len(budget.turns) == 2
    assert http.requests == 1


def test_a_429_pauses_everybody_for_what_the_vendor_says_or_one_window() -> None:
    for headers, seconds in (
        ({"retry_after": "3"}, 3.0),
        ({"x_ratelimit_interval_milliseconds": "500"}, 0.5),
        ({}, 10.0),
    ):
        budget, clock = NotingBudget(), Clock()
        session(Script(no(429, **headers), ok()), budget=budget, retry=policy(clock)).send(**GET)
        assert budget.pauses == [seconds]
        assert seconds <= clock.slept[0] <= seconds * 1.2 + 1


def test_a_spent_day_is_not_waited_for() -> None:
    script = Script(no(429, x_ratelimit_daily_remaining="0"))
    assert _failure(session(script), **GET).category is Category.QUOTA_EXHAUSTED
    assert len(script.requests) == 1


def test_a_budget_that_is_used_up_names_the_call_that_was_not_sent() -> None:
    class Spent(UnlimitedBudget):
        def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
            raise ApiError(Category.QUOTA_EXHAUSTED, api="ghl:LOC1", operation="the request budget", reason="0 left")

    script = Script()
    error = _failure(session(script, budget=Spent()), **GET)
    assert str(error).startswith("GET /contacts/{contactId}: GoHighLevel gave no answer (quota exhausted), 0 left")
    assert script.requests == []


def test_refused_credentials_are_renewed_once_and_the_call_is_sent_again_with_the_new_ones() -> None:
    tokens = ["old", "new"]
    script = Script(no(401, {"message": "Invalid JWT"}), ok(status=201))
    http = session(
        script, auth=lambda: {"Authorization": f"Bearer {tokens[0]}"}, on_auth_error=lambda *_: bool(tokens.pop(0))
    )
    assert http.send(**POST).status == 201
    assert [request.headers["authorization"] for request in script.requests] == ["Bearer old", "Bearer new"]


def test_credentials_are_not_renewed_twice_nor_for_a_missing_scope() -> None:
    renewals: list[int] = []

    def renew(*_: object) -> bool:
        renewals.append(1)
        return True

    twice = Script(no(401, {"message": "Invalid JWT"}), no(401, {"message": "Invalid JWT"}))
    assert _failure(session(twice, on_auth_error=renew), **GET).category is Category.AUTH
    scope = Script(no(401, {"message": "The token is not authorized for this scope."}))
    assert _failure(session(scope, on_auth_error=renew), **GET).category is Category.SCOPE
    assert len(renewals) == 1


def test_credentials_are_renewed_once_a_call_even_if_other_faults_come_between() -> None:
    renewals: list[int] = []

    def renew(*_: object) -> bool:
        renewals.append(1)
        return True

    jwt = {"message": "Invalid JWT"}
    script = Script(no(401, jwt), no(503), no(401, jwt))
    assert _failure(session(script, on_auth_error=renew), **GET).category is Category.AUTH
    assert len(renewals) == 1


def test_the_librarys_own_words_are_not_carried_along() -> None:
    error = _failure(session(Script(httpx.RemoteProtocolError("header of a@example.com"))), **POST)
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert "RemoteProtocolError" in str(error)
    assert "example" not in str(error)


def test_credentials_that_cannot_be_renewed_are_reported() -> None:
    script = Script(no(401, "Bad credentials"))
    assert _failure(session(script, on_auth_error=lambda *_: False), **GET).category is Category.AUTH
    assert len(script.requests) == 1


def test_neither_logs_nor_errors_show_addresses_tokens_or_ids_in_paths(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = Script(
        no(503, {"message": "a@example.com"}),
        no(422, {"message": "email a@example.com of +353 87 123 4567 is bad", "traceId": "t-9"}),
    )
    with capture_logs() as events:
        error = _failure(
            session(script),
            method="GET",
            path="/contacts/search/duplicate",
            operation="GET /contacts/search/duplicate",
            params={"email": "a@example.com", "number": "+353871234567"},
        )
    shown = f"{events} {error} {error!r} {error.vendor_message} {caplog.text}"
    assert [event["event"] for event in events] == ["api_call_failed"] * 2
    assert "t-9" in shown
    for secret in ("example.com", "353", "4567", "secret-token", "https://"):
        assert secret not in shown


def test_a_log_line_holds_operation_status_duration_attempt_and_trace() -> None:
    with capture_logs() as events:
        session(Script(ok({"traceId": "t-1"}))).send(**GET)
    assert {k: v for k, v in events[0].items() if k != "duration_ms"} == {
        "event": "api_call",
        "log_level": "debug",
        "api": "ghl",
        "operation": "GET /contacts/{contactId}",
        "status": 200,
        "attempt": 1,
        "trace_id": "t-1",
    }
    assert isinstance(events[0]["duration_ms"], int)


def test_sixteen_threads_share_a_session() -> None:
    http = session(Script(*[ok() for _ in range(160)]))
    threads = [threading.Thread(target=lambda: [http.send(**GET) for _ in range(10)]) for _ in range(16)]
    with capture_logs():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert http.requests == 160


def test_over_a_real_socket_a_closed_port_is_unreachable_and_a_cut_answer_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def cut_off() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(
                b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"con'
            )
            connection.close()

        thread = threading.Thread(target=cut_off)
        thread.start()
        with _real(port) as http:
            assert _failure(http, **POST).category is Category.UNKNOWN_OUTCOME
        thread.join()
    with _real(port) as http:
        error = _failure(http, **POST)
        assert error.category is Category.UNREACHABLE
        assert http.requests == 2
        assert "ConnectError" in str(error)


def _real(port: int) -> ApiSession:
    return ApiSession(
        api="ghl",
        base_url=f"http://127.0.0.1:{port}",
        auth=dict,
        budget=UnlimitedBudget(),
        retry=RetryPolicy(attempts=2, first_s=0.0),
    )


def test_structlog_is_left_as_it_was_configured() -> None:
    before = structlog.get_config()
    session(Script())
    assert structlog.get_config() == before
