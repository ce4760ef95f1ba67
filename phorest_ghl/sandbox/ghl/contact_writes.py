"""What contact bodies may hold and what becomes of it: whitelists, names, addresses, custom field values, DND.

Belongs here: turning a checked body into changes of a contact (facts/ghl-api §5.2, §9.2, §10). Does not belong here:
duplicates (`dedupe.py`) and the operations themselves (`contacts.py`).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import phonenumbers

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.common import Call, refuse
from phorest_ghl.sandbox.ghl.values import stored_value
from phorest_ghl.sandbox.store import Row

_CHANNELS = ("Call", "Email", "SMS", "WhatsApp", "GMB", "FB", "RCS")  # RCS is in live payloads only
_V3_CHANNELS = {
    "Call": "call",
    "Email": "email",
    "SMS": "sms",
    "WhatsApp": "whatsApp",
    "GMB": "gmb",
    "FB": "fb",
    "RCS": "rcs",
}
_FROM_V3 = {name: channel for channel, name in _V3_CHANNELS.items()}
_ONE = w.nested(status=w.choice("active", "inactive", "permanent").needed(), message=w.STR, code=w.STR)
_ALL = w.nested(all=w.nested(status=w.choice("active", "inactive").needed(), message=w.STR))

# Which of them may be null is as the vendor's v2 spec says, operation by operation.
_COMMON: w.Shape = {
    **dict.fromkeys(["firstName", "lastName", "name", "phone", "address1", "city"], w.STR_OR_NULL),
    **dict.fromkeys(["state", "website", "timezone"], w.STR_OR_NULL), "email": w.EMAIL, "postalCode": w.STR,
    "country": w.STR, "dateOfBirth": w.ANY, "dnd": w.BOOL, "dndSettings": w.OBJECT, "inboundDndSettings": _ALL,
    "tags": w.STRINGS, "customFields": w.OBJECTS,
}  # fmt: skip
UPSERT: w.Shape = {
    **_COMMON, "locationId": w.STR.needed(), "gender": w.STR, "companyName": w.STR_OR_NULL, "source": w.STR,
    "assignedTo": w.STR, "createNewIfDuplicateAllowed": w.BOOL,
}  # fmt: skip
CREATE: w.Shape = {name: field for name, field in UPSERT.items() if name != "createNewIfDuplicateAllowed"}
UPDATE: w.Shape = {**_COMMON, "source": w.STR_OR_NULL, "assignedTo": w.STR_OR_NULL}

_PLAIN = (
    "firstName", "lastName", "address1", "city", "state", "website", "timezone", "postalCode", "country", "source",
    "assignedTo", "companyName", "gender",
)  # fmt: skip
_ITEM_KEYS = {"id", "key", "field_value", "fieldValue", "value"}
_BIRTH = (
    re.compile(r"(?P<y>\d{4})([/\-._])(?P<m>\d\d?)\2(?P<d>\d\d?)"),
    re.compile(r"(?P<m>\d\d?)([/\-._])(?P<d>\d\d?)\2(?P<y>\d{4})"),
)
_COUNTRY = re.compile(r"[A-Z]{2}")


def changes(call: Call, before: Row) -> Row:
    """What a body changes in a contact (`before` is `{}` for a new one); absent keys stay, null and empty text clear.

    Raises:
        Refusal: 422 for a value that validation refuses, 400 for a permanent DND channel.
    """
    body = call.body
    found: Row = {name: body[name] or None for name in _PLAIN if name in body}  # an empty text clears as null does
    if body.get("country") and not _COUNTRY.fullmatch(body["country"]):
        refuse(422, ["country must be a valid enum value"])
    if "name" in body and not {"firstName", "lastName"} & set(body):
        first, _, last = (body["name"] or "").partition(" ")
        found |= {"firstName": first or None, "lastName": last or None}
    for name, read in (("email", _email), ("phone", _phone), ("dateOfBirth", _birth)):
        if name in body:
            found[name] = read(call, body[name])
    if "tags" in body:
        found["tags"] = clean_tags(body["tags"])
    if "customFields" in body and "fields_ignored" not in call.request.ignored:
        found["customFields"] = _custom_fields(call, before.get("customFields") or {}, body["customFields"])
    if not call.clears():
        found = {name: value for name, value in found.items() if value is not None}
    return found | _dnd_changes(call, before)


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags as contacts keep them: trimmed, lower-case, each once (facts/ghl-api §8.1)."""
    return list(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))


