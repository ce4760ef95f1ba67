"""Calendars, groups and free slots (facts/ghl-api §12).

Belongs here: calendars and what is free in them. Does not belong here: what is booked (`events.py`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.calendar_bodies import CREATE, UPDATE
from phorest_ghl.sandbox.ghl.common import Call, delete, get, post, put, refuse
from phorest_ghl.sandbox.store import Row, Store
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

_READ, _WRITE = "calendars.readonly", "calendars.write"
_GROUP_READ, _GROUP_WRITE = "calendars/groups.readonly", "calendars/groups.write"
_LIST: w.Shape = {"locationId": w.STR.needed(), "groupId": w.STR, "showDrafted": w.BOOL}
_SLOTS: w.Shape = {
    "startDate": w.NUMBER.needed(), "endDate": w.NUMBER.needed(), "timezone": w.STR, "userId": w.STR,
    "userIds": w.STRINGS,
}  # fmt: skip
_GROUP: w.Shape = {"name": w.STR.needed(), "description": w.STR.needed(), "slug": w.STR.needed()}
_NEW_GROUP: w.Shape = {**_GROUP, "locationId": w.STR.needed(), "isActive": w.BOOL}
_UNIT_DAYS = {"mins": 1 / 1440, "hours": 1 / 24, "days": 1, "weeks": 7, "months": 30}
_LONGEST_DAYS = 31
DEFAULTS: Row = {
    "description": "", "calendarType": "round_robin", "widgetType": "classic", "eventTitle": "{{contact.name}}",
    "eventColor": "#039be5", "eventType": "RoundRobin_OptimizeForAvailability", "teamMembers": [], "slotDuration": 30,
    "slotDurationUnit": "mins", "slotInterval": 30, "slotIntervalUnit": "mins", "slotBuffer": 0, "preBuffer": 0,
    "appoinmentPerSlot": 1, "appoinmentPerDay": 0, "allowBookingAfter": 0, "allowBookingAfterUnit": "hours",
    "allowBookingFor": 90, "allowBookingForUnit": "days", "openHours": [], "autoConfirm": True, "isActive": True,
    "allowReschedule": True, "allowCancellation": True, "enableRecurring": False,
}  # fmt: skip


def existing(call: Call, key: str) -> Row:
    """The calendar, or 400."""
    row = call.store("calendars").get(key)
    if row is None:
        refuse(400, f"Calendar with id {key} not found")
    return row


def list_calendars(call: Call) -> Reply:
    """All calendars, drafts too unless `showDrafted=false`."""
    group, drafts = call.request.param("groupId"), call.request.param("showDrafted") != "false"
    rows = [row for row in call.store("calendars").rows.values() if drafts or row["isActive"]]
    return Reply(200, {"calendars": [row for row in rows if group in {None, row.get("groupId")}]})


def read_calendar(call: Call) -> Reply:
    """One calendar."""
    return Reply(200, {"calendar": dict(existing(call, call.ids[0]))})


def create_calendar(call: Call) -> Reply:
    """200 with the calendar; unknown team members are 400."""
    _check(call)
    key = call.world.new_ghl_id()
    row = {"id": key, **DEFAULTS, "slug": f"calendar-{key.lower()}", **call.body}
    call.store("calendars").put(key, row)
    return Reply(200, {"calendar": dict(row)})


def update_calendar(call: Call) -> Reply:
    """A partial update; a list or an object in it replaces what was there."""
    _check(call)
    row = {**existing(call, call.ids[0]), **call.body}
    call.store("calendars").put(row["id"], row)
    return Reply(200, {"calendar": dict(row)})


def _check(call: Call) -> None:
    if call.body.get("allowBookingAfterUnit") == "mins" and not call.v3:
        refuse(422, ["allowBookingAfterUnit must be one of hours, days, weeks, months"])  # mins came with v3
    for member in call.body.get("teamMembers", ()):
        if member.get("userId") not in call.store("users"):
            refuse(400, f"User with id {member.get('userId')} not found")


def delete_calendar(call: Call) -> Reply:
    """Delete a calendar with its events."""
    row = existing(call, call.ids[0])
    events = call.store("events")
    for key in [key for key, event in events.rows.items() if event.get("calendarId") == row["id"]]:
        events.remove(key)
    call.store("calendars").remove(row["id"])
    return Reply(200, {"success": True})


# --- slots ----------------------------------------------------------------------------------------------------------


def free_slots(call: Call) -> Reply:
    """Free starts per local day in at most 31 days."""
    calendar = existing(call, call.ids[0])
    start, end = (_moment(call, name) for name in ("startDate", "endDate"))
    if end <= start or end - start > timedelta(days=_LONGEST_DAYS):
        refuse(400, f"The date range must not exceed {_LONGEST_DAYS} days")
    name = call.request.param("timezone") or call.world.location["timezone"]
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name is too long for a file
        refuse(422, ["timezone must be a valid IANA time zone"])
    user = call.request.param("userId")
    days: dict[str, Any] = {}
    events = busy_between(call.world, start, end + slot_length(calendar))
    for slot in _starts(call.world, calendar, start, end):
        if free_member(calendar, events, slot, slot + slot_length(calendar), only=user) is not None:
            local = slot.astimezone(zone)
            days.setdefault(local.date().isoformat(), {"slots": []})["slots"].append(local.isoformat())
    return Reply(200, days)


def _moment(call: Call, name: str) -> datetime:
    zone = ZoneInfo(call.world.location["timezone"])
    return datetime.fromtimestamp(float(call.request.param(name) or 0) / 1_000, zone)


def slot_length(calendar: Row) -> timedelta:
    """The length of one slot."""
    return timedelta(days=calendar["slotDuration"] * _UNIT_DAYS[calendar.get("slotDurationUnit", "mins")])


def _starts(world: World, calendar: Row, start: datetime, end: datetime) -> Iterator[datetime]:
    """Starts inside the opening hours of the location's zone and the booking window."""
    step = timedelta(days=calendar["slotInterval"] * _UNIT_DAYS[calendar.get("slotIntervalUnit", "mins")])
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < end:
        for low, high in _open(calendar, day):
            slot = low
            while slot + slot_length(calendar) <= high:
                if start <= slot < end and in_booking_window(world, calendar, slot):
                    yield slot
                slot += step
        day = (day + timedelta(days=1)).replace(hour=0)


