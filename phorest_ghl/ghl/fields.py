"""The field registry: every field that we ever write to a contact, who owns it, and what happens when values differ.

Belongs here: one row a field. Does not: values (projections), ids in a location (`sync.registry`).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Facet(StrEnum):
    """A part of a contact with its own owner (design §2).

    Tags of every namespace are written as `TAGS`; `tag_facet` says whose a tag is.
    """

    IDENTITY = "identity"
    CONSENT = "consent"
    TAGS = "tags"
    LOYALTY = "loyalty"
    VISITS = "visits"
    BOOKINGS = "bookings"
    PRODUCTS = "products"


VALUE_FACETS = frozenset({Facet.IDENTITY, Facet.LOYALTY, Facet.VISITS, Facet.BOOKINGS})
"""The facets whose fields are values in a contact's own body."""


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

    `switch` names what turns it on, as `sync.rules` has it; None for a field that is always there.
    """

    label: str
    data_type: str
    options: tuple[str, ...] = ()
    switch: str | None = None

    @property
    def key(self) -> str:
        """`contact.` and the name in snake case."""
        return "contact." + self.label.lower().replace(" ", "_")


def _custom(
    name: str, label: str, data_type: str = "TEXT", *, facet: Facet = Facet.IDENTITY, **more: Any
) -> CustomFieldSpec:
    return CustomFieldSpec(name, facet, Rule.RESTORE, label=label, data_type=data_type, **more)


def _of(facet: Facet, name: str, label: str, data_type: str = "TEXT", **more: Any) -> CustomFieldSpec:
    """A field that its facet's own switch turns on, unless another one is named."""
    return _custom(name, label, data_type, facet=facet, **{"switch": facet.value, **more})


_YES_OR_NO = ("yes", "no")


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

GENDER = Field("gender", Facet.IDENTITY, Rule.ONCE)
"""GHL takes it with a create, ignores it in an upsert and refuses it in an update (facts/ghl-api §5.2)."""

IDENTITY = (FIRST_NAME, LAST_NAME, EMAIL, PHONE, *ADDRESS, DATE_OF_BIRTH)

PHOREST_ID = _custom("phorest_id", "Phorest id")
BRANCH = _custom("branch", "Phorest branch")
CLIENT_SINCE = _custom("client_since", "Phorest client since", "DATE")
PREFERRED_STYLIST = _custom("preferred_stylist", "Phorest preferred stylist")
EXTERNAL_ID = _custom("external_id", "Phorest external id")
CREDIT_BALANCE = _custom("credit_balance", "Phorest credit balance", "NUMERICAL")
NOTES = _custom("notes", "Phorest notes", "LARGE_TEXT", switch="notes")
SMS_MARKETING = _custom("sms_marketing", "Phorest SMS marketing", "RADIO", options=_YES_OR_NO, switch="separate")
EMAIL_MARKETING = _custom("email_marketing", "Phorest email marketing", "RADIO", options=_YES_OR_NO, switch="separate")

LOYALTY_POINTS = _of(Facet.LOYALTY, "loyalty_points", "Phorest loyalty points", "NUMERICAL")
LOYALTY_CARD = _of(Facet.LOYALTY, "loyalty_card", "Phorest loyalty card serial")
LOYALTY_TIER = _of(Facet.LOYALTY, "loyalty_tier", "Phorest loyalty tier")

