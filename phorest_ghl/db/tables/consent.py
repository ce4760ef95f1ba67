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
    text("source_id", default=""),
    text("batch_id"),
    moment("created_at"),
    Column("lifted_at", Instant),
    Index(
        "uq_suppressions_active",
        "location_id",
        "address_key",
        "channel",
        "cause",
        "source_id",
        unique=True,
        postgresql_where=sql("lifted_at is null"),
    ),
)
"""The causes on record (S7, S9): keyed hash of the address, the channel that may not be used there, and whose cause it is: a
Phorest client's, or for `GHL` a contact's. A row outlives contacts, and is lifted by its own reversal alone."""

consent_observations = Table(
    "consent_observations",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("phorest_id", text("x").type, primary_key=True),
    text("email_key", null=True),
    text("phone_key", null=True),
    Column("email_marketing", Boolean),
    Column("email_reminder", Boolean),
    Column("sms_marketing", Boolean),
    Column("sms_reminder", Boolean),
    moment("observed_at"),
)
"""Each client's flags and keyed addresses as the last run of a location saw them: what an opt-in is told from."""
