"""Notes of appointments (facts/ghl-api §12.5).

Belongs here: these four operations. Does not belong here: notes of contacts, which have other limits.
"""

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import events
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_READ, _WRITE = "calendars/events.readonly", "calendars/events.write"
_BODY: w.Shape = {"userId": w.STR, "body": w.STR.needed()}
_MOST, _LONGEST = 20, 5_000
_PATH = "/calendars/appointments/{appointmentId}/notes"


def list_notes(call: Call) -> Reply:
    """At most 20 from an offset, and whether there are more."""
    key = events.existing(call, call.ids[0])["id"]
    limit, offset = (int(float(call.request.param(name) or 0)) for name in ("limit", "offset"))
    if not 1 <= limit <= _MOST:
        refuse(422, [f"limit must not be greater than {_MOST}"])
    rows = [row for row in call.store("event_notes").rows.values() if row["appointmentId"] == key]
    return Reply(
        200, {"notes": [_shown(row) for row in rows[offset : offset + limit]], "hasMore": len(rows) > offset + limit}
    )


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "appointmentId"}


def create_note(call: Call) -> Reply:
    """201; at most 5,000 characters."""
    event = events.existing(call, call.ids[0])
    _check(call)
    row: Row = {
        "id": call.world.new_ghl_id(), "appointmentId": event["id"], "contactId": event["contactId"],
        "dateAdded": call.now(), "createdBy": {"id": call.user_id or "", "name": call.source}, **call.body,
    }  # fmt: skip
    call.store("event_notes").put(row["id"], row)
    return Reply(201, {"note": _shown(row)})


def _check(call: Call) -> None:
    if len(call.body["body"]) > _LONGEST:
        refuse(422, [f"body must be shorter than or equal to {_LONGEST} characters"])


def _note(call: Call) -> Row:
    event = events.existing(call, call.ids[0])
    row = call.store("event_notes").get(call.ids[1])
    if row is None or row["appointmentId"] != event["id"]:
        refuse(400, "The note id is invalid")
    return row


def update_note(call: Call) -> Reply:
    """Another text."""
    _check(call)
    row = {**_note(call), **call.body}
    call.store("event_notes").put(row["id"], row)
    return Reply(200, {"note": _shown(row)})


def delete_note(call: Call) -> Reply:
    """`{success: true}`, unlike any other delete."""
    call.store("event_notes").remove(_note(call)["id"])
    return Reply(200, {"success": True})


ROUTES = (
    get(_PATH, list_notes, _READ, query={"limit": w.NUMBER.needed(), "offset": w.NUMBER.needed()}),
    post(_PATH, create_note, _WRITE, body=_BODY),
    put(_PATH + "/{noteId}", update_note, _WRITE, body=_BODY),
    delete(_PATH + "/{noteId}", delete_note, _WRITE),
)
