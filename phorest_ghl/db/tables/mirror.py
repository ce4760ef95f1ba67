"""GHL as last seen: the location with its state of going live, the custom fields we made, and the contacts it holds."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Table

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, text

ghl_locations = Table(
    "ghl_locations",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    text("mode", default="quiet"),
    text("timezone", null=True),
    Column("allows_duplicates", Boolean),
    json("unique_identifiers"),
    Column("read_at", Instant),
    Column("mirrored_at", Instant),
    Column("polled_at", Instant),
    Column("fields_read_at", Instant),
    Column("events_read_at", Instant),
    Column("workflows_confirmed_at", Instant),
    text("workflows_confirmed_by", null=True),
    text("written_in", null=True),
    Column("live_at", Instant),
    moment("created_at"),
    CheckConstraint("mode in ('quiet', 'live')", name="mode"),
)
"""`mode` is `quiet` until go-live (safety S1); `mirrored_at` is the last complete read-back of its contacts,
`polled_at` (GHL's clock) up to when opt-outs have been asked for, `fields_read_at` when its custom fields were listed,
`events_read_at` when its calendars were read back, `written_in` the database from which it was first written to."""

ghl_fields = Table(
    "ghl_fields",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("field_key", text("x").type, primary_key=True),
    text("field_id"),
    text("name"),
    text("data_type"),
    Column("confirmed", Boolean, nullable=False, server_default="false"),
    moment("created_at"),
)
"""Custom fields that are ours: made by us, or found and confirmed by a person (`confirmed`, safety S18)."""

ghl_contacts = Table(
    "ghl_contacts",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("ghl_id", text("x").type, primary_key=True),
    text("first_name", null=True),
    text("last_name", null=True),
    text("email", null=True),
    text("phone", null=True),
    text("street_address", null=True),
    text("city", null=True),
    text("state", null=True),
    text("postal_code", null=True),
    text("country", null=True),
    text("date_of_birth", null=True),
    Column("dnd", Boolean),
    json("dnd_settings"),
    json("custom_fields", null=False, default="{}"),
    json("tags", null=False, default="[]"),
    Column("date_added", Instant),
    Column("date_updated", Instant),
    Column("seen_at", Instant, nullable=False),
    text("seen_by"),
    Column("gone_at", Instant),
    Index(None, "location_id", "email"),
    Index(None, "location_id", "phone"),
    CheckConstraint("seen_by in ('search', 'read', 'answer')", name="seen_by"),
)
"""The mirror. `seen_by` says how: only a read by id or our own write's answer may carry consent decisions (S10).
`custom_fields` is {field id: value}; `gone_at` is set when GHL said that the contact no longer exists."""
