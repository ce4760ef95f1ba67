"""Contacts: create, update, upsert, get, delete, list (facts/ghl-api §5, §6).

Belongs here: the operations on one contact. Does not belong here: search, tags, notes and tasks.
"""

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import contact_events, contact_shapes, contact_writes, dedupe
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

BUSINESS = {"locationId": w.STR.needed(), "limit": w.COUNT, "skip": w.COUNT, "query": w.STR}
LIST = {"locationId": w.STR.needed(), "startAfterId": w.STR, "startAfter": w.NUMBER, "query": w.STR, "limit": w.NUMBER}


def existing(call: Call, key: str) -> Row:
    """The contact, or the refusal that the switch chooses: 400 as most clients see it, or 404.

    Raises:
        Refusal: there is no such contact.
    """
    row = call.world.contacts.get(key)
    if row is None:
        refuse(call.world.switches.ghl_missing_contact_status, f"Contact with id {key} not found")
    return row


def blank(world: World, source: str) -> Row:
    """A contact with nothing in it yet, made now."""
    moment = world.clock.now()
    at = contact_events.exact_instant(moment)
    return {
        "id": world.new_ghl_id(), "locationId": world.location["id"], "type": "lead", "tags": [], "customFields": {},
        "dnd": False, "dndSettings": {}, "dateAdded": at, "dateUpdated": at,
        "addedMs": int(moment.timestamp() * 1_000), "createdBy": source,
    }  # fmt: skip


def create(call: Call) -> Reply:
    """201, or 400 with `meta` when the location knows the address and forbids duplicates."""
    fresh = contact_writes.changes(call, {})
    if not call.world.switches.ghl_allow_duplicate_contact:
        found = dedupe.match(call.world, fresh.get("email"), fresh.get("phone"))
        if found is not None:
            dedupe.refuse_duplicate(call.world, found)
    row = blank(call.world, call.source) | fresh
    contact_events.save_new(call.world, row)
    shape = contact_shapes.got(call.world, row, v3=True) if call.v3 else contact_shapes.created(call.world, row)
    return Reply(201, {"contact": _answered(call, shape)})


def update(call: Call) -> Reply:
    """A partial update; `tags` and `dndSettings` in it replace what was there."""
    before = existing(call, call.ids[0])
    changed = contact_writes.changes(call, before)
    if not call.world.switches.ghl_allow_duplicate_contact:
        _settle_clash(call, changed, before["id"])
    row = contact_events.save_changed(call.world, before, changed, by=call.source)
    done = {"succeeded": True} if call.v3 else {"succeded": True}  # here the v3 spec has dropped the misspelt one
    return Reply(200, done | {"contact": _answered(call, contact_shapes.got(call.world, row, v3=call.v3))})


def _settle_clash(call: Call, changed: Row, key: str) -> None:
    """An address of somebody else in an update: refused, or by switch dropped in silence as an upsert does (#37)."""
    while found := dedupe.match(call.world, changed.get("email"), changed.get("phone"), leaving_out=key):
        if call.world.switches.ghl_put_clash == "rejected":
            dedupe.refuse_duplicate(call.world, found)
        changed.pop(found[1])


def upsert(call: Call) -> Reply:
    """Create, or update the first match; a second address that belongs to somebody else is dropped in silence (#37)."""
    fresh = contact_writes.changes(call, {})
    email, phone = fresh.get("email"), fresh.get("phone")
    if not email and not phone:
        refuse(400, "Email or phone is required to upsert a contact")
    always_new = (
        call.world.switches.ghl_allow_duplicate_contact and call.body.get("createNewIfDuplicateAllowed") is True
    )
    found = None if always_new else dedupe.match(call.world, email, phone)
    if found is None:
        row = blank(call.world, call.source) | fresh
        contact_events.save_new(call.world, row)
    else:
        row = _merge_into(call, *found)
    shape = contact_shapes.got(call.world, row, v3=call.v3)
    return Reply(200, {"new": found is None, "contact": _answered(call, shape)})