def _email(call: Call, value: str | None) -> str | None:
    if value is None and call.world.switches.ghl_null_email_422:
        refuse(422, ["email must be an email"])
    return value.strip().lower() if value else None


def _phone(call: Call, value: str | None) -> str | None:
    if not value:
        return None
    number = stored_phone(value, call.world.location["country"])
    if number is None:
        status = call.world.switches.ghl_invalid_phone_status
        message = "phone must be a valid phone number"
        refuse(status, [message] if status == 422 else message)
    return number


@lru_cache(maxsize=100_000)
def stored_phone(value: str, country: str) -> str | None:
    """E.164 as GHL stores it, a number without plus read in the location's country; None when it cannot be one."""
    try:
        number = phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _birth(call: Call, value: Any) -> str | None:
    """One of eight spellings; anything else answers 422."""
    del call
    if value is None or value == "":
        return None
    matches = (pattern.fullmatch(value) for pattern in _BIRTH if isinstance(value, str))
    found = next(
        (match for match in matches if match and 1 <= int(match["m"]) <= 12 and 1 <= int(match["d"]) <= 31), None
    )
    if found is None:
        refuse(422, ["dateOfBirth must be a valid date"])
    return f"{found['y']}-{int(found['m']):02d}-{int(found['d']):02d}"


# --- custom fields --------------------------------------------------------------------------------------------------


def _custom_fields(call: Call, held: Row, items: list[Row]) -> Row:
    """Only listed fields change; an empty value clears.

    Unknown fields are ignored or refused by switch (facts/ghl-api §9.2).
    """
    found = dict(held)
    complaints: list[str] = []
    for index, item in enumerate(items):
        names = [name for name in ("field_value", "fieldValue", "value") if name in item]
        extra = set(item) - _ITEM_KEYS
        complaints += [f"customFields.{index}.property {name} should not exist" for name in sorted(extra)]
        field = _definition(call, item)
        if field is None:
            if call.world.switches.ghl_unknown_custom_field == "reject422":
                complaints.append(f"customFields.{index} is no custom field of this location")
            continue
        value = item[names[0]] if names else None
        if value is None or value in ("", [], {}):
            if call.clears():
                found.pop(field["id"], None)
            continue
        fits, kept = stored_value(field, value)
        if not fits:
            complaints.append(f"customFields.{index}.field_value does not fit {field['dataType']}")
        elif kept is not None:
            found[field["id"]] = kept
    if complaints:
        refuse(422, complaints)
    return found


def _definition(call: Call, item: Row) -> Row | None:
    fields = call.world.ghl["fields"]
    if isinstance(item.get("id"), str):
        return fields.get(item["id"])
    key = str(item.get("key") or "").removeprefix("contact.")
    return next((row for row in fields.rows.values() if row["fieldKey"] == f"contact.{key}"), None) if key else None


# --- DND ------------------------------------------------------------------------------------------------------------


def _dnd_changes(call: Call, before: Row) -> Row:
    if "dnd_ignored" in call.request.ignored:
        return {}
    found: Row = {name: call.body[name] for name in ("dnd", "inboundDndSettings") if name in call.body}
    if "dndSettings" in call.body:
        found["dndSettings"] = _dnd_settings(call, before.get("dndSettings") or {}, call.body["dndSettings"])
    return found


def _dnd_settings(call: Call, held: Row, sent: Row) -> Row:
    """The object is replaced as a whole; a permanent channel may only be echoed (facts/ghl-api §10)."""
    known = _FROM_V3 if call.v3 else {channel: channel for channel in _CHANNELS}
    complaints = w.violations(dict.fromkeys(known, _ONE), sent, "dndSettings.")
    if complaints:
        refuse(422, complaints)
    kept = {"status", "message", "code"} if call.world.switches.ghl_dnd_texts_kept else {"status"}
    fresh = {known[name]: {key: one[key] for key in one if key in kept} for name, one in sent.items()}
    for channel, setting in held.items():
        if setting["status"] != "permanent" or fresh.get(channel) == setting:
            continue
        if channel not in fresh and call.world.switches.ghl_permanent_omitted == "kept":
            fresh[channel] = setting
        elif fresh.get(channel, {}).get("status") != "permanent":
            message = f"Not authorized to update permanent dnd setting for {channel}"
            refuse(400, message, statusCode=401)
    return fresh


def shown_dnd(settings: Row, *, v3: bool) -> Row:
    """`dndSettings` with the keys of the request's version."""
    return {_V3_CHANNELS[channel]: setting for channel, setting in settings.items()} if v3 else settings
