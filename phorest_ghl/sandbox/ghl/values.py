"""Values of custom fields by data type (facts/ghl-api §9).

Belongs here: what each type takes, keeps and gives back. Does not belong here: definitions (`custom_fields.py`).
"""

import re
from datetime import UTC, datetime
from typing import Any, cast

from phorest_ghl.sandbox.store import Row, as_list

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ].*)?")


def stored_value(field: Row, value: Any) -> tuple[bool, Any]:
    """Whether the type takes the value, and what is kept of it; None keeps nothing and says nothing."""
    return _KINDS.get(field["dataType"], _text)(field, value)


def _text(field: Row, value: Any) -> tuple[bool, Any]:
    del field
    return not isinstance(value, bool | list | dict), str(value)


def _texts(field: Row, value: Any) -> tuple[bool, Any]:
    del field
    items = as_list(value)
    return items is not None and all(isinstance(item, str) for item in items), value


def _map(field: Row, value: Any) -> tuple[bool, Any]:
    del field
    return isinstance(value, dict), cast("Row", value)


def _option(field: Row, value: Any) -> tuple[bool, Any]:
    """A value that is no option is dropped without a word: observed for SINGLE_OPTIONS, ASSUMED for RADIO."""
    return isinstance(value, str), value if value in field["picklistOptions"] else None


def _number(field: Row, value: Any) -> tuple[bool, Any]:
    del field
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True, value
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value.strip()):
        number = float(value)
        return True, int(number) if number.is_integer() else number
    return False, None


def _date(field: Row, value: Any) -> tuple[bool, Any]:
    del field
    if isinstance(value, int) and not isinstance(value, bool):
        return True, datetime.fromtimestamp(value / 1_000, UTC).date().isoformat()
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    return match is not None, match[1] if match else None


_KINDS = {
    "NUMERICAL": _number,
    "MONETORY": _number,
    "CHECKBOX": _texts,
    "MULTIPLE_OPTIONS": _texts,
    "TEXTBOX_LIST": _map,
    "FILE_UPLOAD": _map,
    "SINGLE_OPTIONS": _option,
    "RADIO": _option,
    "DATE": _date,
}


def shown_value(field: Row | None, value: Any, date_format: str) -> Any:
    """A value as reads give it; how DATE reads back is undocumented, so it is a switch."""
    if field is None or field["dataType"] != "DATE" or date_format == "date":
        return value
    moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000) if date_format == "epoch_ms" else moment.strftime("%Y-%m-%dT00:00:00.000Z")
