"""Custom field definitions of contacts (facts/ghl-api §9.1).

Belongs here: definitions. Does not belong here: values on contacts (`contact_writes.py`, `values.py`).
"""

import re
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

DATA_TYPES = frozenset({
    "TEXT", "LARGE_TEXT", "NUMERICAL", "PHONE", "MONETORY", "CHECKBOX", "SINGLE_OPTIONS", "MULTIPLE_OPTIONS", "DATE",
    "TEXTBOX_LIST", "FILE_UPLOAD", "RADIO", "EMAIL",
})  # fmt: skip
_UPDATE: w.Shape = {
    "name": w.STR.needed(), "placeholder": w.STR, "acceptedFormat": w.STRINGS, "isMultipleFile": w.BOOL,
    "maxNumberOfFiles": w.NUMBER, "textBoxListOptions": w.list_of(label=w.STR, prefillValue=w.STR), "position": w.NUMBER,
    "model": w.choice("contact", "opportunity"), "options": w.STRINGS, "parentId": w.STR,
}  # fmt: skip
_CREATE: w.Shape = {**_UPDATE, "dataType": w.STR.needed()}
_READ, _WRITE = "locations/customFields.readonly", "locations/customFields.write"


def list_fields(call: Call) -> Reply:
    """All definitions, without paging; `model` contact (default), opportunity or all."""
    model = call.request.param("model") or "contact"
    rows = call.store("fields").rows.values()
    return Reply(200, {"customFields": [_shown(row) for row in rows if model in {"all", row["model"]}]})


def create_field(call: Call) -> Reply:
    """201; a name or key that exists answers 400 (ASSUMED status), an unknown data type 422."""
    return Reply(201, {"customField": _shown(make_field(call.world, call.body, by=call.source))})


def make_field(world: World, body: Row, *, by: str) -> Row:
    """A definition that the API or a person makes; the row, which says by whom (no answer of GHL does).

    Raises:
        Refusal: the name or key exists, whatever its type, or there is no such data type.
    """
    if body["dataType"] not in DATA_TYPES:
        refuse(422, ["dataType must be a valid enum value"])
    name, model = body["name"], body.get("model", "contact")
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    key = f"{model}.{slug}"
    if not slug or any(row["fieldKey"] == key or row["name"] == name for row in world.ghl["fields"].rows.values()):
        refuse(400, f"Custom field with name {name} already exists")
    row: Row = {
        "id": world.new_ghl_id(), "name": name, "fieldKey": key, "placeholder": body.get("placeholder", ""),
        "dataType": body["dataType"], "position": body.get("position", 0),
        "picklistOptions": _options(body), "picklistImageOptions": [], "isAllowedCustomOption": False,
        "isMultiFileAllowed": body.get("isMultipleFile", False),
        "maxFileLimit": body.get("maxNumberOfFiles", 1), "locationId": world.location["id"], "model": model,
        "createdBy": by,
    }  # fmt: skip
    world.ghl["fields"].put(row["id"], row)
    return row


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "createdBy"}


def _options(body: Row) -> list[str]:
    boxes: list[Any] = body.get("textBoxListOptions", [])
    return body.get("options") or [box["label"] for box in boxes if "label" in box]


def _field(call: Call) -> Row:
    """By id, or by key."""
    wanted = call.ids[1]
    found = next((row for row in call.store("fields").rows.values() if wanted in {row["id"], row["fieldKey"]}), None)
    if found is None:
        refuse(400, f"Custom field with id {wanted} not found")
    return found


def read_field(call: Call) -> Reply:
    """One definition."""
    return Reply(200, {"customField": _shown(_field(call))})


def update_field(call: Call) -> Reply:
    """Everything but the type; the key outlives a rename."""
    changed = {name: call.body[name] for name in ("name", "placeholder", "position") if name in call.body}
    if options := _options(call.body):
        changed["picklistOptions"] = options
    row = {**_field(call), **changed}
    call.store("fields").put(row["id"], row)
    return Reply(200, {"customField": _shown(row)})


def delete_field(call: Call) -> Reply:
    """Delete a definition; its values on contacts are no longer shown by key anywhere, so they go too."""
    row = _field(call)
    call.store("fields").remove(row["id"])
    for contact in list(call.world.contacts.rows.values()):
        if row["id"] in contact["customFields"]:
            rest = {key: value for key, value in contact["customFields"].items() if key != row["id"]}
            call.world.contacts.put(contact["id"], {**contact, "customFields": rest})
    return Reply(200, {"succeded": True})  # v3 too: only the contacts module has learnt to spell


ROUTES = (
    get(
        "/locations/{locationId}/customFields",
        list_fields,
        _READ,
        query={"model": w.choice("contact", "opportunity", "all")},
    ),
    post("/locations/{locationId}/customFields", create_field, _WRITE, body=_CREATE),
    get("/locations/{locationId}/customFields/{id}", read_field, _READ),
    put("/locations/{locationId}/customFields/{id}", update_field, _WRITE, body=_UPDATE),
    delete("/locations/{locationId}/customFields/{id}", delete_field, _WRITE),
)
