"""Requests and replies as plain values, so that handlers are functions that tests can call.

Belongs here: what travels. Does not belong here: who answers, or how bytes reach a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from phorest_ghl.sandbox.store import Row, as_row

JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are lower-case; the path is decoded."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    ignored: frozenset[str] = frozenset()  # faults that the handler itself must act out: clear_ignored and the like
    _query: list[tuple[str, str]] | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters in order, repeated names kept, blank values kept."""
        if self._query is None:
            self._query = parse_qsl(self.query_string, keep_blank_values=True) if self.query_string else []
        return self._query

    def param(self, name: str) -> str | None:
        """The last value of a query parameter."""
        found = None
        for key, value in self.query:
            if key == name:
                found = value
        return found

    def params(self, name: str) -> list[str]:
        """All values of a repeated query parameter."""
        return [value for key, value in self.query if key == name]

    def json(self) -> Any:
        """The parsed body.

        Raises:
            ValueError: the body is no JSON.
        """
        return orjson.loads(self.body)

    def form(self) -> Row:
        """The body as form fields, or as a JSON object where the content type says so (facts/ghl-api §2.2).

        Raises:
            ValueError: the body says JSON and is none.
        """
        if "json" in self.headers.get("content-type", ""):
            return as_row(self.json()) or {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Reply:
    """One HTTP answer: `content` is sent as it is when bytes, else as JSON."""

    status: int
    content: Any = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    media: str = JSON

    def encoded(self) -> bytes:
        """The body's bytes."""
        return self.content if isinstance(self.content, bytes) else orjson.dumps(self.content)


class Refusal(Exception):
    """Raised by a handler to answer with an error; caught where requests are dispatched."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply
