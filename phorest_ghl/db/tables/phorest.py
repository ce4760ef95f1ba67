"""Phorest as imported: the raw payload beside typed columns, one table an entity, and what the rows were before.

`raw` is the payload without its null members (Phorest sends null or nothing for the same thing); `content_hash` is the
keyed hash of it; `deleted_at` is the tombstone of a row that Phorest no longer has. Columns that the predecessor had
keep its names.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    Time,
)
from sqlalchemy import text as sql

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text


def _imported(name: str, *columns: Column[Any] | Index, of_branch: bool = False) -> Table:
    """An import table: the Phorest id, the entity's own columns, and what every import keeps.

    `of_branch` makes the branch part of the key: a service has one id and as many prices as branches, and where Phorest
    does not promise that an id belongs to one branch only, two branches must not overwrite each other for ever.
    """
    branch = [Column("branch_id", text("x").type, primary_key=True)] if of_branch else []
    return Table(
        name,
        metadata,
        *branch,
        Column("phorest_id", text("x").type, primary_key=True),
        *columns,
        json("raw", null=False),
        Column("content_hash", LargeBinary, nullable=False),
        moment("first_seen_at"),
        moment("changed_at"),
        Column("deleted_at", Instant),
    )


def _texts(*names: str) -> list[Column[str]]:
    return [text(name, null=True) for name in names]


phorest_branches = _imported(
    "phorest_branches",
    text("name", null=True),
    text("time_zone", null=True),
    text("currency_code", null=True),
    Column("latitude", Float),
    Column("longitude", Float),
    *_texts("street_address_1", "street_address_2", "city", "state", "postal_code", "country"),
    Column("account_id", BigInteger),
)

phorest_client_categories = _imported(
    "phorest_client_categories",
    text("name", null=True),
    text("colour", null=True),
    Column("archived", Boolean),
)

phorest_clients = _imported(
    "phorest_clients",
    Column("version", BigInteger, nullable=False),
    *_texts("first_name", "last_name", "email", "mobile", "linked_client_mobile", "linked_client_id", "land_line"),
    text("gender", null=True),
    Column("birth_date", Date),
    *_texts("street_address_1", "street_address_2", "city", "state", "postal_code", "country"),
    *_texts("preferred_staff_id", "external_id", "creating_branch_id", "last_visited_branch_id", "notes"),
    json("client_category_ids"),
    Column("archived", Boolean, nullable=False),
    Column("banned", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    text("merged_to_client_id", null=True),
    Column("walk_in", Boolean, nullable=False, server_default="false"),
    # Consent has three states: a flag that Phorest did not send is null, never false.
    Column("sms_marketing_consent", Boolean),
    Column("email_marketing_consent", Boolean),
    Column("sms_reminder_consent", Boolean),
    Column("email_reminder_consent", Boolean),
    text("loyalty_card_serial", null=True),
    Column("loyalty_points", Numeric),
    Column("credit_balance", Numeric),
    Column("client_since", Instant),
    Column("first_visit", Date),
    Column("last_visit", Date),
    Column("phorest_created_at", Instant),
    Column("phorest_updated_at", Instant),
    Index(None, "merged_to_client_id", postgresql_where=sql("merged_to_client_id is not null")),
)

phorest_staff = _imported(
    "phorest_staff",
    *_texts("user_id", "first_name", "last_name", "email", "mobile", "gender"),
    Column("birth_date", Date),
    Column("start_date", Date),
    Column("self_employed", Boolean),
    *_texts("staff_category_id", "staff_category_name", "notes", "online_profile", "image_url"),
    Column("archived", Boolean, nullable=False),
    Column("hide_from_online_bookings", Boolean),
    Column("hide_from_appointment_screen", Boolean),
    json("disqualified_services"),
    of_branch=True,
)
"""One row a person and branch: the same human has another `staffId` in each branch; `user_id` is the login they share."""

phorest_service_categories = _imported("phorest_service_categories", text("name", null=True), of_branch=True)

phorest_services = _imported(
    "phorest_services",
    Column("version", BigInteger),
    *_texts("name", "description", "category_id", "category_name"),
    Column("price", Numeric),
    Column("duration", Integer),
    Column("gap_time", Integer),
    Column("online_bookable", Boolean),
    Column("archived", Boolean, nullable=False),
    json("disqualified_staff"),
    of_branch=True,
)
"""`duration` and `gap_time` are minutes; `price` is the branch's own."""

