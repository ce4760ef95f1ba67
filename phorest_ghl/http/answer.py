"""A vendor's answer: what was sent back, read once, and what an unsuccessful one says.

Belongs here: bodies, the Date header, trace and error ids, Retry-After. Does not: which failure it is (`errors`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import orjson

from phorest_ghl.http.errors import ApiError, Category

_LONGEST_MESSAGE = 2000
_ID = re.compile(r"[\w.:/+=-]{1,128}")
_MESSAGE_KEYS = ("detail", "message", "error_description", "error")


NOT_PARSED = object()
"""Stands for a body that nobody has parsed; None would be JSON's null."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `date` is the vendor's clock (aware UTC); its repr shows no content."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    date: datetime | None = None
    trace_id: str | None = None
    api: str = "ghl"
    operation: str = "a call"
    parsed: object = field(default=NOT_PARSED, repr=False, compare=False)
    asked_at: float = field(default=0.0, compare=False)
    """When the request left, by this process's monotonic clock, seconds: the answer is no younger."""

    def json(self) -> Any:
        """The parsed body, or what its reader made of it.

        Raises ApiError PROTOCOL for HTML, an empty body, or JSON that is cut off.
        """
        parsed, damage = self.parsed, None
        if parsed is NOT_PARSED:
            parsed, damage = parse(self.content, self.headers.get("content-type", ""))
        if damage is None:
            return parsed
        raise ApiError(
            Category.PROTOCOL,
            api=self.api,
            operation=self.operation,
            status=self.status,
            trace_id=self.trace_id,
            reason=f"but {damage} ({len(self.content)} bytes)",
        )


def parse(content: bytes, content_type: str) -> tuple[object, str | None]:
    """The parsed body, and what is wrong with it (a clause) or None."""
    body = content.strip()
    if not body:
        return None, "its body is empty"
    if "html" in content_type.lower() or body[:1] == b"<":
        return None, "its body is a web page, as gateways send"
    try:
        return orjson.loads(content), None
    except orjson.JSONDecodeError:
        return None, "its body is not JSON; it may be cut off"


def promises_json(content: bytes, content_type: str) -> bool:
    """Whether a body ought to be JSON: the vendor says so, or it is a web page, which neither API ever sends."""
    kind = content_type.lower()
    return bool(content) and ("json" in kind or "html" in kind or content.lstrip()[:1] == b"<")


def vendor_date(headers: Mapping[str, str]) -> datetime | None:
    """The `Date` header as aware UTC, or None where it is missing or unreadable."""
    return _http_date(headers.get("date", ""))


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    # An HTTP date is GMT even where the zone is left out (RFC 9110 §5.6.7).
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by `Retry-After`, given as seconds or as an HTTP date; a date counts from the vendor's own clock.

    Neither vendor documents the header (facts/ghl-api §4, facts/phorest-api §2.3), so unreadable is absent.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value):
        return float(value)
    moment = _http_date(value)
    if moment is None:
        return None
    return max(0.0, (moment - (vendor_date(headers) or now)).total_seconds())


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an unsuccessful answer says: the vendor's words, its ids, and the parsed body if it is JSON."""

    message: str
    error_id: str | None
    trace_id: str | None
    body: object


def read_complaint(content: bytes, headers: Mapping[str, str]) -> Complaint:
    """Read an error body of either vendor, whatever its shape (facts/ghl-api §3, facts/phorest-api §5)."""
    header_trace = safe_id(headers.get("x-phorest-trace-id"))
    try:
        body: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        text = content[:_LONGEST_MESSAGE].decode("utf-8", "replace").strip()
        return Complaint("" if text.startswith("<") else text, None, header_trace, None)
    if not isinstance(body, dict):
        return Complaint("", None, header_trace, body)
    members = cast("dict[str, object]", body)
    code, message = (
        members.get("errorCode"),
        next((words for key in _MESSAGE_KEYS if (words := _words(members.get(key)))), ""),
    )
    if isinstance(code, str) and code and code != message:
        message = f"{code}: {message}" if message else code
    return Complaint(
        message=message[:_LONGEST_MESSAGE],
        error_id=safe_id(members.get("id")),
        trace_id=header_trace or safe_id(members.get("traceId")),
        body=cast("object", members),
    )


def _words(value: object) -> str:
    """A message is a text, a list of texts, or (v3) an object with one (facts/ghl-api §1, §3)."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(part for part in cast("list[object]", value) if isinstance(part, str))
    if isinstance(value, dict):
        return _words(cast("dict[str, object]", value).get("message"))
    return ""


def member(body: object, name: str) -> object:
    """A member of a parsed body, or None where the body is no object or has none of that name."""
    return cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None


def safe_id(value: object) -> str | None:
    """The value if it looks like an id; anything else a server sends in its place has no business in a log line."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
