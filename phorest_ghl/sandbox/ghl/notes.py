"""Notes, tasks, followers, workflows and campaigns of a contact (facts/ghl-api §5.1, §8.3, §8.4).

Belongs here: what hangs on a contact. Does not belong here: notes of appointments (`event_notes.py`).
"""

from collections.abc import Callable

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import contact_events, contacts
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_NOTE: w.Shape = {"userId": w.STR, "body": w.STR, "title": w.STR, "color": w.STR, "pinned": w.BOOL}
_NEW_NOTE: w.Shape = {**_NOTE, "body": w.STR.needed()}
_TASK: w.Shape = {"title": w.STR, "body": w.STR, "dueDate": w.STR, "completed": w.BOOL, "assignedTo": w.STR}
_NEW_TASK: w.Shape = {**_TASK, "title": w.STR.needed(), "dueDate": w.STR.needed(), "completed": w.BOOL.needed()}
_DONE: w.Shape = {"completed": w.BOOL.needed()}
_FOLLOWERS: w.Shape = {"followers": w.STRINGS.needed()}
_ENROL: w.Shape = {"eventStartTime": w.STR}
_SEARCH: w.Shape = {
    "contactId": w.STRINGS, "completed": w.BOOL, "assignedTo": w.STRINGS, "query": w.STR, "limit": w.NUMBER,
    "skip": w.NUMBER, "businessId": w.STR,
}  # fmt: skip
_READ, _WRITE = "contacts.readonly", "contacts.write"


def _child(call: Call, name: str) -> Row:
    """A note or task of this contact."""
    contacts.existing(call, call.ids[0])
    row = call.store(name).get(call.ids[1])
    if row is None or row["contactId"] != call.ids[0]:
        refuse(400, f"{name[:-1].title()} with id {call.ids[1]} not found")
    return row


def _list(name: str) -> Callable[[Call], Reply]:
    def handle(call: Call) -> Reply:
        contacts.existing(call, call.ids[0])
        return Reply(
            200,
            {name: [_shown(call, row) for row in call.store(name).rows.values() if row["contactId"] == call.ids[0]]},
        )

    return handle


def _shown(call: Call, row: Row) -> Row:
    """A note's body may read back as HTML beside its plain text (ASSUMED, by switch)."""
    if call.world.switches.ghl_notes_as_html and "dueDate" not in row:
        return {**row, "body": f"<p>{row['body']}</p>", "bodyText": row["body"]}
    return dict(row)


def _read(name: str) -> Callable[[Call], Reply]:
    return lambda call: Reply(200, {name[:-1]: _shown(call, _child(call, name))})


def _remove(name: str) -> Callable[[Call], Reply]:
    def handle(call: Call) -> Reply:
        row = _child(call, name)
        call.store(name).remove(row["id"])
        _tell(call, name, "Delete", row)
        return Reply(200, call.done())

    return handle


def _update(name: str) -> Callable[[Call], Reply]:
    def handle(call: Call) -> Reply:
        before = _child(call, name)
        row = {**before, **call.body}
        call.store(name).put(row["id"], row)
        if name == "notes":
            _tell(call, name, "Update", row)
        elif row["completed"] and not before["completed"]:
            _tell(call, name, "Complete", row)
        return Reply(200, {name[:-1]: _shown(call, row)})

    return handle


def _tell(call: Call, name: str, what: str, row: Row) -> None:
    if name == "notes":
        call.world.webhooks.note(f"Note{what}", row)
    else:
        call.world.webhooks.task(f"Task{what}", row)


def create_note(call: Call) -> Reply:
    """201; nothing stops the same note from being made twice."""
    contact = contacts.existing(call, call.ids[0])
    row: Row = {"id": call.world.new_ghl_id(), "contactId": contact["id"], "dateAdded": call.now(), **call.body}
    call.store("notes").put(row["id"], row)
    call.world.automations.fire("note", contact, at=row["dateAdded"])
    _tell(call, "notes", "Create", row)
    return Reply(201, {"note": _shown(call, row)})


def create_task(call: Call) -> Reply:
    """201."""
    contact = contacts.existing(call, call.ids[0])
    row: Row = {"id": call.world.new_ghl_id(), "contactId": contact["id"], **call.body}
    call.store("tasks").put(row["id"], row)
    _tell(call, "tasks", "Create", row)
    return Reply(201, {"task": dict(row)})


