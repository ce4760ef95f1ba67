"""The entities that are imported from Phorest, one typed spec row each. Adding an entity starts here.

Belongs here: endpoint, key, delta rule, table and which field goes to which column. Does not: how a page is read
(`client`, `pages`) or written (`phorest_ghl.db.bulk`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Table

from phorest_ghl.db import tables
from phorest_ghl.db.bulk import Column
from phorest_ghl.phorest import models
from phorest_ghl.phorest.local_time import LOCAL_KEY_SQL, time_text


@dataclass(frozen=True, kw_only=True)
class Delta:
    """How an endpoint lists what changed: inclusive bounds, by the row's `updatedAt`."""

    lower: str
    upper: str
    updated_at: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportSpec:
    """One imported entity.

    Attributes:
        entity_type: as in `entity_mappings`.
        table: where rows land.
        path: below the business; may hold `{branch_id}`.
        embedded_key: the plural under `_embedded` (facts/phorest-api §3).
        model: the wire shape a row is validated against.
        id_fields: where the Phorest id stands; the first one that is present counts.
        page_size: the vendor's maximum (§3).
        params: sent with every read.
        delta: None where the API has no delta, so that every read is a full one.
        columns: from the wire to the table.
        scope: what one list covers.
        by_id: where one record is read, below the business, if the API has that: a row that a complete read no longer
            lists is asked for there before it is taken for gone (safety S4).
        of_branch: whether the branch is part of the key.
        many: an empty answer is suspicious where more rows than this were expected.
        person: the member that names the client a row is of: nothing of one who was forgotten is kept (safety S21).
        mend: makes a record of an older form one of the present form; only asked when a page does not validate.
    """

    entity_type: str
    table: Table
    path: str
    embedded_key: str
    model: type[models.Wire]
    id_fields: tuple[str, ...]
    columns: tuple[Column, ...]
    page_size: int = 200
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    delta: Delta | None = None
    scope: Literal["business", "branch", "month"] = "business"
    by_id: str | None = None
    of_branch: bool = False
    many: int = 0
    person: str = ""
    mend: Callable[[dict[str, Any]], dict[str, Any]] | None = None


_POSTAL = (
    ("street_address_1", "streetAddress1"),
    ("street_address_2", "streetAddress2"),
    ("city", "city"),
    ("state", "state"),
    ("postal_code", "postalCode"),
    ("country", "country"),
)

BRANCHES = ImportSpec(
    entity_type="branch",
    table=tables.phorest_branches,
    path="/branch",
    embedded_key="branches",
    model=models.Branch,
    id_fields=("branchId",),
    columns=(
        Column("name", "name"),
        Column("time_zone", "timeZone"),
        Column("currency_code", "currencyCode"),
        Column("latitude", "latitude", "float8"),
        Column("longitude", "longitude", "float8"),
        *(Column(name, wire) for name, wire in _POSTAL),
        Column("account_id", "accountId", "bigint"),
    ),
)

CLIENT_CATEGORIES = ImportSpec(
    entity_type="client_category",
    table=tables.phorest_client_categories,
    path="/category/client",
    embedded_key="clientCategories",
    model=models.ClientCategory,
    id_fields=("clientCategoryId", "categoryId"),
    params={"includeArchived": "true"},
    columns=(Column("name", "name"), Column("colour", "colour"), Column("archived", "archived", "boolean")),
)

CLIENTS = ImportSpec(
    entity_type="client",
    table=tables.phorest_clients,
    path="/client",
    embedded_key="clients",
    model=models.Client,
    id_fields=("clientId",),
    person="clientId",
    # Archived and deleted rows are hidden unless asked for; they are the tombstones (facts/phorest-api §1.5, §9).
    params={"includeArchived": "true", "includeDeleted": "true"},
    by_id="/client/{id}",
    delta=Delta(lower="updatedAfter", upper="updatedBefore", updated_at="updatedAt"),
    columns=(
        Column("version", "version", "bigint"),
        Column("first_name", "firstName"),
        Column("last_name", "lastName"),
        Column("email", "email"),
        Column("mobile", "mobile"),
        Column("linked_client_mobile", "linkedClientMobile"),
        Column("linked_client_id", "linkedClientId"),
        Column("land_line", "landLine"),
        Column("gender", "gender"),
        Column("birth_date", "birthDate", "date"),
        *(Column(name, f"address.{wire}") for name, wire in _POSTAL),
        Column("preferred_staff_id", "preferredStaffId"),
        Column("external_id", "externalId"),
        Column("creating_branch_id", "creatingBranchId"),
        Column("last_visited_branch_id", "lastVisitedBranchId"),
        Column("notes", "notes"),
        Column("client_category_ids", "clientCategoryIds", "jsonb"),
        Column("archived", "archived", "boolean", default="false"),
        Column("banned", "banned", "boolean", default="false"),
        Column("deleted", "deleted", "boolean", default="false"),
        Column("merged_to_client_id", "mergedToClientId"),
        Column("sms_marketing_consent", "smsMarketingConsent", "boolean"),
        Column("email_marketing_consent", "emailMarketingConsent", "boolean"),
        Column("sms_reminder_consent", "smsReminderConsent", "boolean"),
        Column("email_reminder_consent", "emailReminderConsent", "boolean"),
        Column("loyalty_card_serial", "loyaltyCard.serial"),
        Column("loyalty_points", "loyaltyCard.points", "numeric"),
        Column("credit_balance", "creditAccount.outstandingBalance", "numeric"),
        Column("client_since", "clientSince", "timestamptz"),
        Column("first_visit", "firstVisit", "date"),
        Column("last_visit", "lastVisit", "date"),
        Column("phorest_created_at", "createdAt", "timestamptz"),
        Column("phorest_updated_at", "updatedAt", "timestamptz"),
    ),
)

