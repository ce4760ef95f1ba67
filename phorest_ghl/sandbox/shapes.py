"""Shapes of bodies and queries, and what is wrong with one.

Belongs here: checking types and, for GHL, that nothing unlisted is sent (facts/ghl-api §3). Does not belong here:
business rules.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from phorest_ghl.sandbox.store import as_list

_COUNT = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class Field:
    """One property: how its type is called in the error, and whether it may be missing or null.

    Attributes:
        inner: the shape of an object, or of the objects in a list.
        fits: whether a value passes, where `kind` is no common type.
    """

    kind: str
    required: bool = False
    nullable: bool = False
    choices: frozenset[Any] = frozenset()
    inner: "Mapping[str, Field] | None" = None
    fits: Callable[[Any], bool] | None = None

    def needed(self) -> "Field":
        """The same property, required."""
        return replace(self, required=True)


Shape = Mapping[str, Field]

STR = Field("a string")
STR_OR_NULL = Field("a string", nullable=True)
EMAIL = Field("an email", nullable=True)
BOOL = Field("a boolean value")
BOOL_OR_NULL = Field("a boolean value", nullable=True)
NUMBER = Field("a number conforming to the specified constraints")
INTEGER = Field("an integer")
COUNT = Field("a number string")
STRINGS = Field("an array of strings")
OBJECTS = Field("an array of objects")
OBJECT = Field("an object")
VALUES = Field("an array of values")
PRICE = Field("a number conforming to the specified constraints", nullable=True)
ANY = Field("anything", nullable=True)


def choice(*values: object) -> Field:
    """One of a few values."""
    return Field("one of " + ", ".join(str(value) for value in values), choices=frozenset(values))


def number(least: float, most: float, *, whole: bool = False) -> Field:
    """A number between two others, both included."""

    def fits(value: Any) -> bool:
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        return is_number and least <= value <= most

    return Field(f"a {'whole ' if whole else ''}number from {least:,.10g} to {most:,.10g}", fits=fits)


def text_like(example: str, fits: Callable[[str], object]) -> Field:
    """Text of a form that `fits` knows; it answers falsely, or raises ValueError, for any other."""

    def passes(value: Any) -> bool:
        try:
            return isinstance(value, str) and bool(fits(value))
        except ValueError:
            return False

    return Field(example, fits=passes)


def list_of_each(field: Field) -> Field:
    """A list of plain values."""

    def fits(value: Any) -> bool:
        items = as_list(value)
        return items is not None and all(_is(field, item) for item in items)

    return Field(f"an array whose items are each {field.kind}", fits=fits)


def list_of(**inner: Field) -> Field:
    """A list of objects with a shape of their own."""
    return Field(OBJECTS.kind, inner=inner)


def nested(**inner: Field) -> Field:
    """An object with its own whitelist."""
    return Field(OBJECT.kind, inner=inner)


def violations(shape: Shape, values: Mapping[str, Any], prefix: str = "", *, strict: bool = True) -> list[str]:
    """Every complaint about a body, in GHL's wording; empty when it passes.

    Args:
        shape: what the body may hold.
        values: the body.
        prefix: how the names of a nested object begin.
        strict: whether unknown properties are complaints, as for GHL; Phorest ignores them.
    """
    found = [f"property {prefix}{name} should not exist" for name in values if name not in shape] if strict else []
    for name, field in shape.items():
        if name in values:
            found += _complaints(field, values[name], f"{prefix}{name}", strict=strict)
        elif field.required:
            found.append(f"{prefix}{name} must be {field.kind}")
    return found


def _complaints(field: Field, value: Any, name: str, *, strict: bool) -> list[str]:
    if value is None and field.nullable:
        return []
    if not _is(field, value):
        return [f"{name} must be {field.kind}"]
    if field.inner is None:
        return []
    rows = as_list(value)
    parts: list[tuple[str, Any]] = [(name, value)]
    if rows is not None:
        parts = [(f"{name}.{index}", row) for index, row in enumerate(rows)]
    return [line for where, part in parts for line in violations(field.inner, part, f"{where}.", strict=strict)]


def query_violations(shape: Shape, query: Sequence[tuple[str, str]]) -> list[str]:
    """The same for query parameters, which are text: numbers and booleans are read from it; `x[]` is `x`."""
    values: dict[str, Any] = {}
    for name, text in query:
        plain = name.removesuffix("[]")
        kind = shape[plain].kind if plain in shape else ""
        if kind == STRINGS.kind:
            values.setdefault(plain, []).append(text)
        elif kind == NUMBER.kind and _NUMBER.fullmatch(text):
            values[plain] = float(text)
        elif kind == BOOL.kind and text in {"true", "false"}:
            values[plain] = text == "true"
        else:
            values[plain] = text
    return violations(shape, values)


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(item, kind) for item in cast("list[Any]", value))


_TESTS: dict[str, Callable[[Any], bool]] = {
    STR.kind: lambda value: isinstance(value, str),
    EMAIL.kind: lambda value: isinstance(value, str) and _EMAIL.fullmatch(value) is not None,
    BOOL.kind: lambda value: isinstance(value, bool),
    NUMBER.kind: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    INTEGER.kind: lambda value: isinstance(value, int) and not isinstance(value, bool),
    COUNT.kind: lambda value: isinstance(value, str) and _COUNT.fullmatch(value) is not None,
    STRINGS.kind: _is_list_of(str),
    OBJECTS.kind: _is_list_of(dict),
    VALUES.kind: lambda value: isinstance(value, list),
    OBJECT.kind: lambda value: isinstance(value, dict),
    ANY.kind: lambda _: True,
}


def _is(field: Field, value: Any) -> bool:
    if field.choices:
        return isinstance(value, str | int | float) and not isinstance(value, bool) and value in field.choices
    if field.fits is not None:
        return field.fits(value)
    return _TESTS[field.kind](value)
