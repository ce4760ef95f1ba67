"""Tags on contacts, singly and in bulk; businesses in bulk; tag definitions of the location (facts/ghl-api §8, §13).

Belongs here: what adds and removes tags. Does not belong here: `tags` inside contact bodies, which overwrite.
"""

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import contact_events, contacts
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.ghl.contact_writes import clean_tags
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_TAGS = {"tags": w.STRINGS.needed()}
_BULK = {
    "contacts": w.STRINGS.needed(),
    "tags": w.STRINGS.needed(),
    "locationId": w.STR.needed(),
    "removeAllTags": w.BOOL,
}
_BUSINESS = {
    "locationId": w.STR.needed(),
    "ids": w.STRINGS.needed(),
    "businessId": w.Field("a string", required=True, nullable=True),
}
_NAME = {"name": w.STR.needed()}
_MOST_IN_BUSINESS = 50
_MISSED: Row = {"message": "Something went wrong", "type": "error"}


def add(call: Call) -> Reply:
    """201 with the contact's tags after the call; only tags it did not have fire a trigger."""
    row = contacts.existing(call, call.ids[0])
    row = contact_events.save_changed(
        call.world, row, {"tags": clean_tags([*row["tags"], *call.body["tags"]])}, by=call.source
    )
    return Reply(201, {"tags": row["tags"]})


def remove(call: Call) -> Reply:
    """200 with the contact's tags after the call."""
    row = contacts.existing(call, call.ids[0])
    gone = set(clean_tags(call.body["tags"]))
    row = contact_events.save_changed(
        call.world, row, {"tags": [tag for tag in row["tags"] if tag not in gone]}, by=call.source
    )
    return Reply(200, {"tags": row["tags"]})


def bulk(call: Call) -> Reply:
    """201 even when some contacts fail; each is answered for."""
    kind = call.ids[0]
    if kind not in {"add", "remove"}:
        refuse(422, ["type must be one of the following values: add, remove"])
    if kind == "add" and "removeAllTags" in call.body:
        refuse(422, ["property removeAllTags should not exist"])
    keys: list[str] = call.body["contacts"]
    missed = set(keys[::2]) if "bulk_partial" in call.request.ignored else set[str]()
    answers = [_MISSED | {"contactId": key} if key in missed else _bulk_one(call, key, kind) for key in keys]
    errors = sum(answer["type"] == "error" for answer in answers)
    done = dict.fromkeys(call.done(), errors == 0)
    return Reply(201, done | {"errorCount": errors, "responses": answers})


def _bulk_one(call: Call, key: str, kind: str) -> Row:
    row = call.world.contacts.get(key)
    if row is None:
        if len(key) != 20 or not key.isalnum():
            message = "contact id is not a valid firebase id"
        elif key in call.world.contacts.deleted:
            message = "contact is deleted"
        else:
            message = "contact does not belong to location"
        return {"contactId": key, "message": message, "type": "error"}
    old, named = row["tags"], clean_tags(call.body["tags"])
    if kind == "add":
        new = clean_tags([*old, *named])
    else:
        new = [] if call.body.get("removeAllTags") else [tag for tag in old if tag not in named]
    contact_events.save_changed(call.world, row, {"tags": new}, by=call.source)
    added, removed = [tag for tag in new if tag not in old], [tag for tag in old if tag not in new]
    return {
        "contactId": key,
        "message": "Tags updated",
        "type": "success",
        "oldTags": old,
        "tagsAdded": added,
        "tagsRemoved": removed,
    }


def bulk_business(call: Call) -> Reply:
    """Put up to 50 contacts into a business, or take them out with null."""
    if len(call.body["ids"]) > _MOST_IN_BUSINESS:
        refuse(422, [f"ids must contain no more than {_MOST_IN_BUSINESS} elements"])
    known = [key for key in call.body["ids"] if key in call.world.contacts]
    for key in known:
        before, changed = call.world.contacts.rows[key], {"businessId": call.body["businessId"]}
        contact_events.save_changed(call.world, before, changed, by=call.source)
    return Reply(200, {"success": True, "ids": known})


# --- definitions ----------------------------------------------------------------------------------------------------


def list_definitions(call: Call) -> Reply:
    """All tag names of the location."""
    return Reply(200, {"tags": list(call.store("tags").rows.values())})


def create_definition(call: Call) -> Reply:
    """200. A definition keeps its case, so that names may differ only in it."""
    key = call.world.new_ghl_id()
    row = {"id": key, "name": call.body["name"], "locationId": call.ids[0]}
    call.store("tags").put(key, row)
    call.world.tag_names.add(row["name"])
    return Reply(200, {"tag": row})


def _definition(call: Call) -> Row:
    row = call.store("tags").get(call.ids[1])
    if row is None:
        refuse(400, f"Tag with id {call.ids[1]} not found")
    return row


def read_definition(call: Call) -> Reply:
    """One tag definition."""
    return Reply(200, {"tag": _definition(call)})


def rename_definition(call: Call) -> Reply:
    """Rename a definition; contacts keep what they have."""
    row = {**_definition(call), "name": call.body["name"]}
    call.store("tags").put(row["id"], row)
    call.world.tag_names.add(row["name"])
    return Reply(200, {"tag": row})


def delete_definition(call: Call) -> Reply:
    """Delete a definition."""
    row = _definition(call)
    call.store("tags").remove(row["id"])
    call.world.tag_names.discard(row["name"])
    return Reply(200, {"succeded": True})


ROUTES = (
    post("/contacts/{contactId}/tags", add, "contacts.write", body=_TAGS),
    delete("/contacts/{contactId}/tags", remove, "contacts.write", body=_TAGS),
    post("/contacts/bulk/tags/update/{type}", bulk, "contacts.write", body=_BULK),
    post("/contacts/bulk/business", bulk_business, "contacts.write", body=_BUSINESS),
    get("/locations/{locationId}/tags", list_definitions, "locations/tags.readonly"),
    post("/locations/{locationId}/tags", create_definition, "locations/tags.write", body=_NAME),
    get("/locations/{locationId}/tags/{tagId}", read_definition, "locations/tags.readonly"),
    put("/locations/{locationId}/tags/{tagId}", rename_definition, "locations/tags.write", body=_NAME),
    delete("/locations/{locationId}/tags/{tagId}", delete_definition, "locations/tags.write"),
)
