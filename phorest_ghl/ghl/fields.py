"""The field registry: every field that we ever write to a contact, who owns it, and what happens when values differ.

Belongs here: one row a field. Does not: values (projections), ids in a location (`sync.registry`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Facet(StrEnum):
    """A part of a contact with its own owner (design §2)."""

    IDENTITY = "identity"
    CONSENT = "consent"
    TAGS = "tags"


class Rule(StrEnum):
    """What happens when the desired value differs from what GHL holds."""

    PHOREST = "three-way: Phorest's value if it changed since GHL acknowledged it"
    FILL_IF_EMPTY = "adopted contact: only where GHL holds nothing, until a person has reviewed it"
    RESTORE = "always restored: the field is ours alone"
    STRICTEST = "only ever tightened"
    REVERSED = "opened: every cause that closed it has been reversed"
    ADDITIVE = "added or removed by name, beside everybody else's"
    ONCE = "sent with the create alone"


@dataclass(frozen=True)
class Field:
    """A standard field of a contact, by the name that the plan and the ledger use."""

    name: str
    facet: Facet
    rule: Rule


@dataclass(frozen=True)
class CustomFieldSpec(Field):
    """A custom field of ours; all are named `Phorest …` (safety S18). `key` is how GHL derives it from the name (§9.1).

    `switch` names the setting that turns it on; None for a field that is always there.
    """

    label: str
    data_type: str
    options: tuple[str, ...] = ()
    switch: str | None = None

    @property
    def key(self) -> str:
        """`contact.` and the name in snake case."""
        return "contact." + self.label.lower().replace(" ", "_")


def _custom(name: str, label: str, data_type: str = "TEXT", **more: Any) -> CustomFieldSpec:
    return CustomFieldSpec(name, Facet.IDENTITY, Rule.RESTORE, label=label, data_type=data_type, **more)


FIRST_NAME = Field("first_name", Facet.IDENTITY, Rule.PHOREST)
LAST_NAME = Field("last_name", Facet.IDENTITY, Rule.PHOREST)
EMAIL = Field("email", Facet.IDENTITY, Rule.PHOREST)
PHONE = Field("phone", Facet.IDENTITY, Rule.PHOREST)
STREET = Field("street_address", Facet.IDENTITY, Rule.PHOREST)
CITY = Field("city", Facet.IDENTITY, Rule.PHOREST)
STATE = Field("state", Facet.IDENTITY, Rule.PHOREST)
POSTAL_CODE = Field("postal_code", Facet.IDENTITY, Rule.PHOREST)
COUNTRY = Field("country", Facet.IDENTITY, Rule.PHOREST)
DATE_OF_BIRTH = Field("date_of_birth", Facet.IDENTITY, Rule.PHOREST)
ADDRESS = (STREET, CITY, STATE, POSTAL_CODE, COUNTRY)

IDENTITY = (FIRST_NAME, LAST_NAME, EMAIL, PHONE, *ADDRESS, DATE_OF_BIRTH)

PHOREST_ID = _custom("phorest_id", "Phorest id")
BRANCH = _custom("branch", "Phorest branch")
CLIENT_SINCE = _custom("client_since", "Phorest client since", "DATE")
PREFERRED_STYLIST = _custom("preferred_stylist", "Phorest preferred stylist")
EXTERNAL_ID = _custom("external_id", "Phorest external id")
CREDIT_BALANCE = _custom("credit_balance", "Phorest credit balance", "NUMERICAL")
NOTES = _custom("notes", "Phorest notes", "LARGE_TEXT", switch="notes")
SMS_MARKETING = _custom("sms_marketing", "Phorest SMS marketing", "RADIO", options=("yes", "no"), switch="separate")
EMAIL_MARKETING = _custom(
    "email_marketing", "Phorest email marketing", "RADIO", options=("yes", "no"), switch="separate"
)

CUSTOM = (
    PHOREST_ID,
    BRANCH,
    CLIENT_SINCE,
    PREFERRED_STYLIST,
    EXTERNAL_ID,
    CREDIT_BALANCE,
    NOTES,
    SMS_MARKETING,
    EMAIL_MARKETING,
)
"""Every custom field of ours, those included that a location does not switch on."""

PERSONAL = frozenset(spec.name for spec in (*IDENTITY, *CUSTOM)) - {
    PHOREST_ID.name,
    SMS_MARKETING.name,
    EMAIL_MARKETING.name,
}
"""Fields whose values are shown masked, unless somebody asks for them."""


def enabled(switches: Collection[str]) -> tuple[CustomFieldSpec, ...]:
    """The custom fields of a location with these switches on; only they are ever defined there (safety S18)."""
    return tuple(spec for spec in CUSTOM if spec.switch is None or spec.switch in switches)


def canonical(spec: CustomFieldSpec, held: object) -> str | None:
    """A custom field's value in the one form in which values are compared, or None for an empty one.

    Numbers without trailing zeros, days as `YYYY-MM-DD` from whatever form the answer had (facts/ghl-api §9.2).
    """
    if held is None or held in ("", []):
        return None
    if spec.data_type == "NUMERICAL":
        return _number(held)
    if spec.data_type == "DATE":
        return _day(held)
    return str(held)


def wire(spec: CustomFieldSpec, value: str) -> object:
    """A custom field's value as it is sent: numbers as numbers, an empty text to clear."""
    if spec.data_type != "NUMERICAL" or value == "":
        return value
    number = Decimal(value)
    return int(number) if number == number.to_integral_value() else float(number)


def _number(held: object) -> str:
    try:
        number = Decimal(str(held))
        if not number:
            return "0"  # a zero that has a sign is no other one
        return format(number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize(), "f")
    except (ArithmeticError, ValueError):  # what a person put there: no number, or none that is money
        return str(held)


def _day(held: object) -> str:
    if isinstance(held, int | float):
        try:
            return datetime.fromtimestamp(held / 1000, UTC).date().isoformat()
        except (ArithmeticError, ValueError, OSError):
            return str(held)
    return str(held)[:10]


GUARD_TAG = "phorest:backfill"
"""On every contact that is written while the location is quiet (safety S1)."""
TAG_PREFIX = "phorest:"
ARCHIVED_TAG, BANNED_TAG, DELETED_TAG, MERGED_TAG = (
    TAG_PREFIX + state for state in ("archived", "banned", "deleted", "merged")
)
SOURCE = "phorest"


def category_tag(name: str) -> str:
    """The tag of a client category, as the predecessor spelt it: `phorest:` and the name, lower case, words joined by `-`.

    None of ours is shadowed: a category named like a state of ours gets `category-` before its name.
    """
    tag = TAG_PREFIX + "-".join(name.lower().split())
    taken = {GUARD_TAG, ARCHIVED_TAG, BANNED_TAG, DELETED_TAG, MERGED_TAG}
    return tag if tag not in taken else tag.replace(TAG_PREFIX, TAG_PREFIX + "category-")
