"""Filters of contact search: which field takes which operator, and what it means (facts/ghl-api §7.1).

Belongs here: turning `filters` into a test. Does not belong here: paging and sorting.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from phorest_ghl.sandbox.ghl.common import refuse
from phorest_ghl.sandbox.store import Row, as_list, as_row
from phorest_ghl.sandbox.world import World

Test = Callable[[Row], bool]
_EQ = frozenset({"eq", "not_eq"})
_EXISTS = frozenset({"exists", "not_exists"})
_TEXT = _EQ | _EXISTS | {"contains", "not_contains"}
_PLAIN = _EQ | _EXISTS
_RANGE = _EXISTS | {"range"}
_OPERATORS: Mapping[str, frozenset[str]] = {
    "id": _EQ,
    **dict.fromkeys(
        [
            "address",
            "businessName",
            "city",
            "companyName",
            "firstNameLowerCase",
            "lastNameLowerCase",
            "phone",
            "postalCode",
        ],
        _TEXT,
    ),
    **dict.fromkeys(["source", "state", "tags"], _TEXT),
    **dict.fromkeys(
        [
            "assignedTo",
            "country",
            "dnd",
            "email",
            "followers",
            "timezone",
            "type",
            "validEmail",
            "website",
            "isValidWhatsapp",
        ],
        _PLAIN,
    ),
    **dict.fromkeys(["activeWorkflows", "finishedWorkflows"], _PLAIN),
    **dict.fromkeys(
        ["dateAdded", "dateUpdated", "lastAppointment", "lastEmailClickedDate", "lastEmailOpenedDate"], _RANGE
    ),
    **dict.fromkeys(["dndSettings.Email.status", "dndSettings.SMS.status", "dndSettings.Call.status"], _PLAIN),
    "inboundDndSettings.all.status": _PLAIN,
}
_BY_TYPE = {
    "CHECKBOX": _PLAIN, "MULTIPLE_OPTIONS": _PLAIN, "NUMERICAL": _PLAIN | {"range"}, "MONETORY": _PLAIN | {"range"},
    "DATE": _RANGE, "TEXTBOX_LIST": _TEXT,
}  # fmt: skip
_RENAMED = {"address": "address1"}
_MOST_CHARACTERS = 75
_SPECIAL = re.compile(r"[^\w\s@.+:-]")


def matcher(world: World, filters: list[Row]) -> Test:
    """A test that holds when all filters do.

    Raises:
        Refusal: 400 for an unknown field or operator, or a value that is too long.
    """
    tests = [_test(world, item) for item in filters]
    return lambda row: all(test(row) for test in tests)


def _test(world: World, item: Row) -> Test:
    if "group" in item:
        if item["group"] not in {"AND", "OR"} or not isinstance(item.get("filters"), list):
            refuse(400, "A filter group needs AND or OR and a list of filters")
        tests = [_test(world, inner) for inner in item["filters"]]
        combine = all if item["group"] == "AND" else any
        return lambda row: combine(test(row) for test in tests)
    field, operator, value = item.get("field"), item.get("operator"), item.get("value")
    if not isinstance(field, str) or operator not in _allowed(world, field):
        refuse(400, f"Invalid operator {operator} for field {field}")
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        refuse(400, f"Filter values must not be longer than {_MOST_CHARACTERS} characters")
    read = _reader(field)
    if field == "phone" and world.switches.ghl_search_misses_additional:
        return lambda row: not row.get("additionalEmails") and _holds(operator, read(row), value)  # 289
    return lambda row: _holds(operator, read(row), value)


def _allowed(world: World, field: str) -> frozenset[str]:
    found = _OPERATORS.get(field)
    if field.startswith("customFields."):
        definition = world.ghl["fields"].get(field.split(".")[1])
        found = None if definition is None else _BY_TYPE.get(definition["dataType"], _TEXT)
    if "ndSettings." in field and not world.switches.ghl_dnd_filters:
        found = None  # as before June 2026 (#279)
    if found is None:
        refuse(400, f"Invalid field {field} in filters")
    return found


def _reader(field: str) -> Callable[[Row], Any]:
    parts = field.split(".")
    if parts[0] == "customFields":
        parts = [parts[0], parts[1], *parts[2:]]
    elif field in {"firstNameLowerCase", "lastNameLowerCase"}:
        name = field.removesuffix("LowerCase")
        return lambda row: (row.get(name) or "").lower() or None
    parts[0] = _RENAMED.get(parts[0], parts[0])

    def read(row: Row) -> Any:
        found: Any = row
        for part in parts:
            found = (as_row(found) or {}).get(part)
        return found

    return read


def _holds(operator: str, have: Any, want: Any) -> bool:
    if operator in {"exists", "not_exists"}:
        return (have not in (None, "", [], {})) == (operator == "exists")
    if operator == "range":
        return _in_range(have, want)
    if operator in {"contains", "not_contains"}:
        if not isinstance(want, str) or _SPECIAL.search(want):
            refuse(400, "contains and not_contains take text without special characters")
        items = as_list(have) or [have]
        inside = any(want.lower() in str(item).lower() for item in items if item is not None)
        return inside == (operator == "contains")
    return _equal(have, want) == (operator == "eq")


def _equal(have: Any, want: Any) -> bool:
    wanted = as_list(want) or [want]
    held = as_list(have) or [have]
    return bool({str(item).lower() for item in held} & {str(item).lower() for item in wanted})


def _in_range(have: Any, want: Any) -> bool:
    bounds = as_row(want)
    if not bounds or not set(bounds) <= {"gte", "lte", "gt", "lt"}:
        refuse(400, "range takes an object of gte, lte, gt and lt")
    if have is None:
        return False
    value = _comparable(have)
    tests: dict[str, Callable[[float, float], bool]] = {
        "gte": lambda low, limit: low >= limit,
        "lte": lambda low, limit: low <= limit,
        "gt": lambda low, limit: low > limit,
        "lt": lambda low, limit: low < limit,
    }
    return all(tests[name](value, _comparable(limit)) for name, limit in bounds.items())


def _comparable(value: Any) -> float:
    """Numbers as they are; ISO dates and instants as epoch milliseconds."""
    if isinstance(value, int | float):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        refuse(400, f"range cannot compare {value!r}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000