def _open(calendar: Row, day: datetime) -> Iterator[tuple[datetime, datetime]]:
    weekday = (day.weekday() + 1) % 7  # the vendor's week starts on Sunday
    for rule in calendar["openHours"]:
        if weekday in rule["daysOfTheWeek"]:
            for hours in rule["hours"]:
                midnight = day.replace(hour=0, minute=0)
                low = midnight + timedelta(hours=hours["openHour"], minutes=hours["openMinute"])
                high = midnight + timedelta(hours=hours["closeHour"], minutes=hours["closeMinute"])
                yield low, high


def in_booking_window(world: World, calendar: Row, moment: datetime) -> bool:
    """Whether notice and horizon of the calendar allow this start."""
    now = world.clock.now()
    after = calendar["allowBookingAfter"] * _UNIT_DAYS[calendar.get("allowBookingAfterUnit", "hours")]
    ahead = calendar["allowBookingFor"] * _UNIT_DAYS[calendar.get("allowBookingForUnit", "days")]
    return now + timedelta(days=after) <= moment <= now + timedelta(days=ahead)


def is_open(calendar: Row, moment: datetime, zone: ZoneInfo) -> bool:
    """Whether an appointment may start then."""
    local = moment.astimezone(zone)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return any(low <= local < high for low, high in _open(calendar, day))


