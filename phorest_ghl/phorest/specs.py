"""The entities that are imported from Phorest, one typed spec row each. Adding an entity starts here.

Belongs here: endpoint, key, delta rule, table and which field goes to which column. Does not: how a page is read
(`client`, `pages`) or written (`phorest_ghl.db.bulk`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

from phorest_ghl.db import tables
from phorest_ghl.db.bulk import Column
from phorest_ghl.phorest import models


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
    # Archived and deleted rows are hidden unless asked for; they are the tombstones (facts/phorest-api §1.5, §9).
    params={"includeArchived": "true", "includeDeleted": "true"},
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

IMPORTS = (BRANCHES, CLIENT_CATEGORIES, CLIENTS)
