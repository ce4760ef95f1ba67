"""Appointments: windows, deltas, single, move, confirm, cancel, check in, notes (facts/phorest-api §7.5, §13 items 7, 11, 12).

Belongs here: the appointment resource. Does not belong here: bookings made over the API and free slots (`bookings.py`).
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.appointments import AppointmentStore
from phorest_ghl.sandbox.clock import exact_instant, phorest_instant
from phorest_ghl.sandbox.phorest.clients import check_version
from phorest_ghl.sandbox.phorest.common import Call, page_of_rows, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_LONGEST_WINDOW_DAYS = 31
_HIDDEN = {"internetServiceCategories": "fetch_online_category", "notes": "fetch_notes"}
_SORTS = {"createdAt", "updatedAt", "appointmentDate", "startTime", "version", "price"}
_FILTERS = {
    "staff_id": "staffId",
    "room_id": "roomId",
    "machine_id": "machineId",
    "client_id": "clientId",
    "group_booking_id": "groupBookingId",
}
_NOTE: w.Shape = {"serviceNote": w.STR.needed()}
_UPDATE: w.Shape = {
    "appointmentId": w.STR.needed(), "version": w.INTEGER.needed(), "startTime": w.STR.needed(),
    "staffId": w.STR.needed(),
    **dict.fromkeys(["appointmentDate", "endTime", "roomId", "machineId", "serviceId"], w.STR_OR_NULL),
    "price": w.PRICE, "confirmed": w.BOOL_OR_NULL,
}  # fmt: skip
Test = Callable[[Row], bool]


def store_of(call: Call) -> AppointmentStore:
    """The appointments."""
    store = call.store("appointments")
    assert isinstance(store, AppointmentStore)
    return store


def list_appointments(call: Call) -> Reply:
    """A page of one window of at most 31 days; cancelled, deleted and archived rows only on demand."""
    first, last = window(call)
    tests = list(_tests(call))
    rows = [row for row in store_of(call).between(call.ids[0], first, last) if all(test(row) for test in tests)]
    rows.sort(**_sort(call))
    hidden = {name for name, flag in _HIDDEN.items() if not call.flag(flag)}
    if not call.world.switches.phorest_appointments_name_branch:
        hidden.add("branchId")
    return page_of_rows(
        call, "appointments", (_shown(row, hidden) for row in rows), call.world.switches.phorest_appointment_max_size
    )


def window(call: Call) -> tuple[date, date]:
    """`from_date` and `to_date`: both needed, in order, at most one month apart (facts/phorest-api §13.7)."""
    first, last = call.day("from_date"), call.day("to_date")
    if first is None or last is None:
        refuse(400, "from_date and to_date are required", "INVALID_PARAMETER")
    if last < first:
        refuse(400, "to_date must not be before from_date", "INVALID_PARAMETER")
    if (last - first).days + 1 > _LONGEST_WINDOW_DAYS:
        refuse(400, "The date range must not exceed one month", "INVALID_PARAMETER")
    return first, last


def _tests(call: Call) -> Iterator[Test]:
    if not call.flag("fetch_canceled"):
        yield lambda row: row.get("activationState") != "CANCELED"
    if not call.flag("fetch_deleted"):
        yield lambda row: not row["deleted"]
    if not call.flag("fetch_archived"):
        yield lambda row: row.get("activationState") != "ARCHIVED"
    for parameter, name in _FILTERS.items():
        value = call.text(parameter)
        if value is not None:
            yield _equals(name, value)
    lower, upper = call.instant("updated_from"), call.instant("updated_to")
    if "filter_ignored" in call.request.ignored:
        return
    if lower is not None:
        low = exact_instant(lower)
        yield lambda row: row["updatedAt"] >= low
    if upper is not None:
        high = exact_instant(upper)
        yield lambda row: row["updatedAt"] <= high


def _equals(name: str, value: str) -> Test:
    return lambda row: row.get(name) == value


def _sort(call: Call) -> dict[str, Any]:
    """By creation, or by update where an updated filter is used, or as `sort=property,direction` says."""
    wish = call.text("sort")
    default = "updatedAt" if call.text("updated_from") or call.text("updated_to") else "createdAt"
    name, _, direction = (wish or f"{default},asc").partition(",")
    if name not in _SORTS or direction.lower() not in {"", "asc", "desc"}:
        refuse(400, "Parameter sort must be a property and a direction", "INVALID_PARAMETER")

    def key(row: Row) -> tuple[bool, Any, str]:
        return row.get(name) is not None, row.get(name), row["appointmentId"]

    return {"key": key, "reverse": direction.lower() == "desc"}


def _shown(row: Row, hidden: set[str]) -> Row:
    return {name: value for name, value in row.items() if name not in hidden}


def get_appointment(call: Call) -> Reply:
    """One appointment; its notes only with `includeNotes=true`."""
    row = existing(call, call.ids[1])
    hidden = {"internetServiceCategories"} if call.flag("includeNotes") else set(_HIDDEN)
    return Reply(200, _shown(row, hidden))


def existing(call: Call, key: str) -> Row:
    """The row, if it is of the branch that was asked."""
    row = store_of(call).get(key)
    if row is None or row["branchId"] != call.ids[0]:
        refuse(404, "Appointment not found", "NOT_FOUND")
    return row


def save(call: Call, row: Row, **changed: object) -> Row:
    """Store a changed row under the next version."""
    now = phorest_instant(call.world.clock.now())
    fresh = {**row, **changed, "version": row["version"] + 1, "updatedAt": now}
    store_of(call).put(row["appointmentId"], fresh)
    return fresh


# --- moving ---------------------------------------------------------------------------------------------------------


def update_appointment(call: Call) -> Reply:
    """Move or change under the version; `state` in the body is taken and has no effect (observed)."""
    row, body = existing(call, call.ids[1]), call.body()
    if body.get("appointmentId") != row["appointmentId"]:
        refuse(400, "appointmentId in path and body must agree", "INVALID_BODY")
    check_version(call, body, row)
    if body["staffId"] not in call.store("staff"):
        refuse(400, "STAFF_UNQUALIFIED", "SLOT_UNAVAILABLE")
    changed: Row = {
        name: body[name]
        for name in ("price", "staffId", "roomId", "machineId", "confirmed", "serviceId")
        if name in body
    }
    changed |= _moved(call, row, body)
    fresh = {**row, **changed}
    if not call.flag("force_selected_time") and clash(call, fresh):
        refuse(400, "STAFF_DOUBLE_BOOKED", "SLOT_UNAVAILABLE")
    return Reply(200, _shown(save(call, row, **changed), set(_HIDDEN)))


def _moved(call: Call, row: Row, body: Row) -> Row:
    """Date, start and end; the end follows the service when staff or service change (facts/phorest-api §7.5.3)."""
    try:
        start = datetime.combine(
            date.fromisoformat(body.get("appointmentDate") or row["appointmentDate"]),
            time.fromisoformat(body["startTime"]),
        )
        end = time.fromisoformat(body.get("endTime") or row["endTime"])
    except (TypeError, ValueError):
        refuse(400, "appointmentDate, startTime and endTime must be a date and times", "INVALID_BODY")
    if call.world.switches.phorest_put_time_mode == "utc":
        zone = call.world.zone_of_branch(row["branchId"])
        end = datetime.combine(start.date(), end, UTC).astimezone(zone).time()
        start = start.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    service = body.get("serviceId") or row["serviceId"]
    found = call.store("services").get(service)
    if body["staffId"] != row.get("staffId") or service != row["serviceId"]:
        end = (start + timedelta(minutes=found["duration"] if found else 30)).time()
    name = {"serviceName": found["name"]} if found and service != row["serviceId"] else {}
    return {
        "appointmentDate": start.date().isoformat(),
        "startTime": clock_text(start.time()),
        "endTime": clock_text(end),
    } | name


def clock_text(moment: time) -> str:
    """A local time as the diary prints it."""
    return moment.strftime("%H:%M:%S.000")


def clash(call: Call, wanted: Row) -> bool:
    """Whether the staff member has another active appointment at that time."""
    day = date.fromisoformat(wanted["appointmentDate"])
    return any(
        row["appointmentId"] != wanted["appointmentId"]
        and row.get("staffId") == wanted["staffId"]
        and not row["deleted"]
        and row.get("activationState", "ACTIVE") in {"ACTIVE", "RESERVED"}
        and row["startTime"] < wanted["endTime"]
        and wanted["startTime"] < row["endTime"]
        for row in store_of(call).between(wanted["branchId"], day, day)
    )


# --- states ---------------------------------------------------------------------------------------------------------


def check_in(call: Call) -> Reply:
    """The client has arrived; 200 with an envelope."""
    row = existing(call, call.ids[1])
    if row["deleted"] or row.get("activationState", "ACTIVE") != "ACTIVE" or row.get("state", "BOOKED") == "PAID":
        refuse(400, "Only an active, unpaid appointment can be checked in", "INVALID_STATE")
    return page_of_rows(call, "appointments", [_shown(save(call, row, state="CHECKED_IN"), set(_HIDDEN))])


def confirm(call: Call) -> Reply:
    """Confirm by repeated `appointment_id`."""
    return _each(call, lambda row: save(call, row, confirmed=True))


def cancel(call: Call) -> Reply:
    """Cancel by repeated `appointment_id`; the rows stay, with activationState CANCELED."""
    return _each(call, lambda row: save(call, row, activationState="CANCELED"))


def _each(call: Call, change: Callable[[Row], Row]) -> Reply:
    wanted = call.request.params("appointment_id")
    if not wanted:
        refuse(400, "At least one appointment_id is needed", "INVALID_PARAMETER")
    rows = [existing(call, key) for key in dict.fromkeys(wanted)]
    return page_of_rows(call, "appointments", [_shown(change(row), set(_HIDDEN)) for row in rows])


def set_note(call: Call) -> Reply:
    """The service note of an appointment."""
    row = save(call, existing(call, call.ids[1]), notes=call.body()["serviceNote"])
    return Reply(200, _shown(row, {"internetServiceCategories"}))


ROUTES = (
    route("GET", "/branch/{branchId}/appointment", list_appointments),
    route("GET", "/branch/{branchId}/appointment/{appointmentId}", get_appointment),
    route("PUT", "/branch/{branchId}/appointment/{appointmentId}", update_appointment, _UPDATE),
    route("POST", "/branch/{branchId}/appointment/confirm", confirm),
    route("POST", "/branch/{branchId}/appointment/cancel", cancel),
    route("POST", "/branch/{branchId}/appointment/{appointmentId}/checkin", check_in),
    route("POST", "/branch/{branchId}/appointment/{appointmentId}/note", set_note, _NOTE),
)
