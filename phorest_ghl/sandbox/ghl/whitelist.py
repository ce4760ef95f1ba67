"""Strict whitelists: an unknown property answers 422, as does a missing or mistyped one (facts/ghl-api §3).

Belongs here: checking bodies and queries against a shape. Does not belong here: business rules, which answer 400 later.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class Field:
    """One property: how its type is called in the error, and whether it may be missing or null."""

    kind: str
    required: bool = False
    nullable: bool = False
    choices: frozenset[Any] = frozenset()
    inner: "Mapping[str, Field] | None" = None

    def needed(self) -> "Field":
        """The same property, required."""
        return replace(self, required=True)


Shape = Mapping[str, Field]

STR = Field("a string")
STR_OR_NULL = Field("a string", nullable=True)
EMAIL = Field("an email", nullable=True)
BOOL = Field("a boolean value")
NUMBER = Field("a number conforming to the specified constraints")
STRINGS = Field("an array of strings")
OBJECTS = Field("an array of objects")
OBJECT = Field("an object")
VALUES = Field("an array of values")
ANY = Field("anything", nullable=True)


def choice(*values: object) -> Field:
    """One of a few values."""
    return Field("one of " + ", ".join(str(value) for value in values), choices=frozenset(values))


def nested(**inner: Field) -> Field:
    """An object with its own whitelist."""
    return Field("an object", inner=inner)


def violations(shape: Shape, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every complaint about a body, in the vendor's wording; empty when it passes."""
    found = [f"property {prefix}{name} should not exist" for name in values if name not in shape]
    for name, field in shape.items():
        if name not in values:
            if field.required:
                found.append(f"{prefix}{name} must be {field.kind}")
            continue
        value = values[name]
        if value is None and field.nullable:
            continue
        if not _is(field, value):
            found.append(f"{prefix}{name} must be {field.kind}")
        elif field.inner is not None:
            found += violations(field.inner, cast("dict[str, Any]", value), f"{prefix}{name}.")
    return found


def query_violations(shape: Shape, query: Sequence[tuple[str, str]]) -> list[str]:
    """The same for query parameters, which are text: numbers and booleans are read from it; `x[]` is `x`."""
    values: dict[str, Any] = {}
    for name, text in query:
        plain = name.removesuffix("[]")
        kind = shape[plain].kind if plain in shape else ""
        if kind == STRINGS.kind:
            values.setdefault(plain, []).append(text)
        elif kind == NUMBER.kind and re.fullmatch(r"-?\d+(\.\d+)?", text):
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
    STRINGS.kind: _is_list_of(str),
    OBJECTS.kind: _is_list_of(dict),
    VALUES.kind: lambda value: isinstance(value, list),
    OBJECT.kind: lambda value: isinstance(value, dict),
    ANY.kind: lambda _: True,
}


def _is(field: Field, value: Any) -> bool:
    if field.choices:
        return isinstance(value, str | int | float) and value in field.choices
    return _TESTS[field.kind](value)