STAFF = ImportSpec(
    entity_type="staff",
    table=tables.phorest_staff,
    path="/branch/{branch_id}/staff",
    embedded_key="staffs",
    model=models.Staff,
    id_fields=("staffId",),
    scope="branch",
    of_branch=True,
    by_id="/branch/{branch_id}/staff/{id}",
    # The API takes a delta, but rows carry no date that would show whether it was obeyed (§7.7): they are few, all are read.
    params={"fetch_archived": "true"},
    columns=(
        Column("user_id", "userId"),
        Column("first_name", "firstName"),
        Column("last_name", "lastName"),
        Column("email", "email"),
        Column("mobile", "mobile"),
        Column("gender", "gender"),
        Column("birth_date", "birthDate", "date"),
        Column("start_date", "startDate", "date"),
        Column("self_employed", "selfEmployed", "boolean"),
        Column("staff_category_id", "staffCategoryId"),
        Column("staff_category_name", "staffCategoryName"),
        Column("notes", "notes"),
        Column("online_profile", "onlineProfile"),
        Column("image_url", "imageUrl"),
        Column("archived", "archived", "boolean", default="false"),
        Column("hide_from_online_bookings", "hideFromOnlineBookings", "boolean"),
        Column("hide_from_appointment_screen", "hideFromAppointmentScreen", "boolean"),
        Column("disqualified_services", "disqualifiedServices", "jsonb"),
    ),
)

SERVICE_CATEGORIES = ImportSpec(
    entity_type="service_category",
    table=tables.phorest_service_categories,
    path="/branch/{branch_id}/service-category",
    embedded_key="serviceCategories",
    model=models.ServiceCategory,
    id_fields=("categoryId",),
    scope="branch",
    of_branch=True,
    columns=(Column("name", "name"),),
)

SERVICES = ImportSpec(
    entity_type="service",
    table=tables.phorest_services,
    path="/branch/{branch_id}/service",
    embedded_key="services",
    model=models.Service,
    id_fields=("serviceId",),
    scope="branch",
    of_branch=True,
    # How the list is told to include archived ones is not known (§7.8): they are found by id when the list loses them.
    by_id="/branch/{branch_id}/service/{id}",
    params={"service_type": "services_and_addons"},
    columns=(
        Column("version", "version", "bigint", default="0"),
        Column("name", "name"),
        Column("description", "internetDescription"),
        Column("category_id", "categoryId"),
        Column("category_name", "categoryName"),
        Column("price", "price", "numeric"),
        Column("duration", "duration", "integer"),
        Column("gap_time", "gapTime", "integer"),
        Column("online_bookable", "internetEnabled", "boolean"),
        Column("archived", "archived", "boolean", default="false"),
        Column("disqualified_staff", "disqualifiedStaff", "jsonb"),
    ),
)

PRODUCTS = ImportSpec(
    entity_type="product",
    table=tables.phorest_products,
    path="/branch/{branch_id}/product",
    embedded_key="products",
    model=models.Product,
    id_fields=("productId",),
    scope="branch",
    of_branch=True,
    # The names of the delta's parameters are disputed and wrong ones are ignored (§8.1): a full read is seven pages.
    params={"includeArchived": "true"},
    columns=(
        Column("parent_product_id", "parentProductId"),
        Column("name", "name"),
        Column("sku", "code"),
        Column("barcode", "barcode"),
        Column("brand_id", "brandId"),
        Column("brand_name", "brandName"),
        Column("category_id", "categoryId"),
        Column("category_name", "categoryName"),
        Column("product_type", "type"),
        Column("price", "price", "numeric"),
        Column("cost_price", "reorderCost", "numeric"),
        Column("stock_level", "quantityInStock", "numeric"),
        Column("reorder_level", "minQuantity", "numeric"),
        Column("max_quantity", "maxQuantity", "numeric"),
        Column("reorder_count", "reorderCount", "numeric"),
        Column("measurement_quantity", "measurementQuantity", "numeric"),
        Column("measurement_unit", "measurementUnit"),
        Column("archived", "archived", "boolean", default="false"),
        Column("phorest_created_at", "createdAt", "timestamptz"),
        Column("phorest_updated_at", "updatedAt", "timestamptz"),
    ),
)


