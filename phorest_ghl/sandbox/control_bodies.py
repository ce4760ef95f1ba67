"""What the calls of the control surface take: shapes of their bodies, and of the rows that people edit.

Belongs here: refusing a body of another shape with a sentence, so that a mistake of a test never passes for calm nor for
a defect of the sandbox. Does not belong here: what a call does; a vendor's own rules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.store import Row, Store, as_row
from phorest_ghl.sandbox.wire import Request

LONGEST_S = 315_360_000  # ten years
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LOCAL_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}")
_TEXT_OR_NUMBER = w.Field(
    "a string or a whole number",
    nullable=True,
    fits=lambda value: isinstance(value, str | int) and not isinstance(value, bool),
)
_DAY = w.text_like("a date such as 2026-01-31", lambda text: len(text) == 10 and date.fromisoformat(text))
_MOMENT = w.text_like(
    "an instant such as 2026-01-31T09:00:00.000Z",
    lambda text: _INSTANT.fullmatch(text) and datetime.fromisoformat(text),
)
_URL = w.text_like("a web address", lambda text: text.startswith(("http://", "https://")))
_TIME = w.text_like("a local time such as 09:00:00.000", _LOCAL_TIME.fullmatch)

CHANNELS = ("Call", "Email", "SMS", "WhatsApp", "GMB", "FB", "RCS")

FAULT: w.Shape = {
    **dict.fromkeys(["api", "route"], w.STR), "kind": w.STR.needed(), "after_commit": w.BOOL,
    "count": w.number(0, 1_000_000, whole=True), "rate": replace(w.number(0, 1), nullable=True),
    "ms": w.number(0, 3_600_000), "retry_after": _TEXT_OR_NUMBER, "channel": w.choice(*CHANNELS),
    "status": w.choice("active", "permanent"),
}  # fmt: skip
CLOCK: w.Shape = {"advance_s": w.number(0, LONGEST_S), "set": w.STR}
LIVE: w.Shape = {
    "count": w.number(0, 100_000, whole=True), "seed": _TEXT_OR_NUMBER, "step_s": w.number(0, 31 * 86_400),
    "kinds": w.STRINGS,
}  # fmt: skip
TOKEN: w.Shape = {"scopes": w.STRINGS, "location": w.choice("own", "other")}
ROTATE: w.Shape = {"grace_days": w.number(0, 365)}
WEBHOOKS: w.Shape = {
    "url": replace(_URL, nullable=True), "events": w.STRINGS, "drop": w.number(0, 1), "duplicate": w.number(0, 1),
}  # fmt: skip
MERGE: w.Shape = {"into": w.STR.needed()}
MANY: w.Shape = {"set": w.OBJECT.needed(), "ids": replace(w.STRINGS, nullable=True)}

_DND = w.nested(status=w.choice("active", "inactive", "permanent").needed(), message=w.STR, code=w.STR)
DND: w.Shape = {
    "channels": w.nested(**dict.fromkeys(CHANNELS, w.choice("active", "inactive", "permanent"))).needed(),
    "message": w.STR, "code": w.STR,
}  # fmt: skip
FIELD: w.Shape = {
    "name": w.STR.needed(), "dataType": w.STR.needed(), "options": w.STRINGS,
    "model": w.choice("contact", "opportunity"),
}  # fmt: skip
CONTACT: w.Shape = {
    **dict.fromkeys(["firstName", "lastName", "email", "phone", "address1", "city", "state", "country"], w.STR_OR_NULL),
    **dict.fromkeys(["postalCode", "website", "timezone", "companyName", "source", "assignedTo"], w.STR_OR_NULL),
    **dict.fromkeys(["businessId", "gender"], w.STR_OR_NULL), "dateOfBirth": replace(_DAY, nullable=True),
    **dict.fromkeys(["tags", "additionalEmails", "additionalPhones", "followers"], w.STRINGS), "customFields": w.OBJECT,
    "type": w.STR, "dnd": w.BOOL, "dndSettings": w.nested(**dict.fromkeys(CHANNELS, _DND)),
    "inboundDndSettings": w.nested(all=w.nested(status=w.choice("active", "inactive").needed(), message=w.STR)),
}  # fmt: skip
_CLIENT: w.Shape = {
    **dict.fromkeys(["firstName", "lastName", "clientSince"], w.STR),
    **dict.fromkeys(["mobile", "linkedClientMobile", "linkedClientId", "landLine", "email", "gender"], w.STR_OR_NULL),
    **dict.fromkeys(["notes", "preferredStaffId", "externalId", "photoUrl", "mergedToClientId"], w.STR_OR_NULL),
    **dict.fromkeys(["firstVisit", "lastVisit", "lastVisitedBranchId", "creatingBranchId"], w.STR_OR_NULL),
    **dict.fromkeys(["smsMarketingConsent", "emailMarketingConsent"], w.BOOL_OR_NULL),
    **dict.fromkeys(["smsReminderConsent", "emailReminderConsent"], w.BOOL_OR_NULL),
    **dict.fromkeys(["archived", "banned", "deleted"], w.BOOL),
    **dict.fromkeys(["createdAt", "updatedAt"], _MOMENT), "birthDate": replace(_DAY, nullable=True),
    "version": w.INTEGER, "address": replace(w.OBJECT, nullable=True), "creditAccount": replace(w.OBJECT, nullable=True),
    "clientCategoryIds": replace(w.STRINGS, nullable=True),
    "loyaltyCard": replace(w.nested(serial=w.STR_OR_NULL, points=w.NUMBER.needed()), nullable=True),
}  # fmt: skip
_APPOINTMENT: w.Shape = {
    "appointmentDate": _DAY, **dict.fromkeys(["startTime", "endTime"], _TIME),
    **dict.fromkeys(["createdAt", "updatedAt"], _MOMENT), "version": w.INTEGER, "branchId": w.STR,
    **dict.fromkeys(["price", "depositAmount"], w.PRICE), **dict.fromkeys(["state", "activationState"], w.STR),
    **dict.fromkeys(["staffRequest", "preferredStaff", "confirmed", "deleted", "isFinishAppointment"], w.BOOL),
    **dict.fromkeys(["staffId", "serviceId", "serviceName", "clientId", "source", "groupBookingId"], w.STR_OR_NULL),
    **dict.fromkeys(["bookingId", "depositDateTime", "roomId", "machineId", "notes", "serviceRewardId"], w.STR_OR_NULL),
    **dict.fromkeys(["courseId", "clientCourseItemId", "clientCourseId", "courseName"], w.STR_OR_NULL),
    **dict.fromkeys(["serviceGroupId", "serviceGroupItemOptionId", "parentServiceGroupId"], w.STR_OR_NULL),
    **dict.fromkeys(["waitingListDateTime", "purchasingBranchId"], w.STR_OR_NULL), "internetServiceCategories": w.VALUES,
}  # fmt: skip
_EVENT: w.Shape = {
    **dict.fromkeys(["startMs", "endMs"], w.number(0, 9_999_999_999_999, whole=True)),
    **dict.fromkeys(["title", "appointmentStatus", "contactId", "calendarId", "assignedUserId"], w.STR),
    **dict.fromkeys(["address", "groupId", "description", "meetingLocationType"], w.STR_OR_NULL), "deleted": w.BOOL,
}  # fmt: skip
_ROWS = {
    "phorest.clients": _CLIENT, "phorest.appointments": _APPOINTMENT, "ghl.contacts": CONTACT, "ghl.events": _EVENT,
}  # fmt: skip


def body_of(request: Request, shape: w.Shape | None = None, *, strict: bool = True) -> Row:
    """The JSON object that a control call was sent; no body is `{}`.

    Args:
        request: the call.
        shape: what it may hold; None leaves the check to the handler.
        strict: whether names outside the shape are refused here.

    Raises:
        ValueError: it is no JSON object, or not of that shape; the text says what is wrong with which property.
    """
    try:
        parsed = as_row(request.json()) if request.body else {}
    except ValueError as problem:
        raise ValueError("This call takes JSON, and its body is none.") from problem
    if parsed is None:
        raise ValueError("This call takes a JSON object.")
    if shape is not None:
        _refuse(w.violations(shape, parsed, strict=strict))
    return parsed


def check_row(store: Store, changed: Mapping[str, Any]) -> None:
    """Whether a person can give a row of this kind these values.

    Clients, appointments, contacts and events have shapes; of any other kind, a value is of a type that some row of it
    has there, and null where some row has null or nothing.

    Raises:
        ValueError: a property that such a row does not have, or a value of another type.
    """
    shape = _ROWS.get(store.name)
    _refuse(list(_strange(store, changed)) if shape is None else w.violations(shape, changed))


def _refuse(complaints: list[str]) -> None:
    if complaints:
        raise ValueError(f"The body is refused: {'; '.join(complaints)}.")


def _strange(store: Store, changed: Mapping[str, Any]) -> Iterator[str]:
    rows = list(store.rows.values())
    for name, value in changed.items():
        found = {_json_type(row.get(name)) for row in rows}
        if not any(name in row for row in rows):
            yield f"property {name} should not exist"
        elif _json_type(value) not in (found if found != {"null"} else {"null", "a string"}):
            yield f"{name} must be {' or '.join(sorted(found - {'null'})) or 'a string'}"


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean value"
    names = ((str, "a string"), (int | float, "a number"), (list, "an array"), (dict, "an object"))
    return next(name for kind, name in names if isinstance(value, kind))
