"""Switches that a person throws and every run looks at."""

from sqlalchemy import Column, Index, Table
from sqlalchemy import text as sql

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text

pauses = Table(
    "pauses",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("operator"),
    text("reason", null=True),
    json("schedules", null=False, default="[]"),
    moment("paused_at"),
    Column("resumed_at", Instant),
    text("resumed_by", null=True),
    Index(
        "uq_pauses_open",
        "location_id",
        "entity_type",
        unique=True,
        postgresql_where=sql("resumed_at is null"),
    ),
)
"""While a row is open no run of its entity writes to the location; an empty `entity_type` is all of them. `schedules` are
those that were turned off with it, to be turned on again. Rows are never deleted: who paused what is evidence."""
