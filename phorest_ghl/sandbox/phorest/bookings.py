"""Free slots and bookings made over the API (facts/phorest-api §7.6).

Belongs here: availability, booking, activate, cancel, note. Does not belong here: the rows that bookings become
(`appointments.py`).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.phorest.appointments import clash, clock_text, save, store_of
from phorest_ghl.sandbox.phorest.common import Call, parse_instant, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_SELECTION = {"serviceId": w.STR.needed(), "staffId": w.STR_OR_NULL}
_AVAILABILITY: w.Shape = {
    "startTime": w.ANY.needed(), "endTime": w.ANY.needed(), "clientId": w.STR_OR_NULL,
    "isOnlineAvailability": w.BOOL_OR_NULL,
    "clientServiceSelections": w.list_of(clientId=w.STR_OR_NULL, serviceSelections=w.list_of(**_SELECTION).needed()).needed(),
}  # fmt: skip
_SCHEDULE = {
    "serviceId": w.STR.needed(), "staffId": w.STR.needed(), "startTime": w.ANY.needed(), "price": w.PRICE,
    **dict.fromkeys(["roomId", "machineId"], w.STR_OR_NULL), "staffRequest": w.BOOL_OR_NULL,
}  # fmt: skip
_BOOKING: w.Shape = {
    "bookingStatus": w.choice("ACTIVE", "RESERVED"), "clientId": w.STR.needed(), "note": w.STR_OR_NULL,
    "clientAppointmentSchedules": w.list_of(clientId=w.STR_OR_NULL, serviceSchedules=w.list_of(**_SCHEDULE).needed()).needed(),
}  # fmt: skip
_LONGEST_NOTE = 50_000
_SLOT = timedelta(minutes=15)
_LONGEST_PERIOD = timedelta(days=31)


def _instant(value: Any, name: str) -> datetime:
    """A UTC instant; availability also takes epoch milliseconds (observed)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1_000, UTC)
    found = parse_instant(value) if isinstance(value, str) else None
    if found is None:
        refuse(400, f"{name} must be a UTC instant", "INVALID_BODY")
    return found


def availability(call: Call) -> Reply:
    """Free starts for the wished services, quarter by quarter, between 9 and 20 local time."""
    body = call.body()
    start, end = _instant(body.get("startTime"), "startTime"), _instant(body.get("endTime"), "endTime")
    wishes: list[Row] = body["clientServiceSelections"]
    if not wishes or not start < end <= start + _LONGEST_PERIOD:
        refuse(400, "clientServiceSelections and a period of at most one month are required", "INVALID_BODY")
    zone = call.world.zone_of_branch(call.ids[0])
    data: list[Row] = []
    moment = start
    while moment < end:
        if 9 <= moment.astimezone(zone).hour < 20:
            schedules = [_offer(call, wish, moment) for wish in wishes]
            if all(schedules):
                data.append({"startTime": phorest_instant(moment), "clientSchedules": schedules})
        moment += _SLOT
    return Reply(200, {"data": data})


def _offer(call: Call, wish: Row, moment: datetime) -> Row | None:
    """One client's services in a row, or None when somebody is not free."""
    schedules: list[Row] = []
    for selection in wish["serviceSelections"]:
        service = call.store("services").get(selection["serviceId"])
        if service is None:
            refuse(400, "serviceId is unknown", "INVALID_BODY")
        found = next((row for row in _rows(call, selection, service, moment) if not clash(call, row)), None)
        if found is None:
            return None
        end = moment + timedelta(minutes=service["duration"])
        schedules.append({
            "serviceId": service["serviceId"], "startTime": phorest_instant(moment), "endTime": phorest_instant(end),
            "staffId": found["staffId"], "roomId": None, "staffRequest": "staffId" in selection,
            "alternativeStaffMember": False, "price": service["price"],
        })  # fmt: skip
        moment = end
    return {"clientId": wish.get("clientId"), "serviceSchedules": schedules}


def _rows(call: Call, selection: Row, service: Row, moment: datetime) -> Iterator[Row]:
    """The service at that time with each member of staff who may be asked."""
    local = moment.astimezone(call.world.zone_of_branch(call.ids[0]))
    end = local + timedelta(minutes=service["duration"])
    for person in call.store("staff").rows.values():
        wanted = selection.get("staffId") in {None, person["staffId"]}
        if wanted and person["branchId"] == call.ids[0] and not person["archived"] and person["userId"]:
            yield {
                "appointmentId": "", "branchId": call.ids[0], "staffId": person["staffId"],
                "appointmentDate": local.date().isoformat(), "startTime": clock_text(local.time()),
                "endTime": clock_text(end.time()),
            }  # fmt: skip


# --- bookings -------------------------------------------------------------------------------------------------------


def create_booking(call: Call) -> Reply:
    """201; a slot that somebody else has, and an unknown member of staff, are refused with the codes of the guide."""
    body = call.body()
    status = body.get("bookingStatus", "ACTIVE")
    if body["clientId"] not in call.store("clients"):
        refuse(400, "clientId is unknown", "INVALID_BODY")
    if len(body.get("note") or "") > _LONGEST_NOTE:
        refuse(400, f"note must not be longer than {_LONGEST_NOTE} characters", "INVALID_BODY")
    booking = call.world.new_phorest_id()
    made: list[Row] = []
    for client, schedule in _schedules(body):
        made.append(_book(call, booking, status, client or body["clientId"], schedule, body.get("note")))
    if not made:
        refuse(400, "clientAppointmentSchedules is required", "INVALID_BODY")
    for row in made:
        store_of(call).put(row["appointmentId"], row)
    call.store("bookings").put(
        booking, {"bookingId": booking, "bookingStatus": status, "branchId": call.ids[0], "clientId": body["clientId"]}
    )
    return Reply(201, _shown(call, booking))


