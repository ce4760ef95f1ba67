"""Consent as evidence: what was observed to change, and the addresses that must stay silent whatever happens."""

from sqlalchemy import Boolean, Column, Index, Table
from sqlalchemy import text as sql

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text

consent_events = Table(
    "consent_events",
    metadata,
    row_id(),
    text("source"),
    text("phorest_id", null=True),
    text("ghl_id", null=True),
    text("channel"),
    text("purpose"),
    text("address_key", null=True),
    Column("before", Boolean),
    Column("after", Boolean),
    text("batch_id"),
    json("detail"),
    moment("observed_at"),
    Index(None, "phorest_id", "channel"),
    Index(None, "address_key"),
)
"""An observed change of a consent flag between two imports, or of a channel in GHL. Append only. A null flag is unknown
and counts as false; `observed_at` is our observation, for Phorest gives booleans without times (safety S7)."""

suppressions = Table(
    "suppressions",
    metadata,
    row_id(),
    text("location_id"),
    text("address_key"),
    text("channel"),
    text("cause"),
    text("source_id", null=True),
    text("batch_id"),
    moment("created_at"),
    Column("lifted_at", Instant),
    Index(
        "uq_suppressions_active",
        "location_id",
        "address_key",
        "channel",
        "cause",
        unique=True,
        postgresql_where=sql("lifted_at is null"),
    ),
)
"""The ledger of S9: keyed hash of the address and the channel that may not be used; it outlives contacts."""