def search_tasks(call: Call) -> Reply:
    """Tasks of the whole location, by contact, assignee and completion."""
    body = call.body
    rows = list(call.store("tasks").rows.values())
    for name, key in (("contactId", "contactId"), ("assignedTo", "assignedTo")):
        if body.get(name):
            rows = [row for row in rows if row.get(key) in body[name]]
    if "completed" in body:
        rows = [row for row in rows if row["completed"] == body["completed"]]
    words = body.get("query", "").lower()
    rows = [row for row in rows if words in f"{row['title']} {row.get('body', '')}".lower()]
    skip = int(body.get("skip", 0))
    return Reply(200, {"tasks": rows[skip : skip + int(body.get("limit", 25))]})


def add_followers(call: Call) -> Reply:
    """201 with all followers and the new ones."""
    contact = contacts.existing(call, call.ids[0])
    held: list[str] = contact.get("followers") or []
    added = [key for key in dict.fromkeys(call.body["followers"]) if key not in held]
    contact_events.save_changed(call.world, contact, {"followers": [*held, *added]}, by=call.source)
    return Reply(201, {"followers": [*held, *added], "followersAdded": added})


def remove_followers(call: Call) -> Reply:
    """200 with the followers that are left and those that are gone."""
    contact = contacts.existing(call, call.ids[0])
    held: list[str] = contact.get("followers") or []
    left = [key for key in held if key not in call.body["followers"]]
    contact_events.save_changed(call.world, contact, {"followers": left}, by=call.source)
    return Reply(200, {"followers": left, "followersRemoved": [key for key in held if key not in left]})


def _acknowledge(status: int) -> Callable[[Call], Reply]:
    """Enrolment in workflows and campaigns: taken, and without effect on what the sandbox's workflows do."""

    def handle(call: Call) -> Reply:
        contacts.existing(call, call.ids[0])
        return Reply(status, call.done())

    return handle


ROUTES = (
    get("/contacts/{contactId}/notes", _list("notes"), _READ),
    post("/contacts/{contactId}/notes", create_note, _WRITE, body=_NEW_NOTE),
    get("/contacts/{contactId}/notes/{id}", _read("notes"), _READ),
    put("/contacts/{contactId}/notes/{id}", _update("notes"), _WRITE, body=_NOTE),
    delete("/contacts/{contactId}/notes/{id}", _remove("notes"), _WRITE),
    get("/contacts/{contactId}/tasks", _list("tasks"), _READ),
    post("/contacts/{contactId}/tasks", create_task, _WRITE, body=_NEW_TASK),
    get("/contacts/{contactId}/tasks/{taskId}", _read("tasks"), _READ),
    put("/contacts/{contactId}/tasks/{taskId}", _update("tasks"), _WRITE, body=_TASK),
    put("/contacts/{contactId}/tasks/{taskId}/completed", _update("tasks"), _WRITE, body=_DONE),
    delete("/contacts/{contactId}/tasks/{taskId}", _remove("tasks"), _WRITE),
    post("/locations/{locationId}/tasks/search", search_tasks, "locations/tasks.readonly", body=_SEARCH),
    post("/contacts/{contactId}/followers", add_followers, _WRITE, body=_FOLLOWERS),
    delete("/contacts/{contactId}/followers", remove_followers, _WRITE, body=_FOLLOWERS),
    post("/contacts/{contactId}/workflow/{workflowId}", _acknowledge(200), _WRITE, body=_ENROL),
    delete("/contacts/{contactId}/workflow/{workflowId}", _acknowledge(200), _WRITE, body=_ENROL),
    post("/contacts/{contactId}/campaigns/{campaignId}", _acknowledge(201), _WRITE, body={}),
    delete("/contacts/{contactId}/campaigns/{campaignId}", _acknowledge(200), _WRITE),
    delete("/contacts/{contactId}/campaigns/removeAll", _acknowledge(200), _WRITE),
    delete("/contacts/{contactId}/campaigns/remove-all", _acknowledge(200), _WRITE, v3_only=True),
)
