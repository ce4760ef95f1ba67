"""What Phorest sends, typed at the edge. One model an entity, each field named as on the wire (facts/phorest-api §7).

Belongs here: wire shapes and how strict they are. Does not: tables, SQL, what is done with a row.

A required field that is wrong sets the record aside; an optional one that is wrong is dropped from the typed columns
only, the raw payload keeps it. Unknown fields are kept in the raw payload and ignored here: the API grows (§2.5).
"""

from datetime import date, time
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Instant = AwareDatetime
"""UTC, printed as `2025-03-04T10:15:30.000Z`."""
Amount = Annotated[Decimal, Field(allow_inf_nan=False)]
"""Money in major units of the branch's currency, or loyalty points, which can be fractional."""
Digits = str | int
"""Phones are text, but one official sample prints a number."""
NonEmpty = Annotated[str, Field(min_length=1)]


def _is_time(value: str) -> str:
    time.fromisoformat(value)
    return value


def _of_this_age(value: date) -> date:
    if not 1900 <= value.year < 2300:
        raise ValueError("no diary is that old or that far ahead")
    return value


LocalTime = Annotated[str, Field(pattern=r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$"), AfterValidator(_is_time)]
"""A time of day by the branch's clock, printed as `09:30:00.000`; without seconds it is understood too (§2.5)."""
DiaryDate = Annotated[date, AfterValidator(_of_this_age)]
"""A date by the branch's clock. Absurd years occur (§12); those that no calendar can hold are no dates."""


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


class Staff(Wire):
    """Somebody who works at a branch, or a column of the diary that is a room or a machine (§7.7)."""

    staffId: NonEmpty
    branchId: str | None = None
    userId: str | None = None
    staffCategoryId: str | None = None
    staffCategoryName: str | None = None
    firstName: str | None = None
    lastName: str | None = None
    birthDate: date | None = None
    startDate: date | None = None
    selfEmployed: bool | None = None
    archived: bool | None = None
    mobile: Digits | None = None
    email: str | None = None
    gender: str | None = None
    notes: str | None = None
    onlineProfile: str | None = None
    imageUrl: str | None = None
    hideFromOnlineBookings: bool | None = None
    hideFromAppointmentScreen: bool | None = None
    disqualifiedServices: list[str] | None = None


class ServiceCategory(Wire):
    """A group of services (§7.8)."""

    categoryId: NonEmpty
    name: str | None = None


class Service(Wire):
    """A service at one branch's price (§7.8); some are only markers, such as "No show"."""

    serviceId: NonEmpty
    version: int | None = None
    name: str | None = None
    archived: bool | None = None
    categoryId: str | None = None
    categoryName: str | None = None
    duration: int | None = None
    gapTime: int | None = None
    price: Amount | None = None
    internetEnabled: bool | None = None
    internetDescription: str | None = None
    disqualifiedStaff: list[str] | None = None


class Product(Wire):
    """A product of a branch with its stock, which can be fractional or negative (§8.1)."""

    productId: NonEmpty
    parentProductId: str | None = None
    name: str | None = None
    code: str | None = None
    barcode: Digits | None = None
    brandId: str | None = None
    brandName: str | None = None
    categoryId: str | None = None
    categoryName: str | None = None
    type: str | None = None
    price: Amount | None = None
    reorderCost: Amount | None = None
    reorderCount: Amount | None = None
    minQuantity: Amount | None = None
    maxQuantity: Amount | None = None
    quantityInStock: Amount | None = None
    measurementQuantity: Amount | None = None
    measurementUnit: str | None = None
    archived: bool | None = None
    createdAt: Instant | None = None
    updatedAt: Instant | None = None


class Appointment(Wire):
    """One service of a visit (§7.5.2). States are free text: new ones have appeared before."""

    appointmentId: NonEmpty
    version: int
    branchId: str | None = None
    appointmentDate: DiaryDate
    startTime: LocalTime
    endTime: LocalTime
    price: Amount | None = None
    staffId: str | None = None
    staffRequest: bool | None = None
    preferredStaff: bool | None = None
    confirmed: bool | None = None
    serviceId: str | None = None
    serviceName: str | None = None
    clientId: str | None = None
    roomId: str | None = None
    machineId: str | None = None
    state: str | None = None
    activationState: str | None = None
    deleted: bool | None = None
    source: str | None = None
    bookingId: str | None = None
    groupBookingId: str | None = None
    depositAmount: Amount | None = None
    depositDateTime: Instant | None = None
    purchasingBranchId: str | None = None
    courseId: str | None = None
    courseName: str | None = None
    clientCourseId: str | None = None
    serviceGroupId: str | None = None
    waitingListDateTime: Instant | None = None
    isFinishAppointment: bool | None = None
    notes: str | None = None
    createdAt: Instant | None = None
    updatedAt: Instant | None = None


class ExportJob(BaseModel):
    """A CSV export job (§8.5). `jobStatus` is DONE, FAILED, or anything else while it runs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    jobId: str
    jobStatus: str | None = None
    totalRows: int | None = None
    tempCsvExternalUrl: str | None = None
    failureReason: str | None = None

    @property
    def nothing_found(self) -> bool:
        """Whether there was nothing to export, which Phorest may call DONE or FAILED."""
        return "no records found" in (self.failureReason or "").lower() or (
            self.jobStatus == "DONE" and self.totalRows == 0
        )


class PageMeta(Wire):
    """Where a page stands among its siblings (§3). `number` counts from 0."""

    number: int
    size: int
    totalElements: int
    totalPages: int
