"""Parts that several tests of the HTTP layer share: sessions over a scripted transport, budgets that take notes."""

from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from phorest_ghl.http.answer import Complaint, read_complaint
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.http.session import ApiSession

Step = httpx.Response | Exception


class Script:
    """A transport that gives one answer after the other, and keeps the requests."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class NotingBudget:
    """Lets everything through and remembers what it was told."""

    def __init__(self) -> None:
        self.turns: list[tuple[Lane, bool]] = []
        self.headers: list[dict[str, str]] = []
        self.pauses: list[float] = []

    def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
        self.turns.append((lane, bulk))

    def observe(self, headers: Mapping[str, str]) -> None:
        self.headers.append(dict(headers))

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def policy(clock: Clock, **more: Any) -> RetryPolicy:
    """A policy in simulated time, with the longest jitter."""
    return RetryPolicy(sleep=clock.sleep, clock=clock, jitter=lambda: 1.0, **more)


def session(script: Script, **more: Any) -> ApiSession:
    """A session over a script, by default GHL's, without pacing and in simulated time."""
    options: dict[str, Any] = {
        "api": "ghl",
        "base_url": "https://api.example/base",
        "auth": lambda: {"Authorization": "Bearer secret-token-1"},
        "budget": NotingBudget(),
        "retry": policy(Clock()),
    }
    return ApiSession(**{**options, **more}, transport=httpx.MockTransport(script))


def ok(body: object = None, status: int = 200, **headers: str) -> httpx.Response:
    """A successful JSON answer; header names are written with underscores."""
    return httpx.Response(status, json={} if body is None else body, headers=_named(headers))


def no(status: int, body: object = None, **headers: str) -> httpx.Response:
    """An unsuccessful answer; a str body is sent as text."""
    if isinstance(body, str):
        return httpx.Response(status, text=body, headers=_named(headers))
    return httpx.Response(status, json={} if body is None else body, headers=_named(headers))


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def complaint(body: object) -> Complaint:
    """What the reader makes of a JSON error body."""
    return read_complaint(orjson.dumps(body), {})


def complaint_text(text: str) -> Complaint:
    """What the reader makes of a body as it is."""
    return read_complaint(text.encode(), {})
