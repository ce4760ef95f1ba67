"""Appointments and block slots (facts/ghl-api §11).

Belongs here: creating, moving, cancelling, listing events, and what a notification would have been. Does not belong
here: calendars.
"""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl import calendars, contacts, dedupe
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

_READ, _WRITE = "calendars/events.readonly", "calendars/events.write"
_STATUSES = ("new", "confirmed", "cancelled", "showed", "noshow", "invalid")
_V3_STATUSES = (*_STATUSES, "completed", "active")
_UPDATE: w.Shape = {
    **dict.fromkeys(["title", "meetingLocationId", "assignedUserId", "description", "address", "rrule"], w.STR),
    **dict.fromkeys(["overrideLocationConfig", "ignoreDateRange", "toNotify", "ignoreFreeSlotValidation"], w.BOOL),
    **dict.fromkeys(["calendarId", "startTime", "endTime"], w.STR),
    "meetingLocationType": w.choice("custom", "zoom", "gmeet", "phone", "address", "ms_teams", "google"),
    "appointmentStatus": w.choice(*_V3_STATUSES),
}  # fmt: skip
_CREATE: w.Shape = {**_UPDATE, **dict.fromkeys(["calendarId", "locationId", "contactId", "startTime"], w.STR.needed())}
_BLOCK: w.Shape = dict.fromkeys(["title", "calendarId", "assignedUserId", "startTime", "endTime"], w.STR) | {
    "locationId": w.STR.needed()
}
_LIST: w.Shape = {
    "locationId": w.STR.needed(), "calendarId": w.STR, "userId": w.STR, "groupId": w.STR, "startTime": w.STR.needed(),
    "endTime": w.STR.needed(),
}  # fmt: skip
_WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_KEPT = (
    "title",
    "appointmentStatus",
    "assignedUserId",
    "description",
    "address",
    "meetingLocationType",
    "rrule",
    "calendarId",
)


def existing(call: Call, key: str, kind: str = "appointment") -> Row:
    """The event, or the vendor's refusal with the status of the switch."""
    row = call.store("events").get(key)
    if row is None or row["kind"] != kind:
        refuse(call.world.switches.ghl_missing_contact_status, "The event id is invalid")
    return row


def create(call: Call) -> Reply:
    """200 with the flat appointment; creating twice makes two."""
    body = call.body
    calendar = calendars.existing(call, body["calendarId"])
    contact = contacts.existing(call, body["contactId"])
    now = call.now()
    row: Row = {
        "id": call.world.new_ghl_id(), "kind": "appointment", "locationId": body["locationId"],
        "contactId": contact["id"], "title": dedupe.full_name(contact) or calendar["name"],
        "appointmentStatus": "confirmed" if calendar["autoConfirm"] else "new", "users": [],
        "groupId": calendar.get("groupId") or "", "dateAdded": now, "dateUpdated": now, "address": "",
        "deleted": False, "createdBy": {"source": call.source} | ({"userId": call.user_id} if call.user_id else {}),
    }  # fmt: skip
    row = _written(call, row, calendar)
    call.store("events").put(row["id"], row)
    _happened(call.world, "AppointmentCreate", row, notify=body.get("toNotify", True))
    return Reply(200, _flat(call, row))


def update(call: Call) -> Reply:
    """A partial update; the contact cannot change."""
    before = existing(call, call.ids[0])
    calendar = calendars.existing(call, call.body.get("calendarId", before["calendarId"]))
    row = _written(call, before, calendar)
    if any(row.get(name) != before.get(name) for name in (*_KEPT, "startMs", "endMs")):
        row["dateUpdated"] = call.now()
        row["notified"] = call.body.get("toNotify", True)
        call.store("events").put(row["id"], row)
        _happened(call.world, "AppointmentUpdate", row, notify=row["notified"])
    return Reply(200, _flat(call, row))


def _written(call: Call, before: Row, calendar: Row) -> Row:
    """The event with the body's values, checked against the calendar."""
    body = call.body
    if body.get("appointmentStatus") in {"completed", "active"} and not call.v3:
        refuse(422, [f"appointmentStatus must be one of {', '.join(_STATUSES)}"])
    row = {**before, **{name: body[name] for name in _KEPT if name in body}}
    start = _instant(body["startTime"], "startTime") if "startTime" in body else _stored(before, "startMs")
    if "endTime" in body:
        end = _instant(body["endTime"], "endTime")
    elif "startTime" in body:
        length = (
            before["endMs"] - before["startMs"]
            if "endMs" in before
            else calendars.slot_length(calendar).total_seconds() * 1_000
        )
        end = start + timedelta(milliseconds=length)
    else:
        end = _stored(before, "endMs")
    if end < start:
        refuse(422, ["endTime must be after startTime"])
    row |= {"startMs": round(start.timestamp() * 1_000), "endMs": round(end.timestamp() * 1_000)}
    if "rrule" in body and not body.get("ignoreFreeSlotValidation"):
        row["rrule"] = before.get("rrule")  # applied only where slot validation is skipped
    row["isRecurring"] = bool(row.get("rrule"))
    row["notified"] = body.get("toNotify", True)
    row["assignedUserId"] = _member(call, row, calendar, start, end)
    if "address" in body and "meetingLocationType" not in body:
        row["meetingLocationType"] = "custom"
    return row


def _member(call: Call, row: Row, calendar: Row, start: datetime, end: datetime) -> str:
    """Who does it; with slot validation somebody free must be found, without it somebody must be named."""
    wish = row.get("assignedUserId")
    members = [member["userId"] for member in calendar["teamMembers"]]
    assigned = not {"assignedUserId", "calendarId"}.isdisjoint(call.body)
    if wish is not None and assigned and wish not in members:
        refuse(422, ["assignedUserId is not a team member of this calendar"])
    if call.body.get("ignoreFreeSlotValidation"):
        if wish is None:
            refuse(422, "A team member needs to be selected. assignedUserId is missing")
        return wish
    moved = not {"startTime", "endTime", "calendarId", "assignedUserId"}.isdisjoint(call.body)
    if wish is not None and "startMs" in row and not moved:
        return wish
    zone = ZoneInfo(call.world.location["timezone"])
    dated = call.body.get("ignoreDateRange") or calendars.in_booking_window(call.world, calendar, start)
    events = calendars.busy_between(call.world, start, end, leaving_out=row["id"])
    free = calendars.free_member(calendar, events, start, end, only=wish)
    if free is None or not dated or not calendars.is_open(calendar, start, zone):
        status = call.world.switches.ghl_slot_taken_status
        message = "The slot you have selected is no longer available."
        refuse(
            status,
            [message] if status == 422 else message,
            error="Bad Request" if status == 400 else "Unprocessable Entity",
        )
    return free


def _instant(text: str, name: str) -> datetime:
    """ISO 8601 with an offset; a naive time answers 422 (ASSUMED status)."""
    if not _WITH_OFFSET.fullmatch(text):
        refuse(422, [f"{name} must be a valid ISO 8601 date string with an offset"])
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        refuse(422, [f"{name} must be a valid ISO 8601 date string with an offset"])


def _stored(row: Row, name: str) -> datetime:
    return datetime.fromtimestamp(row[name] / 1_000).astimezone()


def _happened(world: World, kind: str, row: Row, *, notify: bool) -> None:
    contact = world.contacts.get(row["contactId"])
    if contact is not None:
        detail = f"{kind} {row['id']} {row['appointmentStatus']}"
        world.automations.fire("appointment", contact, at=row["dateUpdated"], detail=detail, notify=notify)
    world.webhooks.appointment(kind, row)


# --- reading --------------------------------------------------------------------------------------------------------


def _iso(world: World, milliseconds: int) -> str:
    """An instant with the offset of the location's zone."""
    return datetime.fromtimestamp(milliseconds / 1_000, ZoneInfo(world.location["timezone"])).isoformat()


def _flat(call: Call, row: Row) -> Row:
    """The answer to create and update: no wrapper, and dates of its own only under v3 (#246)."""
    names = (
        "id",
        "calendarId",
        "locationId",
        "contactId",
        "title",
        "meetingLocationType",
        "appointmentStatus",
        "assignedUserId",
        "address",
    )
    shape = {name: row[name] for name in names if row.get(name) is not None}
    shape |= {
        "startTime": _iso(call.world, row["startMs"]),
        "endTime": _iso(call.world, row["endMs"]),
        "isRecurring": row["isRecurring"],
    }
    if row["isRecurring"]:
        shape["rrule"] = row["rrule"]
    return shape | ({"dateAdded": row["dateAdded"], "dateUpdated": row["dateUpdated"]} if call.v3 else {})


def _event(call: Call, row: Row) -> Row:
    """The shape of get and list."""
    names = (
        "id", "address", "title", "calendarId", "locationId", "contactId", "groupId", "appointmentStatus",
        "assignedUserId", "users", "description", "isRecurring", "rrule", "dateAdded", "dateUpdated", "createdBy",
    )  # fmt: skip
    shape = {name: row[name] for name in names if row.get(name) is not None}
    shape |= {
        "startTime": _iso(call.world, row["startMs"]),
        "endTime": _iso(call.world, row["endMs"]),
        "assignedResources": [],
    }
    return shape | ({"deleted": row["deleted"]} if call.v3 else {})


def read(call: Call) -> Reply:
    """One appointment in its wrapper, whose name one repository disputes."""
    return Reply(200, {call.world.switches.ghl_appointment_wrapper: _event(call, existing(call, call.ids[0]))})


_OF_CONTACT = frozenset({
    "id", "calendarId", "title", "assignedUserId", "notes", "address", "locationId", "contactId", "groupId",
    "appointmentStatus", "users", "assignedResources",
})  # fmt: skip


def of_contact(call: Call) -> Reply:
    """A contact's appointments with naive local times, in the location's zone."""
    contacts.existing(call, call.ids[0])
    zone = ZoneInfo(call.world.location["timezone"])

    def naive(value: Any) -> str:
        stamp = value / 1_000 if isinstance(value, int) else datetime.fromisoformat(value).timestamp()
        return datetime.fromtimestamp(stamp, zone).strftime("%Y-%m-%d %H:%M:%S")

    events = [
        {name: value for name, value in _event(call, row).items() if name in _OF_CONTACT}
        | {"status": "booked", "startTime": naive(row["startMs"]), "endTime": naive(row["endMs"])}
        | {name: naive(row[name]) for name in ("dateAdded", "dateUpdated")}
        for row in call.store("events").rows.values()
        if row.get("contactId") == call.ids[0] and row["kind"] == "appointment"
    ]
    return Reply(200, {"events": events})


def list_events(call: Call) -> Reply:
    """Appointments that start in a window of epoch milliseconds, of one calendar, user or group."""
    return Reply(200, {"events": [_event(call, row) for row in _between(call, "appointment")]})


def list_blocks(call: Call) -> Reply:
    """Block slots, asked for the same way."""
    return Reply(200, {"events": [_block_event(call, row) for row in _between(call, "block")]})


def _between(call: Call, kind: str) -> list[Row]:
    chosen = [
        (name, call.request.param(name)) for name in ("calendarId", "userId", "groupId") if call.request.param(name)
    ]
    if not chosen:
        refuse(400, "Either of userId, groupId or calendarId is required")
    start, end = (_epoch(call, name) for name in ("startTime", "endTime"))
    cap = call.world.switches.ghl_event_range_days
    if end < start or (cap and end - start > cap * 86_400_000):
        refuse(400, "The date range is invalid")
    keys = {"calendarId": "calendarId", "userId": "assignedUserId", "groupId": "groupId"}
    rows = [row for row in call.store("events").rows.values() if row["kind"] == kind and start <= row["startMs"] <= end]
    return [row for row in rows if all(row.get(keys[name]) == value for name, value in chosen)]


def _epoch(call: Call, name: str) -> int:
    text = call.request.param(name) or ""
    if not re.fullmatch(r"-?\d{1,15}", text):
        refuse(422, [f"{name} must be a time in milliseconds"])
    return int(text)


def remove(call: Call) -> Reply:
    """201 (or 200, by switch); an appointment that was not cancelled first tells the client (there is no `toNotify` here)."""
    row = call.store("events").get(call.ids[0])
    if row is None:
        refuse(call.world.switches.ghl_missing_contact_status, "The event id is invalid")
    call.store("events").remove(row["id"])
    if row["kind"] == "appointment":
        changed: Row = row | {"dateUpdated": call.now()}
        coming = row["startMs"] > call.world.clock.seconds() * 1_000 and row["appointmentStatus"] != "cancelled"
        _happened(call.world, "AppointmentDelete", changed, notify=coming)
    return Reply(call.world.switches.ghl_event_delete_status, {"succeeded": True})


# --- block slots ----------------------------------------------------------------------------------------------------


def create_block(call: Call) -> Reply:
    """201; a calendar or a user, not both (spec and text disagree, facts/ghl-api §16)."""
    if ("calendarId" in call.body) == ("assignedUserId" in call.body):
        refuse(422, ["Either calendarId or assignedUserId is required, not both"])
    if not {"startTime", "endTime"} <= set(call.body):
        refuse(422, ["startTime and endTime must be strings"])
    now = call.now()
    row: Row = {
        "id": call.world.new_ghl_id(),
        "kind": "block",
        "title": "",
        "dateAdded": now,
        "dateUpdated": now,
        "assignedUserId": None,
    }
    return _save_block(call, row)


def update_block(call: Call) -> Reply:
    """201 as well."""
    return _save_block(call, existing(call, call.ids[0], "block"))


def _save_block(call: Call, before: Row) -> Reply:
    body = call.body
    if "calendarId" in body:
        calendars.existing(call, body["calendarId"])
    if "assignedUserId" in body and body["assignedUserId"] not in call.store("users"):
        refuse(400, f"User with id {body['assignedUserId']} not found")
    row = {
        **before,
        **{name: body[name] for name in ("title", "calendarId", "assignedUserId", "locationId") if name in body},
    }
    for name, stored in (("startTime", "startMs"), ("endTime", "endMs")):
        if name in body:
            row[stored] = round(_instant(body[name], name).timestamp() * 1_000)
    if row["endMs"] <= row["startMs"]:
        refuse(422, ["endTime must be after startTime"])
    call.store("events").put(row["id"], row)
    return Reply(201, _block(call, row))


def _block(call: Call, row: Row) -> Row:
    shape = {
        name: row[name]
        for name in ("id", "locationId", "title", "calendarId", "assignedUserId")
        if row.get(name) is not None
    }
    return shape | {"startTime": _iso(call.world, row["startMs"]), "endTime": _iso(call.world, row["endMs"])}


def _block_event(call: Call, row: Row) -> Row:
    """The list reuses the shape of appointments, whose other required properties are empty here (ASSUMED)."""
    empty: Row = {
        "contactId": "",
        "groupId": "",
        "calendarId": "",
        "appointmentStatus": "",
        "assignedUserId": "",
        "users": [],
    }
    return empty | _block(call, row) | {"dateAdded": row["dateAdded"], "dateUpdated": row["dateUpdated"]}


ROUTES = (
    post("/calendars/events/appointments", create, _WRITE, body=_CREATE),
    put("/calendars/events/appointments/{eventId}", update, _WRITE, body=_UPDATE),
    get("/calendars/events/appointments/{eventId}", read, _READ),
    delete("/calendars/events/{eventId}", remove, _WRITE, body={}),
    get("/calendars/events", list_events, _READ, query=_LIST),
    get("/calendars/blocked-slots", list_blocks, _READ, query=_LIST),
    post("/calendars/events/block-slots", create_block, _WRITE, body=_BLOCK),
    put("/calendars/events/block-slots/{eventId}", update_block, _WRITE, body=_BLOCK),
    get("/contacts/{contactId}/appointments", of_contact, "contacts.readonly"),
)
