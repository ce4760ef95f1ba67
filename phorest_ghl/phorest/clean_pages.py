"""A first look at a page: whether all of it is as it should be, in a quarter of the time that validation takes.

Belongs here: that look. Does not: what is wrong with a page that is not clean, which the models say (`pages`).

The models stay the one place where it is written what a row may hold: the look is made of them. It may miss a clean page,
which is then validated; it must never pass one that the models would not (a test holds the two against each other). Its
decoder is msgspec's. Only lists of whose rows nothing but the moment of change is kept have one.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from annotated_types import Ge, MinLen
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from phorest_ghl.phorest.models import PageMeta
from phorest_ghl.phorest.specs import ImportSpec

_PLAIN: Mapping[Any, Any] = {
    **{kind: kind for kind in (str, int, float, bool, date, type(None))},
    AwareDatetime: Annotated[datetime, msgspec.Meta(tz=True)],
    Decimal: float,  # amounts that are text are left to the models
}
# JSON that PostgreSQL or the models refuse, and msgspec does not mind: a NUL, half a pair of surrogates.
_ESCAPES = (b"\\u0000", b"\\ud", b"\\uD")


class _NoLook(Exception):
    """A model says something that msgspec has no words for."""


@dataclass(frozen=True)
class CleanPage:
    """The counts of a clean page, and when each of its rows changed last (aware UTC)."""

    number: int
    total_pages: int
    total_elements: int
    changed: Sequence[datetime | None]


Look = Callable[[bytes], CleanPage | None]


@cache
def first_look(spec: ImportSpec) -> Look | None:
    """A function that says what a clean page of this entity holds, None of any other; None where there is no such look."""
    if spec.delta is None or len(spec.id_fields) > 1:
        return None  # nothing dates its rows, or no model says which of several ids each must have
    try:
        row, meta = _struct(spec.model), _struct(PageMeta)
    except _NoLook:
        return None
    embedded = msgspec.defstruct("Embedded", [("rows", list[row])], rename={"rows": spec.embedded_key})
    page = msgspec.defstruct("Page", [("embedded", embedded), ("page", meta)], rename={"embedded": "_embedded"})
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)
    changed_at = spec.delta.updated_at

    def look(body: bytes) -> CleanPage | None:
        if any(escape in body for escape in _ESCAPES):
            return None
        try:
            body.decode()  # what it skips, msgspec does not look at
            found = decoder.decode(body)
        except (ValueError, RecursionError):
            return None
        return CleanPage(
            found.page.number,
            found.page.totalPages,
            found.page.totalElements,
            [getattr(one, changed_at) for one in found.embedded.rows],
        )

    return look


def _struct(model: type[BaseModel]) -> Any:
    """The same fields for msgspec. Raises _NoLook."""
    fields = [(name, _field(field)) for name, field in model.model_fields.items()]
    needed = [one for one in fields if model.model_fields[one[0]].is_required()]
    optional = [(name, kind, None) for name, kind in fields if not model.model_fields[name].is_required()]
    return msgspec.defstruct(model.__name__, [*needed, *optional], gc=False)


def _field(field: FieldInfo) -> Any:
    if field.alias is not None or not (field.is_required() or field.default is None):
        raise _NoLook
    return _kind(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)


def _kind(annotation: Any) -> Any:
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind in (Union, types.UnionType):
        return Union[tuple(_kind(part) for part in parts)]  # noqa: UP007 - of parts that are known at run time
    if kind is list:
        return list[_kind(parts[0])]
    if kind is Annotated:
        return _bounded(_kind(parts[0]), parts[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _struct(annotation)
    if annotation not in _PLAIN:
        raise _NoLook
    return _PLAIN[annotation]


def _bounded(kind: Any, rules: Sequence[Any]) -> Any:
    for rule in rules:
        if isinstance(rule, FieldInfo):
            kind = _bounded(kind, rule.metadata)
        elif isinstance(rule, MinLen):
            kind = Annotated[kind, msgspec.Meta(min_length=rule.min_length)]
        elif isinstance(rule, Ge) and isinstance(rule.ge, int):
            kind = Annotated[kind, msgspec.Meta(ge=rule.ge)]
        elif getattr(rule, "allow_inf_nan", None) is not False:  # JSON has no such numbers
            raise _NoLook
    return kind
