"""Contact search and duplicate look-up (facts/ghl-api §7).

Belongs here: what search finds, in which order, page by page. Does not belong here: when it finds it
(`ContactStore.catch_up`).
"""

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

import orjson

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import contact_shapes, dedupe
from phorest_ghl.sandbox.ghl.common import Call, get, post, refuse
from phorest_ghl.sandbox.ghl.contact_writes import stored_phone
from phorest_ghl.sandbox.ghl.filters import matcher
from phorest_ghl.sandbox.store import Row, as_list
from phorest_ghl.sandbox.wire import Reply

_BODY: w.Shape = {
    "locationId": w.STR.needed(), "pageLimit": w.NUMBER.needed(), "page": w.NUMBER, "searchAfter": w.VALUES,
    "filters": w.OBJECTS, "sort": w.OBJECTS, "query": w.STR,
}  # fmt: skip
_DUPLICATE: w.Shape = {"locationId": w.STR.needed(), "number": w.STR, "email": w.STR}
_MOST, _WINDOW, _QUERY_LENGTH = 500, 10_000, 75
_SORTS: dict[str, Callable[[Row], Any]] = {
    "firstNameLowerCase": lambda row: (row.get("firstName") or "").lower(),
    "lastNameLowerCase": lambda row: (row.get("lastName") or "").lower(),
    "businessName": lambda row: row.get("businessName") or "",
    "dateAdded": lambda row: row["addedMs"],
    "dateUpdated": lambda row: row["dateUpdated"],
    "email": lambda row: row.get("email") or "",
    "dnd": lambda row: row["dnd"],
    "source": lambda row: row.get("source") or "",
}
Order = list[tuple[str, bool]]


def search(call: Call) -> Reply:
    """One page: by `page` up to 10,000 records deep, or after a contact's own `searchAfter` without limit."""
    limit, order = _limit(call), _order(call)
    rows = _matching(call, order)
    after = call.body.get("searchAfter")
    if after is None:
        page = int(call.body.get("page", 1))
        if page < 1 or page * limit > _WINDOW:
            refuse(400, f"page * pageLimit must not exceed {_WINDOW}; use searchAfter")
        shown = rows[(page - 1) * limit : page * limit]
    else:
        start = _position(rows, order, after)
        shown = rows[start : start + limit]
    contacts = [contact_shapes.searched(call.world, row, _cursor(row, order), v3=call.v3) for row in shown]
    on_top = (
        {"searchAfter": contacts[-1]["searchAfter"]} if contacts and call.world.switches.ghl_search_after_on_top else {}
    )
    return Reply(200, {"contacts": contacts, "total": len(rows)} | on_top)


def _limit(call: Call) -> int:
    limit = call.body["pageLimit"]
    if not 1 <= limit <= _MOST or limit != int(limit):
        refuse(422, [f"pageLimit must be a whole number from 1 to {_MOST}"])
    if "page" in call.body and "searchAfter" in call.body:
        refuse(400, "page and searchAfter must not be combined")
    if len(call.body.get("query", "")) > _QUERY_LENGTH:
        refuse(400, f"query must not be longer than {_QUERY_LENGTH} characters")
    return int(limit)


def _order(call: Call) -> Order:
    wishes = call.body.get("sort") or [{"field": "dateAdded", "direction": "desc"}]
    if len(wishes) > 2:
        refuse(400, "At most two sort fields are allowed")
    for wish in wishes:
        if wish.get("field") not in _SORTS or wish.get("direction") not in {"asc", "desc"}:
            refuse(400, f"Invalid sort {wish.get('field')} {wish.get('direction')}")
    return [(wish["field"], wish["direction"] == "desc") for wish in wishes]


def _matching(call: Call, order: Order) -> list[Row]:
    """All matches in order; kept until the index changes, so that paging costs one scan."""
    world = call.world
    seen = world.contacts.catch_up(world.clock.seconds())
    filters: list[Row] = [] if "filter_ignored" in call.request.ignored else call.body.get("filters") or []
    key = orjson.dumps([filters, call.body.get("query"), order])
    switches = (world.switches.ghl_search_misses_additional, world.switches.ghl_dnd_filters)
    state = (world.contacts.search_revision, world.ghl["fields"].revision, switches)
    kept = world.searches
    if kept.get("state") != state or len(kept) > 32:
        kept.clear()
        kept["state"] = state
    if key not in kept:
        fits = matcher(world, filters)
        words = call.body.get("query", "").lower()
        found = [row for row in seen.values() if fits(row) and (not words or words in _text(row))]
        found.sort(key=lambda row: row["id"])
        for field, descending in reversed(order):
            found.sort(key=_SORTS[field], reverse=descending)
        kept[key] = found
    return kept[key]


def _text(row: Row) -> str:
    return f"{dedupe.full_name(row)} {row.get('email') or ''} {row.get('phone') or ''} {row.get('companyName') or ''}".lower()


def _cursor(row: Row, order: Order) -> list[object]:
    return [*(_SORTS[field](row) for field, _ in order), row["id"]]


def _position(rows: list[Row], order: Order, after: Any) -> int:
    """The first row that comes after a cursor."""
    cursor = as_list(after)
    if cursor is None or len(cursor) != len(order) + 1:
        refuse(400, "searchAfter must be the cursor of a contact found with the same sort")
    directions = [*(descending for _, descending in order), False]  # ties: by id upwards, which a stable sort keeps

    def compare(one: list[Any], two: list[Any]) -> int:
        for left, right, descending in zip(one, two, directions, strict=True):
            if left != right:
                return (1 if left > right else -1) * (-1 if descending else 1)
        return 0

    low, high, key = 0, len(rows), cmp_to_key(compare)
    try:
        while low < high:
            middle = (low + high) // 2
            if key(_cursor(rows[middle], order)) <= key(cursor):
                low = middle + 1
            else:
                high = middle
    except TypeError:
        refuse(400, "searchAfter holds values of the wrong type")
    return low


def duplicate(call: Call) -> Reply:
    """The contact with this number or email, or null; fields and order as the location's identifiers say."""
    email = (call.request.param("email") or "").strip().lower() or None
    number = call.request.param("number")
    phone = stored_phone(number, call.world.location["country"]) if number else None
    if not email and not number:
        refuse(400, "Either number or email is required")
    found = dedupe.match(call.world, email, phone)
    shape = None if found is None else contact_shapes.got(call.world, call.world.contacts.rows[found[0]], v3=call.v3)
    return Reply(200, {"contact": shape})


ROUTES = (
    post("/contacts/search", search, "contacts.readonly", body=_BODY),
    get("/contacts/search/duplicate", duplicate, "contacts.readonly", query=_DUPLICATE),
)