def _merge_into(call: Call, key: str, field: str) -> Row:
    before = call.world.contacts.rows[key]
    changed = contact_writes.changes(call, before)
    changed.pop("gender", None)  # accepted, and thrown away on an existing contact (#313)
    other = {"email": "phone", "phone": "email"}[field]
    values = {name: changed.get(name) if name == other else None for name in ("email", "phone")}
    if dedupe.match(call.world, values["email"], values["phone"], leaving_out=key) is not None:
        changed.pop(other)
    if field == "email" and changed["email"] != (before.get("email") or "").lower():
        changed |= _secondary_address(call, before, changed["email"])
    return contact_events.save_changed(call.world, before, changed, by=call.source)


def _secondary_address(call: Call, before: Row, email: str) -> Row:
    """Matched by an additional email: it becomes the primary one and the old primary is lost (#337)."""
    if not call.world.switches.ghl_secondary_email_swaps:
        return {"email": before.get("email")}
    return {"additionalEmails": [other for other in before.get("additionalEmails") or () if other != email]}


def _answered(call: Call, shape: Row) -> Row:
    """By switch, answers to writes lack `dndSettings`, which then is unknown to the caller."""
    if not call.world.switches.ghl_dnd_in_write_answers:
        shape.pop("dndSettings", None)
    return shape


def read(call: Call) -> Reply:
    """One contact."""
    return Reply(200, {"contact": contact_shapes.got(call.world, existing(call, call.ids[0]), v3=call.v3)})


def remove(call: Call) -> Reply:
    """Delete one contact."""
    contact_events.delete(call.world, existing(call, call.ids[0]))
    return Reply(200, call.done())


def listing(call: Call) -> Reply:
    """The deprecated list: newest first, at most 100, continued by `startAfter` and `startAfterId`."""
    limit = float(call.request.param("limit") or 20)
    if not 1 <= limit <= 100 or not limit.is_integer():
        refuse(422, ["limit must be an integer number and must not be greater than 100"])
    query = (call.request.param("query") or "").lower()
    seen = call.world.contacts.catch_up(call.world.clock.seconds())
    rows = sorted(
        (row for row in seen.values() if query in _haystack(row)), key=lambda row: (-row["addedMs"], row["id"])
    )
    total = len(rows)
    after, after_id = call.request.param("startAfter"), call.request.param("startAfterId")
    if after and after_id:
        rows = [row for row in rows if (-row["addedMs"], row["id"]) > (-int(float(after)), after_id)]
    shown = rows[: int(limit)]
    last = shown[-1] if len(rows) > limit else None
    meta = {
        "total": total, "nextPageUrl": None, "startAfterId": last and last["id"],
        "startAfter": last and last["addedMs"], "currentPage": 1, "nextPage": 2 if last else None, "prevPage": None,
    }  # fmt: skip
    return Reply(
        200,
        {
            "contacts": [contact_shapes.listed(call.world, row, v3=call.v3) for row in shown],
            "count": total,
            "meta": meta,
        },
    )


def of_business(call: Call) -> Reply:
    """Contacts of one business, by words, `limit` (25) and `skip`."""
    limit, skip = (call.request.param(name) or default for name, default in (("limit", "25"), ("skip", "0")))
    query = (call.request.param("query") or "").lower()
    rows = [
        row
        for row in call.world.contacts.rows.values()
        if row.get("businessId") == call.ids[0] and query in _haystack(row)
    ]
    shown = rows[int(skip) : int(skip) + int(limit)]
    return Reply(200, {"contacts": [contact_shapes.of_business(call.world, row) for row in shown], "count": len(rows)})


def _haystack(row: Row) -> str:
    return f"{dedupe.full_name(row)} {row.get('email') or ''} {row.get('phone') or ''}".lower()


ROUTES = (
    post("/contacts/", create, "contacts.write", body=contact_writes.CREATE),
    post("/contacts/upsert", upsert, "contacts.write", body=contact_writes.UPSERT),
    get("/contacts/", listing, "contacts.readonly", query=LIST),
    get("/contacts/business/{businessId}", of_business, "contacts.readonly", query=BUSINESS),
    get("/contacts/{contactId}", read, "contacts.readonly"),
    put("/contacts/{contactId}", update, "contacts.write", body=contact_writes.UPDATE),
    delete("/contacts/{contactId}", remove, "contacts.write"),
)
