"""Our notes in GHL as last seen. What a note says is not kept: it may name a service."""

from sqlalchemy import Column, Index, Table

from phorest_ghl.db.tables._base import Instant, metadata, moment, text

ghl_notes = Table(
    "ghl_notes",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("ghl_id", text("x").type, primary_key=True),
    text("contact_id"),
    text("phorest_id"),
    moment("seen_at"),
    Column("gone_at", Instant),
    Index(None, "location_id", "contact_id"),
)
"""One row a check-in note. `contact_id` is the contact that it was put on, `phorest_id` the appointment that it is of,
`gone_at` when GHL was seen without it: it is not put back (safety S16)."""