def _schedules(body: Row) -> Iterator[tuple[str | None, Row]]:
    for client in body["clientAppointmentSchedules"]:
        for schedule in client["serviceSchedules"]:
            yield client.get("clientId"), schedule


def _book(call: Call, booking: str, status: str, client: str, schedule: Row, note: Any) -> Row:
    service = call.store("services").get(schedule["serviceId"])
    person = call.store("staff").get(schedule["staffId"])
    if service is None or person is None:
        refuse(400, "STAFF_UNQUALIFIED" if person is None else "serviceId is unknown", "SLOT_UNAVAILABLE")
    local = _instant(schedule.get("startTime"), "startTime").astimezone(call.world.zone_of_branch(call.ids[0]))
    end = local + timedelta(minutes=service["duration"])
    now = phorest_instant(call.world.clock.now())
    row: Row = {
        "appointmentId": call.world.new_phorest_id(), "version": 0, "branchId": call.ids[0],
        "appointmentDate": local.date().isoformat(), "startTime": clock_text(local.time()),
        "endTime": clock_text(end.time()), "price": schedule.get("price", service["price"]),
        "staffId": person["staffId"], "staffRequest": bool(schedule.get("staffRequest")), "preferredStaff": False,
        "confirmed": False, "serviceId": service["serviceId"], "serviceName": service["name"], "clientId": client,
        "roomId": schedule.get("roomId"), "machineId": schedule.get("machineId"), "state": "BOOKED",
        "activationState": status, "deleted": False, "source": "API", "bookingId": booking, "depositAmount": None,
        "depositDateTime": None, "notes": note, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    if person["archived"] or person["branchId"] != call.ids[0]:
        refuse(400, "STAFF_NOT_WORKING", "SLOT_UNAVAILABLE")
    if clash(call, row):
        refuse(400, "STAFF_DOUBLE_BOOKED", "SLOT_UNAVAILABLE")
    if _client_is_busy(call, row):
        refuse(400, "CLIENT_ALREADY_BOOKED_THIS_TIME", "SLOT_UNAVAILABLE")
    return row


def _client_is_busy(call: Call, wanted: Row) -> bool:
    day = date.fromisoformat(wanted["appointmentDate"])
    return any(
        row.get("clientId") == wanted["clientId"]
        and not row["deleted"]
        and row.get("activationState", "ACTIVE") == "ACTIVE"
        and row["startTime"] < wanted["endTime"]
        and wanted["startTime"] < row["endTime"]
        for row in store_of(call).between(wanted["branchId"], day, day)
    )


def _shown(call: Call, booking: str) -> Row:
    row = call.store("bookings").rows[booking]
    schedules = [
        {
            name: part.get(name)
            for name in ("appointmentId", "serviceId", "staffId", "appointmentDate", "startTime", "endTime")
        }
        for part in store_of(call).of_booking(booking)
    ]
    return {name: row[name] for name in ("bookingId", "bookingStatus", "clientId")} | {"schedules": schedules}


def _booking(call: Call) -> Row:
    row = call.store("bookings").get(call.ids[1])
    if row is None or row["branchId"] != call.ids[0] or not store_of(call).of_booking(row["bookingId"]):
        refuse(404, "Booking not found", "NOT_FOUND")
    return row


def _set_status(call: Call, status: str, **more: object) -> Reply:
    row = _booking(call)
    for part in store_of(call).of_booking(row["bookingId"]):
        save(call, part, activationState=status, **more)
    call.store("bookings").put(row["bookingId"], {**row, "bookingStatus": status})
    return Reply(200, _shown(call, row["bookingId"]))


def activate_booking(call: Call) -> Reply:
    """Turn a hold into appointments, with an optional deposit in major units."""
    deposit = call.body().get("depositAmount") if call.request.body else None
    if deposit is None:
        return _set_status(call, "ACTIVE")
    return _set_status(call, "ACTIVE", depositAmount=deposit, depositDateTime=phorest_instant(call.world.clock.now()))


def cancel_booking(call: Call) -> Reply:
    """Cancel every appointment of a booking."""
    return _set_status(call, "CANCELED")


def append_note(call: Call) -> Reply:
    """Add to the note of every appointment of a booking."""
    note = call.body()["note"]
    for part in store_of(call).of_booking(_booking(call)["bookingId"]):
        save(call, part, notes="\n".join(filter(None, (part.get("notes"), note))))
    return Reply(200, _shown(call, call.ids[1]))


ROUTES = (
    route("POST", "/branch/{branchId}/appointments/availability", availability, _AVAILABILITY),
    route("POST", "/branch/{branchId}/booking", create_booking, _BOOKING),
    route("POST", "/branch/{branchId}/booking/{bookingId}/activate", activate_booking, {"depositAmount": w.PRICE}),
    route("POST", "/branch/{branchId}/booking/{bookingId}/cancel", cancel_booking),
    route("POST", "/branch/{branchId}/booking/{bookingId}/appendnote", append_note, {"note": w.STR.needed()}),
)
