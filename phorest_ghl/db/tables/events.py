"""Appointments in GHL's calendars as last seen."""

from sqlalchemy import Boolean, Column, Index, Table

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, text

ghl_events = Table(
    "ghl_events",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("ghl_id", text("x").type, primary_key=True),
    text("calendar_id", null=True),
    text("contact_id", null=True),
    text("title", null=True),
    text("description", null=True),
    text("status", null=True),
    text("user_id", null=True),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("date_added", Instant),
    json("created_by"),
    moment("seen_at"),
    Column("gone_at", Instant),
    Index(None, "location_id", "contact_id"),
)
"""One row an event, ours and other people's. `created_by` is who made it, where an answer says so; `gone_at` is set when
GHL said that the event no longer exists: it is not made again."""

event_announcements = Table(
    "event_announcements",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("client_id", text("x").type, primary_key=True),
    Column("branch_id", text("x").type, primary_key=True),
    Column("day", text("x").type, primary_key=True),
    text("phorest_id"),
    Column("cancelled", Boolean, nullable=False),
    Column("told_up_to", Instant, nullable=False),
    text("batch_id"),
    moment("announced_at"),
)
"""What a client was last told of a visit, which is all rows of a client, branch and local date (safety S2): the row that
announced it, whether that it is cancelled, and up to which change of Phorest's it was true."""
