"""Phorest as imported: the raw payload beside typed columns, one table an entity, and what the rows were before.

`raw` is the payload without its null members (Phorest sends null or nothing for the same thing); `content_hash` is the
keyed hash of it; `deleted_at` is the tombstone of a row that Phorest no longer has.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Index, LargeBinary, Numeric, Table

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text


def _imported(name: str, *columns: Column[Any] | Index) -> Table:
    """An import table: the Phorest id, the entity's own columns, and what every import keeps."""
    return Table(
        name,
        metadata,
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
    Index(None, "merged_to_client_id"),
)

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
    Index(None, "entity_type", "phorest_id", "valid_to"),
)
"""What a row was until its content changed; the present row stands in its import table."""
