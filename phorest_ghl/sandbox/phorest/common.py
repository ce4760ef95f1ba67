"""What all Phorest operations share: the call, query parameters, the paging envelope, errors.

Belongs here: reading parameters and shaping answers. Does not belong here: credentials and limits (`gate.py`), or any
one resource.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NoReturn

import orjson

from phorest_ghl.sandbox.router import Route
from phorest_ghl.sandbox.shapes import Field, Shape, violations
from phorest_ghl.sandbox.store import Row, Store, as_row
from phorest_ghl.sandbox.wire import Refusal, Reply, Request
from phorest_ghl.sandbox.world import World

Handler = Callable[["Call"], Reply]
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_DEFAULT_SIZE, _MAX_SIZE = 20, 200


@dataclass(slots=True)
class Call:
    """One authorised request: `ids` are the path's named segments below the business, in order."""

    world: World
    request: Request
    ids: Sequence[str]
    shape: Shape = field(default_factory=dict[str, Field])

    def store(self, name: str) -> Store:
        """A Phorest store by name."""
        return self.world.phorest[name]

    def text(self, name: str) -> str | None:
        """A query parameter."""
        return self.request.param(name)

    def flag(self, name: str) -> bool:
        """A boolean query parameter, false by default; anything but true and false answers 400."""
        value = self.request.param(name)
        if value not in {None, "", "true", "false", "True", "False"}:
            refuse(400, f"Parameter {name} must be true or false", "INVALID_PARAMETER")
        return value in {"true", "True"}

    def number(self, name: str, default: int) -> int:
        """A whole, non-negative query parameter; anything else answers 400."""
        value = self.request.param(name)
        if value is None:
            return default
        if not value.isdecimal() or len(value) > 9:
            refuse(400, f"Parameter {name} must be a non-negative whole number", "INVALID_PARAMETER")
        return int(value)

    def instant(self, name: str) -> datetime | None:
        """An instant parameter in `yyyy-MM-dd'T'HH:mm:ss.SSZ`; other forms answer 400 (facts/phorest-api §2.5)."""
        value = self.request.param(name)
        if value is None:
            return None
        found = parse_instant(value)
        if found is None:
            refuse(400, f"Parameter {name} must look like 2025-01-31T00:00:00.000Z", "INVALID_PARAMETER")
        return found

    def day(self, name: str) -> date | None:
        """A `YYYY-MM-DD` parameter; anything else answers 400."""
        value = self.request.param(name)
        if value is None:
            return None
        try:
            return date.fromisoformat(value) if len(value) == 10 else refuse_day(name)
        except ValueError:
            refuse_day(name)

    def body(self) -> Row:
        """The JSON object in the body; anything else, or another shape, answers 400."""
        try:
            parsed = as_row(self.request.json())
        except ValueError:
            refuse(400, "Malformed JSON body", "INVALID_BODY")
        if parsed is None:
            refuse(400, "A JSON object is needed", "INVALID_BODY")
        complaints = violations(self.shape, parsed, strict=False)
        if complaints:
            refuse(400, "; ".join(complaints), "INVALID_BODY")
        return parsed


def route(method: str, template: str, handler: Handler, body: Shape | None = None) -> Route:
    """One operation; `body` is the shape that its body must have, unknown properties apart."""
    return Route(method, template, handler, {"body": body or {}})


def parse_instant(text: str) -> datetime | None:
    """A UTC instant, or None when the text is none."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return whole.replace(microsecond=int((match[2] or "0").ljust(6, "0")[:6]))


def refuse_day(name: str) -> NoReturn:
    """Answer 400 for a malformed date."""
    refuse(400, f"Parameter {name} must be a date such as 2025-01-31", "INVALID_PARAMETER")


def error(status: int, detail: str, code: str | None = None) -> Reply:
    """The error body of facts/phorest-api §5; its `id` is filled in with the trace id."""
    body: Row = {"statusCode": status, "id": "", "detail": detail}
    if code is not None:
        body["errorCode"] = code
    return Reply(status, body)


def refuse(status: int, detail: str, code: str | None = None) -> NoReturn:
    """Answer with an error.

    Raises:
        Refusal: always.
    """
    raise Refusal(error(status, detail, code))


def page(call: Call, key: str, blobs: Sequence[str], read: Callable[[str], bytes], most: int = _MAX_SIZE) -> Reply:
    """One page of rows in the envelope of facts/phorest-api §3: `_embedded` is missing when the page is empty.

    Args:
        call: the request, for `page` and `size`.
        key: the plural name inside `_embedded`.
        blobs: ids of all matching rows, in order.
        read: the JSON of one row.
        most: largest page size; above it the size is clamped, or refused with 400, by switch.
    """
    size, number = call.number("size", _DEFAULT_SIZE), call.number("page", 0)
    if size < 1:
        refuse(400, "Parameter size must be at least 1", "INVALID_PARAMETER")
    if size > most:
        if call.world.switches.phorest_over_max == "reject400":
            refuse(400, f"Parameter size must be at most {most}", "INVALID_PARAMETER")
        size = most
    shown = blobs[number * size : (number + 1) * size]
    meta = {"size": size, "totalElements": len(blobs), "totalPages": -(-len(blobs) // size), "number": number}
    body: Row = {}
    if shown:
        body["_embedded"] = {key: [orjson.Fragment(read(blob)) for blob in shown]}
    body["page"] = meta
    return Reply(200, body)


def page_of_rows(call: Call, key: str, rows: Iterable[Row], most: int = _MAX_SIZE) -> Reply:
    """One page of rows that are not kept serialised."""
    held = list(rows)
    return page(
        call, key, [str(index) for index in range(len(held))], lambda index: orjson.dumps(held[int(index)]), most
    )
