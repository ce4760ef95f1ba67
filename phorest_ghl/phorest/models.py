"""What Phorest sends, typed at the edge. One model an entity, each field named as on the wire (facts/phorest-api §7).

Belongs here: wire shapes and how strict they are. Does not: tables, SQL, what is done with a row.

A required field that is wrong sets the record aside; an optional one that is wrong is dropped from the typed columns
only, the raw payload keeps it. Unknown fields are kept in the raw payload and ignored here: the API grows (§2.5).
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _has_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("an instant needs its offset")
    return value


Instant = Annotated[datetime, AfterValidator(_has_zone)]
"""UTC, printed as `2025-03-04T10:15:30.000Z`."""
Amount = Annotated[Decimal, Field(allow_inf_nan=False)]
"""Money in major units of the branch's currency, or loyalty points, which can be fractional."""
Digits = str | int
"""Phones are text, but one official sample prints a number."""
NonEmpty = Annotated[str, Field(min_length=1)]


class Wire(BaseModel):
    """A record on the wire: strict about types, silent about fields it does not know."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Branch(Wire):
    """A branch (facts/phorest-api §7.1)."""

    branchId: NonEmpty
    name: str | None = None
    timeZone: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    streetAddress1: str | None = None
    streetAddress2: str | None = None
    city: str | None = None
    state: str | None = None
    postalCode: str | None = None
    country: str | None = None
    currencyCode: str | None = None
    accountId: int | None = None


class ClientCategory(Wire):
    """A client category (§7.3). Sources disagree on the id's name, so both are read."""

    clientCategoryId: NonEmpty | None = None
    categoryId: NonEmpty | None = None
    name: str | None = None
    colour: str | None = None
    archived: bool | None = None


class Address(Wire):
    """A client's postal address: every part optional (§7.2.2)."""

    streetAddress1: str | None = None
    streetAddress2: str | None = None
    city: str | None = None
    state: str | None = None
    postalCode: str | None = None
    country: str | None = None


class LoyaltyCard(Wire):
    """A loyalty card: the serial may be empty, points may be fractional (§7.2.2)."""

    serial: str | None = None
    points: Amount | None = None


class CreditAccount(Wire):
    """What a client owes or has in credit, in the branch's currency (§7.2.2)."""

    outstandingBalance: Amount | None = None
    creditDays: int | None = None
    creditLimit: Amount | None = None


class Client(Wire):
    """A client of the business (§7.2.2)."""

    clientId: NonEmpty
    version: int
    firstName: str | None = None
    lastName: str | None = None
    mobile: Digits | None = None
    linkedClientMobile: Digits | None = None
    linkedClientId: str | None = None
    landLine: Digits | None = None
    email: str | None = None
    address: Address | None = None
    birthDate: date | None = None
    clientSince: Instant | None = None
    gender: str | None = None
    notes: str | None = None
    smsMarketingConsent: bool | None = None
    emailMarketingConsent: bool | None = None
    smsReminderConsent: bool | None = None
    emailReminderConsent: bool | None = None
    preferredStaffId: str | None = None
    externalId: str | None = None
    creatingBranchId: str | None = None
    archived: bool | None = None
    banned: bool | None = None
    deleted: bool | None = None
    clientCategoryIds: list[str] | None = None
    createdAt: Instant | None = None
    updatedAt: Instant | None = None
    creditAccount: CreditAccount | None = None
    loyaltyCard: LoyaltyCard | None = None
    mergedToClientId: str | None = None
    firstVisit: date | None = None
    lastVisit: date | None = None
    lastVisitedBranchId: str | None = None


class PageMeta(Wire):
    """Where a page stands among its siblings (§3). `number` counts from 0."""

    number: int
    size: int
    totalElements: int
    totalPages: int
