"""What an answer of GHL's holds, typed, where its shape may be odd: a record is set aside or read without what is odd of it.

Belongs here: envelopes, and what becomes of members that nobody documents. Does not: the shapes themselves (`models`).
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import structlog
from pydantic import TypeAdapter, ValidationError

from phorest_ghl.ghl.models import Contact, Location
from phorest_ghl.http.answer import Answer
from phorest_ghl.http.errors import ApiError, Category

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def member(answer: Answer, name: str, *, wrote: bool = False) -> Any:
    """A member of an answer's object.

    Raises ApiError PROTOCOL where there is none; UNKNOWN_OUTCOME if the call `wrote` something that cannot be sent twice.
    """
    body: object = answer.json()
    if isinstance(body, dict) and name in body:
        return cast("dict[str, Any]", body)[name]
    raise odd(answer, f"but it has no member {name}", wrote=wrote)


def typed(adapter: TypeAdapter[_T], answer: Answer, name: str) -> _T:
    """A member of an answer's object by its type. Raises ApiError PROTOCOL, without the values."""
    try:
        return adapter.validate_python(member(answer, name))
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        raise odd(answer, f"but {name} is odd at {', '.join(places[:5])}", wrote=False) from None


def location(answer: Answer) -> Location:
    """The location of an answer. Raises ApiError PROTOCOL, without the values."""
    found = member(answer, "location")
    try:
        return Location.from_answer(found, date=answer.date)
    except (ValidationError, KeyError, TypeError, AttributeError):
        raise odd(answer, "but its location is odd", wrote=False) from None


def contact(answer: Answer, *, wrote: bool = False) -> Contact:
    """The contact of an answer. Raises ApiError as `member` does, also where the contact has no id."""
    found = _contact(member(answer, "contact", wrote=wrote))
    if found is None:
        raise odd(answer, "but its contact has no id", wrote=wrote)
    return found


def contacts(answer: Answer) -> tuple[list[Contact], int]:
    """The contacts of a page, and how many it listed: one without an id is set aside, for nobody can ask for it again."""
    listed = member(answer, "contacts")
    if not isinstance(listed, list):
        raise odd(answer, "but its contacts are no list", wrote=False)
    values = cast("Sequence[object]", listed)
    found = [contact for value in values if (contact := _contact(value)) is not None]
    if len(found) < len(values):
        _log.warning("contacts_without_id", operation=answer.operation, contacts=len(values) - len(found))
    return found, len(values)


def _contact(value: object) -> Contact | None:
    """A contact, read without those of its members that are odd; None if that is its id. What is left out is unknown."""
    try:
        return Contact.model_validate(value)
    except ValidationError as error:
        odd = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
    if not isinstance(value, dict) or "id" in odd:
        return None
    members = cast("dict[str, object]", value)
    _log.warning("odd_members_of_a_contact", ghl_id=str(members["id"])[:64], members=sorted(odd))
    return Contact.model_validate({name: held for name, held in members.items() if name not in odd})


def odd(answer: Answer, reason: str, *, wrote: bool) -> ApiError:
    """The error for an answer that is not what the vendor documents; `reason` holds no value of it."""
    return ApiError(
        Category.UNKNOWN_OUTCOME if wrote else Category.PROTOCOL,
        api="ghl",
        operation=answer.operation,
        status=answer.status,
        trace_id=answer.trace_id,
        reason=reason,
    )