def _times_as_text(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, **{name: time_text(record[name]) for name in ("startTime", "endTime") if name in record}}


APPOINTMENTS = ImportSpec(
    entity_type="appointment",
    table=tables.phorest_appointments,
    path="/branch/{branch_id}/appointment",
    embedded_key="appointments",
    model=models.Appointment,
    id_fields=("appointmentId",),
    person="clientId",
    scope="month",
    by_id="/branch/{branch_id}/appointment/{id}",
    page_size=100,
    params={"fetch_canceled": "true", "fetch_deleted": "true", "fetch_archived": "true"},
    delta=Delta(lower="updated_from", upper="updated_to", updated_at="updatedAt"),
    many=5,
    mend=_times_as_text,
    columns=(
        Column("version", "version", "bigint"),
        # An id is the business's own, and a row may move between branches: the branch is no part of the key.
        Column("branch_id", "branchId", default="cast(:branch_id as text)"),
        Column("client_id", "clientId"),
        Column("staff_id", "staffId"),
        Column("service_id", "serviceId"),
        Column("service_name", "serviceName"),
        Column("booking_id", "bookingId"),
        Column("group_booking_id", "groupBookingId"),
        Column("appointment_date", "appointmentDate", "date"),
        Column("start_time", "startTime", "time"),
        Column("end_time", "endTime", "time"),
        Column("starts_at", derived=f"(cast(:derived_from as jsonb) -> {LOCAL_KEY_SQL} ->> 0)::timestamptz"),
        Column("ends_at", derived=f"(cast(:derived_from as jsonb) -> {LOCAL_KEY_SQL} ->> 1)::timestamptz"),
        Column("state", "state", default="'BOOKED'"),
        Column("activation_state", "activationState", default="'ACTIVE'"),
        Column("confirmed", "confirmed", "boolean", default="false"),
        Column("deleted", "deleted", "boolean", default="false"),
        Column("is_finish_appointment", "isFinishAppointment", "boolean", default="false"),
        Column("price", "price", "numeric"),
        Column("deposit_amount", "depositAmount", "numeric"),
        Column("deposit_at", "depositDateTime", "timestamptz"),
        Column("source", "source"),
        Column("notes", "notes"),
        Column("room_id", "roomId"),
        Column("machine_id", "machineId"),
        Column("staff_request", "staffRequest", "boolean"),
        Column("preferred_staff", "preferredStaff", "boolean"),
        Column("purchasing_branch_id", "purchasingBranchId"),
        Column("course_id", "courseId"),
        Column("course_name", "courseName"),
        Column("client_course_id", "clientCourseId"),
        Column("service_group_id", "serviceGroupId"),
        Column("waiting_list_at", "waitingListDateTime", "timestamptz"),
        Column("phorest_created_at", "createdAt", "timestamptz"),
        Column("phorest_updated_at", "updatedAt", "timestamptz"),
    ),
)

PURCHASES = ImportSpec(
    entity_type="purchase",
    table=tables.phorest_purchases,
    # There is no list of sales: they are exported (§8.4, §8.5), and `purchases` reads the file.
    path="/branch/{branch_id}/csvexportjob",
    embedded_key="",
    model=models.Wire,
    id_fields=("transaction_item_id",),
    person="client_id",
    scope="branch",
    of_branch=True,
    delta=Delta(lower="updated=>", upper="updated=<", updated_at="purchase_updated_at"),
    columns=(
        Column("version", "version", "bigint"),
        Column("transaction_id", "transaction_id"),
        Column("purchased_date", "purchased_date", "date"),
        Column("purchase_time", "purchase_time", "time"),
        Column("quantity", "quantity", "numeric"),
        Column("unit_price", "unit_price", "numeric"),
        Column("discount_amount", "discount_amount", "numeric"),
        Column("net_amount", "net_total_amount", "numeric"),
        Column("gross_amount", "gross_total_amount", "numeric"),
        Column("total_amount", "total_amount", "numeric"),
        *(Column(name, name) for name in ("client_id", "staff_id", "item_type", "description")),
        *(Column(name, name) for name in ("service_id", "service_name", "product_id", "product_name")),
        *(Column(name, name) for name in ("product_barcode", "product_brand_name", "product_category_name")),
        *(Column(name, name) for name in ("appointment_id", "payment_type_names")),
        Column("loyalty_points_awarded", "loyalty_points_awarded", "numeric"),
        Column("online_booking", "online_booking", "boolean", default="false"),
        Column("voided", "void", "boolean", default="false"),
        Column("void_reason", "void_reason"),
        Column("voided_transaction_id", "voided_transaction_id"),
        Column("open_sale", "open_sale", "boolean", default="false"),
        Column("phorest_updated_at", "purchase_updated_at", "timestamptz"),
    ),
)

IMPORTS = (
    BRANCHES,
    CLIENT_CATEGORIES,
    CLIENTS,
    STAFF,
    SERVICE_CATEGORIES,
    SERVICES,
    PRODUCTS,
    APPOINTMENTS,
)