LAST_VISIT = _of(Facet.VISITS, "last_visit", "Phorest last visit", "DATE")
VISIT_COUNT = _of(Facet.VISITS, "visit_count", "Phorest visit count", "NUMERICAL")
LAST_SERVICE = _of(Facet.VISITS, "last_service", "Phorest last service")
LAST_STYLIST = _of(Facet.VISITS, "last_stylist", "Phorest last stylist")
FAVOURITE_STYLIST = _of(Facet.VISITS, "favourite_stylist", "Phorest favourite stylist")
NEXT_APPOINTMENT = _of(Facet.VISITS, "next_appointment", "Phorest next appointment")
HAS_NEXT = _of(Facet.VISITS, "has_next_appointment", "Phorest has next appointment", "RADIO", options=_YES_OR_NO)
LATE_CANCELS = _of(Facet.VISITS, "late_cancels", "Phorest late cancels", "NUMERICAL")
NO_SHOWS = _of(Facet.VISITS, "no_shows", "Phorest no shows", "NUMERICAL")
REBOOK_DUE = _of(Facet.VISITS, "rebook_due", "Phorest rebook due", "DATE")
REBOOK_AT_RISK = _of(Facet.VISITS, "rebook_at_risk", "Phorest rebook at risk", "RADIO", options=_YES_OR_NO)
SPEND = _of(Facet.VISITS, "spend_12_months", "Phorest spend 12 months", "NUMERICAL", switch="spend")
SPEND_BY_CURRENCY = _of(Facet.VISITS, "spend_by_currency", "Phorest spend by currency", switch="spend")

ONLINE_BOOKED = _of(Facet.BOOKINGS, "last_online_booking", "Phorest last online booking", "DATE")
ONLINE_BOOKINGS = _of(Facet.BOOKINGS, "online_bookings", "Phorest online bookings", "NUMERICAL")

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
    LOYALTY_POINTS,
    LOYALTY_CARD,
    LOYALTY_TIER,
    LAST_VISIT,
    VISIT_COUNT,
    LAST_SERVICE,
    LAST_STYLIST,
    FAVOURITE_STYLIST,
    NEXT_APPOINTMENT,
    HAS_NEXT,
    LATE_CANCELS,
    NO_SHOWS,
    REBOOK_DUE,
    REBOOK_AT_RISK,
    SPEND,
    SPEND_BY_CURRENCY,
    ONLINE_BOOKED,
    ONLINE_BOOKINGS,
)
"""Every custom field of ours, those included that a location does not switch on."""

FACET_OF = {spec.name: spec.facet for spec in (*IDENTITY, *CUSTOM)}
"""Whose each field is, by its name."""

PERSONAL = frozenset(spec.name for spec in (*IDENTITY, GENDER, *CUSTOM)) - {
    PHOREST_ID.name,
    *(spec.name for spec in CUSTOM if spec.data_type == "RADIO"),
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
    if type(held) is int:
        return str(held)
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
ONLINE_BOOKING_TAG = TAG_PREFIX + "online-booking"
"""On who has booked online."""
LOYALTY_PREFIX, PRODUCT_PREFIX = "loyalty:", "product:"
TAG_PREFIXES = (TAG_PREFIX, LOYALTY_PREFIX, PRODUCT_PREFIX)
"""The namespaces in which a client's tags are ours."""
SOURCE = "phorest"


def category_tag(name: str) -> str:
    """The tag of a client category, as the predecessor spelt it: `phorest:` and the name, lower case, words joined by `-`.

    None of ours is shadowed: a category named like a state of ours gets `category-` before its name.
    """
    tag = TAG_PREFIX + "-".join(name.lower().split())
    taken = {GUARD_TAG, ARCHIVED_TAG, BANNED_TAG, DELETED_TAG, MERGED_TAG, ONLINE_BOOKING_TAG}
    return tag if tag not in taken else tag.replace(TAG_PREFIX, TAG_PREFIX + "category-")


def product_tag(name: str) -> str | None:
    """The tag of who bought a product: `product:` and its name, lower case, letters and digits with `-` between.

    None for a name without either.
    """
    slug = "-".join(re.findall(r"\w+", name.lower().replace("_", " ")))
    return PRODUCT_PREFIX + slug if slug else None


def tag_facet(tag: str) -> Facet:
    """Whose a tag of ours is, by its namespace."""
    if tag.startswith(LOYALTY_PREFIX):
        return Facet.LOYALTY
    if tag.startswith(PRODUCT_PREFIX):
        return Facet.PRODUCTS
    return Facet.BOOKINGS if tag == ONLINE_BOOKING_TAG else Facet.TAGS