def busy_between(world: World, start: datetime, end: datetime, *, leaving_out: str = "") -> list[Row]:
    """Events of anybody that keep people busy somewhere in a period."""
    low, high = start.timestamp() * 1_000, end.timestamp() * 1_000
    rows = (row for row in world.ghl["events"].rows.values() if row["startMs"] < high and low < row["endMs"])
    return [row for row in rows if row["id"] != leaving_out and _blocks(row)]


def free_member(
    calendar: Row, events: list[Row], start: datetime, end: datetime, *, only: str | None = None
) -> str | None:
    """The first team member whom none of the events keeps busy at that time; None when all are."""
    low, high = start.timestamp() * 1_000, end.timestamp() * 1_000
    busy = {row["assignedUserId"] for row in events if row["startMs"] < high and low < row["endMs"]}
    members = [member["userId"] for member in calendar["teamMembers"]]
    return next((user for user in members if user not in busy and only in {None, user}), None)


def _blocks(row: Row) -> bool:
    return row["kind"] == "block" or row["appointmentStatus"] not in {"cancelled", "invalid", "noshow"}


# --- groups ---------------------------------------------------------------------------------------------------------


def _group(call: Call) -> Row:
    row = call.store("groups").get(call.ids[0])
    if row is None:
        refuse(400, f"Group with id {call.ids[0]} not found")
    return row


def list_groups(call: Call) -> Reply:
    """All groups."""
    return Reply(200, {"groups": list(call.store("groups").rows.values())})


def create_group(call: Call) -> Reply:
    """201; a slug that exists is 400."""
    if not _slug_is_free(call.store("groups"), call.body["slug"]):
        refuse(400, "Slug already exists")
    row: Row = {"id": call.world.new_ghl_id(), "isActive": True, **call.body}
    call.store("groups").put(row["id"], row)
    return Reply(201, {"group": dict(row)})


def _slug_is_free(store: Store, slug: str) -> bool:
    return all(row["slug"] != slug for row in store.rows.values())


def update_group(call: Call) -> Reply:
    """Name, description, slug."""
    row = {**_group(call), **call.body}
    call.store("groups").put(row["id"], row)
    return Reply(200, {"group": dict(row)})


def set_group_status(call: Call) -> Reply:
    """Switch a group on or off."""
    call.store("groups").put(call.ids[0], {**_group(call), **call.body})
    return Reply(200, {"success": True})


def delete_group(call: Call) -> Reply:
    """Delete a group."""
    call.store("groups").remove(_group(call)["id"])
    return Reply(200, {"success": True})


def validate_slug(call: Call) -> Reply:
    """Whether a slug is free."""
    return Reply(200, {"available": _slug_is_free(call.store("groups"), call.body["slug"])})


ROUTES = (
    get("/calendars/", list_calendars, _READ, query=_LIST),
    post("/calendars/", create_calendar, _WRITE, body=CREATE),
    get("/calendars/{calendarId}", read_calendar, _READ),
    put("/calendars/{calendarId}", update_calendar, _WRITE, body=UPDATE),
    delete("/calendars/{calendarId}", delete_calendar, _WRITE),
    get("/calendars/{calendarId}/free-slots", free_slots, _READ, query=_SLOTS),
    get("/calendars/groups", list_groups, _GROUP_READ, query={"locationId": w.STR.needed()}),
    post("/calendars/groups", create_group, _GROUP_WRITE, body=_NEW_GROUP),
    post(
        "/calendars/groups/validate-slug",
        validate_slug,
        _GROUP_WRITE,
        body={"locationId": w.STR.needed(), "slug": w.STR.needed()},
    ),
    put("/calendars/groups/{groupId}", update_group, _GROUP_WRITE, body=_GROUP),
    put("/calendars/groups/{groupId}/status", set_group_status, _GROUP_WRITE, body={"isActive": w.BOOL.needed()}),
    delete("/calendars/groups/{groupId}", delete_group, _GROUP_WRITE),
)