phorest_products = _imported(
    "phorest_products",
    *_texts("parent_product_id", "name", "sku", "barcode", "brand_id", "brand_name", "category_id", "category_name"),
    text("product_type", null=True),
    Column("price", Numeric),
    Column("cost_price", Numeric),
    Column("stock_level", Numeric),
    Column("reorder_level", Numeric),
    Column("max_quantity", Numeric),
    Column("reorder_count", Numeric),
    Column("measurement_quantity", Numeric),
    text("measurement_unit", null=True),
    Column("archived", Boolean, nullable=False),
    Column("phorest_created_at", Instant),
    Column("phorest_updated_at", Instant),
    of_branch=True,
)
"""`stock_level` can be fractional or negative; `reorder_level` is the least that should be in stock."""

phorest_appointments = _imported(
    "phorest_appointments",
    Column("version", BigInteger, nullable=False),
    text("branch_id"),
    *_texts("client_id", "staff_id", "service_id", "service_name", "booking_id", "group_booking_id"),
    Column("appointment_date", Date, nullable=False),
    Column("start_time", Time, nullable=False),
    Column("end_time", Time, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    text("state"),
    text("activation_state"),
    Column("confirmed", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("is_finish_appointment", Boolean, nullable=False),
    Column("price", Numeric),
    Column("deposit_amount", Numeric),
    Column("deposit_at", Instant),
    *_texts("source", "notes", "room_id", "machine_id"),
    Column("staff_request", Boolean),
    Column("preferred_staff", Boolean),
    *_texts("purchasing_branch_id", "course_id", "course_name", "client_course_id", "service_group_id"),
    Column("waiting_list_at", Instant),
    Column("phorest_created_at", Instant),
    Column("phorest_updated_at", Instant),
    Index(None, "branch_id", "appointment_date"),
    Index(None, "client_id"),
    Index(None, "booking_id"),
)
"""Date and times are the salon's own, as Phorest prints them; `starts_at` and `ends_at` are the instants made of them
(`phorest_ghl.phorest.local_time`). `deleted` is the diary's flag; a tombstone without it is a row that vanished."""

phorest_purchases = _imported(
    "phorest_purchases",
    Column("version", BigInteger, nullable=False),
    text("transaction_id"),
    Column("purchased_date", Date),
    Column("purchase_time", Time),
    *_texts("client_id", "staff_id", "item_type", "description"),
    Column("quantity", Numeric),
    Column("unit_price", Numeric),
    Column("discount_amount", Numeric),
    Column("net_amount", Numeric),
    Column("gross_amount", Numeric),
    Column("total_amount", Numeric),
    *_texts("service_id", "service_name", "product_id", "product_name", "product_barcode"),
    *_texts("product_brand_name", "product_category_name", "appointment_id", "payment_type_names"),
    Column("loyalty_points_awarded", Numeric),
    Column("online_booking", Boolean, nullable=False),
    Column("voided", Boolean, nullable=False),
    text("void_reason", null=True),
    text("voided_transaction_id", null=True),
    Column("open_sale", Boolean, nullable=False),
    Column("phorest_updated_at", Instant),
    Index(None, "branch_id", "purchased_date"),
    Index(None, "client_id"),
    Index(None, "product_id"),
    of_branch=True,
)
"""One row an item that was sold. `version` is the sale's last change in ms since 1970, so that of two lines the newer
one stays; a transaction's number is unique in its branch only."""

phorest_versions = Table(
    "phorest_versions",
    metadata,
    row_id(),
    text("entity_type"),
    text("phorest_id"),
    Column("version", BigInteger),
    json("raw", null=False),
    Column("content_hash", LargeBinary, nullable=False),
    moment("valid_from", default=False),
    moment("valid_to"),
    text("batch_id"),
    text("branch_id", null=True),
    Index(None, "entity_type", "phorest_id", "valid_to"),
    Index(None, "valid_to"),
)
"""What a row was until its content changed; the present row stands in its import table. `branch_id` is set where it is
part of the row's key."""

import_listed = Table(
    "import_listed",
    metadata,
    text("read_id"),
    Column("pass_number", Integer, nullable=False),
    Column("ids", ARRAY(Text), nullable=False),
    Column("other_ids", ARRAY(Text), nullable=False),
    moment("listed_at"),
    Index(None, "read_id"),
    prefixes=["UNLOGGED"],
)
"""Which ids a read that is going on has listed, one row a page, so that no read holds them all in memory.

Unlogged: it costs no WAL, and losing it in a crash only makes that read begin anew. `other_ids` are rows of another
branch."""
