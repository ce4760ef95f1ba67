"""Sending: one request with credentials, budget, repeats, and a log line that holds ids only.

Belongs here: how a call leaves and what becomes of its answer. Does not: endpoints, records, pacing rules.
"""

import functools
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlencode

import httpx
import orjson
import structlog

from phorest_ghl.http.answer import (
    NOT_PARSED,
    Answer,
    member,
    parse,
    promises_json,
    read_complaint,
    retry_after,
    safe_id,
    vendor_date,
)
from phorest_ghl.http.budget import Budget, Lane
from phorest_ghl.http.errors import Api, ApiError, Category, NotSent, classify
from phorest_ghl.http.rate_headers import window_of
from phorest_ghl.http.retry import DamagedAnswerError, RetryPolicy

__all__ = ["Answer", "ApiSession", "Params"]

_log = structlog.get_logger(__name__)

Primitive: TypeAlias = str | int | float | bool
Params: TypeAlias = Mapping[str, Primitive | Sequence[Primitive] | None]
"""Query parameters; None leaves one out, a sequence repeats its name."""

Renew: TypeAlias = Callable[[ApiError, Mapping[str, str]], bool]
"""Told of a refusal and of the headers that were refused; whether others are to be had now."""

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_THREADS = 16
_TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=60.0)
# As many connections as threads, so that no thread waits for another's answer.
_CONNECTIONS = httpx.Limits(max_connections=_THREADS, max_keepalive_connections=_THREADS, keepalive_expiry=30.0)
_LONGEST_BODY = 20_000  # of an error body that is searched for words; a gateway's page may be far longer
# Raised before the first byte of a request is on the wire.
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom we trust, read once a process: it takes 25 ms."""
    return httpx.create_ssl_context()


class ApiSession:
    """Calls one API; may be used from up to 16 threads at once, and is closed by its owner.

    Args:
        api: whose API it is: picks the rows of the error table.
        base_url: everything before a call's path.
        auth: makes the headers that carry the credentials; asked before each attempt.
        budget: asked before each attempt, told of each answer.
        retry: bounds of the repeats.
        transport: what carries the requests, for tests.
        on_auth_error: called at most once a call when the credentials are refused, with the refusal and the headers that
            `auth` had made for it; True if there are others now.
        scope_of: the scope that an operation needs, None where it is not known; a refusal for want of it names it.
    """

    def __init__(
        self,
        *,
        api: Api,
        base_url: str,
        auth: Callable[[], dict[str, str]],
        budget: Budget,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
        on_auth_error: Renew | None = None,
        scope_of: Callable[[str], str | None] | None = None,
    ) -> None:
        # httpx logs whole URLs at INFO, and queries hold emails and phones.
        for wire in ("httpx", "httpcore"):
            logging.getLogger(wire).setLevel(logging.WARNING)
        self._api: Api = api
        self._auth = auth
        self._budget = budget
        self._retry = retry
        self._on_auth_error = on_auth_error
        self._scope_of = scope_of
        self._lock = threading.Lock()
        self._requests = 0
        self._http = httpx.Client(
            base_url=base_url,
            transport=transport,
            verify=_certificates(),
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            follow_redirects=False,  # a followed 301 turns a POST into a GET (facts/phorest-api §2.1)
            headers={"Accept": "application/json", "User-Agent": "phorest-ghl"},
        )

    @property
    def requests(self) -> int:
        """Requests sent so far, every attempt counted."""
        return self._requests

    def close(self) -> None:
        """Close the connections. Calls in flight fail."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Params | None = None,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        lane: Lane = Lane.REST,
        bulk: bool = False,
        repeatable: bool | None = None,
        reader: Callable[[bytes], object] | None = None,
        still: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send a call, again where that is safe and useful, and return its successful answer.

        Args:
            method: the verb.
            path: below the base URL; ids in it are the caller's to encode.
            operation: the route template, stands for the URL in logs and errors.
            params: the query.
            json: the body; None sends none.
            form: the body as a form, in place of `json`.
            headers: headers of this call.
            lane: whose turn in the budget it takes.
            bulk: whether it stops when the day's quota runs low (safety S22).
            repeatable: whether sending it twice does no harm; by default true for GET, PUT and DELETE.
            reader: makes `Answer.parsed` of the body in place of parsing it as JSON, so that a body which the caller
                validates is not parsed twice; it raises ValueError for a body that it cannot read. Such a body is then
                looked at as JSON all the same, and is the caller's to refuse where it is.
            still: asked whenever a turn in the budget has come, right before sending: whether the call is still wanted.

        Raises:
            ApiError: of the category that says why, UNKNOWN_OUTCOME if a write may have happened all the same.
            NotSent: `still` said no, so this attempt was not sent; one before it may have arrived if the call is repeatable.
        """
        method = method.upper()
        call = _Call(
            method=method,
            path=path,
            operation=operation,
            params=None if params is None else {name: value for name, value in params.items() if value is not None},
            content=urlencode(form).encode() if form is not None else None if json is None else orjson.dumps(json),
            content_type="application/json" if form is None else "application/x-www-form-urlencoded",
            headers=headers or {},
            lane=lane,
            bulk=bulk,
            repeatable=method in _REPEATABLE if repeatable is None else repeatable,
            reader=reader,
            still=still,
        )
        # The wait for the first turn is no failure, so it does not count against the time that repeats may take.
        self._take_turn(call)
        credentials = _Credentials(self._on_auth_error)

        def attempt(number: int) -> Answer:
            if number > 1:
                self._take_turn(call)
            sent_with = self._auth()
            try:
                return self._attempt(call, number, sent_with)
            except ApiError as failure:
                if not credentials.renewed_after(failure, sent_with):
                    raise
            self._take_turn(call)
            return self._attempt(call, number, self._auth())

        return self._retry.run(attempt)

    def _take_turn(self, call: "_Call") -> None:
        try:
            self._budget.acquire(call.lane, bulk=call.bulk)
        except ApiError as spent:
            # The budget knows its key only; the caller wants to know what was not sent.
            spent.api, spent.operation = self._api, call.operation
            raise
        if call.still is not None and not call.still():
            raise NotSent(f"{call.operation} was not sent: what it was decided by is out of date.")

    def _attempt(self, call: "_Call", number: int, credentials: Mapping[str, str]) -> Answer:
        headers = {**call.headers, **credentials}
        if call.content is not None:
            headers["Content-Type"] = call.content_type
        with self._lock:
            self._requests += 1
        started, asked_at = time.perf_counter(), time.monotonic()
        try:
            response = self._http.request(
                call.method, call.path, params=call.params, content=call.content, headers=headers
            )
        except httpx.RequestError as error:
            failure = self._no_answer(call, error)
            self._log(call, number, started, failure=failure)
            raise failure from None  # the library's own message may quote what a server sent
        self._budget.observe(response.headers)
        outcome = self._accepted(call, response, asked_at) if response.is_success else self._refused(call, response)
        if isinstance(outcome, Answer):
            self._log(call, number, started, answer=outcome)
            return outcome
        self._log(call, number, started, failure=outcome)
        raise outcome

    def _no_answer(self, call: "_Call", error: httpx.RequestError) -> ApiError:
        """A request that may have arrived is only harmless if it may be repeated."""
        unsent = isinstance(error, _NOTHING_SENT)
        category = Category.UNREACHABLE if unsent or call.repeatable else Category.UNKNOWN_OUTCOME
        detail = f": {error}" if unsent and str(error) else ""
        return ApiError(category, api=self._api, operation=call.operation, reason=f"{type(error).__name__}{detail}")

    def _accepted(self, call: "_Call", response: httpx.Response, asked_at: float) -> Answer | ApiError:
        """The answer, or what is wrong with a body that cannot be used although the status says success."""
        kind = response.headers.get("content-type", "")
        parsed: object = NOT_PARSED
        damage: str | None = None
        if promises_json(response.content, kind):
            parsed, damage = _read(response.content, kind, call.reader)
        elif not response.content and call.method == "GET" and response.status_code != 204:
            damage = "its body is empty"
        trace_id = safe_id(response.headers.get("x-phorest-trace-id")) or safe_id(member(parsed, "traceId"))
        if damage is None:
            return Answer(
                status=response.status_code,
                headers=response.headers,
                content=response.content,
                date=vendor_date(response.headers),
                trace_id=trace_id,
                api=self._api,
                operation=call.operation,
                parsed=parsed,
                asked_at=asked_at,
            )
        kind_of_error, category = (
            (DamagedAnswerError, Category.PROTOCOL) if call.repeatable else (ApiError, Category.UNKNOWN_OUTCOME)
        )
        return kind_of_error(
            category,
            api=self._api,
            operation=call.operation,
            status=response.status_code,
            trace_id=trace_id,
            reason=f"but {damage} ({len(response.content)} bytes)",
        )

    def _refused(self, call: "_Call", response: httpx.Response) -> ApiError:
        complaint = read_complaint(response.content, response.headers)
        text = response.content[:_LONGEST_BODY].decode("utf-8", "replace")
        category = classify(
            self._api, call.method, response.status_code, text, call.repeatable, headers=response.headers
        )
        wait = retry_after(response.headers, datetime.now(UTC))
        if category is Category.RATE_LIMITED:
            wait = window_of(response.headers) if wait is None else wait
            self._budget.pause(self._retry.window_s if wait is None else wait)
        scope = self._scope_of(call.operation) if self._scope_of and category is Category.SCOPE else None
        return ApiError(
            category,
            api=self._api,
            operation=call.operation,
            status=response.status_code,
            trace_id=complaint.trace_id,
            error_id=complaint.error_id,
            retry_after=wait,
            vendor_message=complaint.message,
            body=complaint.body,
            reason=f"the token lacks the scope {scope}" if scope is not None else "",
        )

    def _log(
        self,
        call: "_Call",
        number: int,
        started: float,
        *,
        answer: Answer | None = None,
        failure: ApiError | None = None,
    ) -> None:
        seen = answer or failure
        facts = {
            "api": self._api,
            "operation": call.operation,
            "status": seen.status if seen else None,
            "duration_ms": round((time.perf_counter() - started) * 1000),
            "attempt": number,
            "trace_id": seen.trace_id if seen else None,
        }
        if failure is None:
            _log.debug("api_call", **facts)
        else:
            _log.info("api_call_failed", category=failure.category.value, **facts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """What every attempt of one call has in common."""

    method: str
    path: str
    operation: str
    params: dict[str, Primitive | Sequence[Primitive]] | None
    content: bytes | None = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    lane: Lane
    bulk: bool
    repeatable: bool
    reader: Callable[[bytes], object] | None
    still: Callable[[], bool] | None


def _read(content: bytes, content_type: str, reader: Callable[[bytes], object] | None) -> tuple[object, str | None]:
    """The body as its reader reads it, or as JSON; and what is wrong with it (a clause) or None."""
    if reader is not None:
        try:
            return reader(content), None
        except ValueError:
            _, damage = parse(content, content_type)
            return NOT_PARSED, damage
    return parse(content, content_type)


class _Credentials:
    """Renews refused credentials, once a call: a second refusal is not about their age (facts/ghl-api §2.4)."""

    def __init__(self, renew: Renew | None) -> None:
        self._renew = renew

    def renewed_after(self, failure: ApiError, refused: Mapping[str, str]) -> bool:
        """Whether the call is worth another attempt with new credentials."""
        if failure.category is not Category.AUTH or self._renew is None:
            return False
        renew, self._renew = self._renew, None
        return renew(failure, refused)
