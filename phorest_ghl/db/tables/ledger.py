"""What we did to GHL and what it acknowledged: mappings, intents, changes field by field, guarded contacts, and stops."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table
from sqlalchemy import text as sql

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text

entity_mappings = Table(
    "entity_mappings",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("phorest_id"),
    text("ghl_id"),
    text("role", default="primary"),
    json("acked", null=False, default="{}"),
    text("source_hash", null=True),
    Column("projection_version", Integer),
    json("metadata"),
    Column("removed_at", Instant),
    moment("created_at"),
    moment("updated_at"),
    Index("uq_entity_mappings_source", "location_id", "entity_type", "phorest_id", unique=True),
    Index(
        "uq_entity_mappings_primary",
        "location_id",
        "entity_type",
        "ghl_id",
        unique=True,
        postgresql_where=sql("role = 'primary' and removed_at is null"),
    ),
    Index(None, "phorest_id"),
    Index(None, "ghl_id"),
    CheckConstraint("role in ('primary', 'secondary')", name="role"),
)
"""Phorest id ↔ id of the GHL object itself. `acked` is {facet: {field: keyed hash of the value GHL acknowledged}}.
Rows are never deleted, only marked removed."""

sync_intents = Table(
    "sync_intents",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("phorest_id"),
    text("target_kind"),
    text("state"),
    json("address_keys", null=False, default="[]"),
    text("request_hash", null=True),
    text("ghl_id", null=True),
    text("batch_id"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text("detail", null=True),
    moment("planned_at"),
    Column("sent_at", Instant),
    Column("vendor_date", Instant),
    Column("settled_at", Instant),
    Index(
        "uq_sync_intents_open",
        "location_id",
        "entity_type",
        "phorest_id",
        "target_kind",
        unique=True,
        postgresql_where=sql("state in ('planned', 'sent', 'unknown')"),
    ),
    Index(None, "location_id", "state"),
    CheckConstraint("state in ('planned', 'sent', 'unknown', 'confirmed', 'refused', 'withdrawn')", name="state"),
)
"""The journal: one row committed before each create. `sent` and `unknown` are looked up before anything is repeated."""

sync_changes = Table(
    "sync_changes",
    metadata,
    row_id(),
    text("batch_id"),
    text("location_id"),
    text("entity_type"),
    text("phorest_id"),
    text("ghl_id", null=True),
    text("action"),
    text("facet"),
    text("field"),
    text("rule"),
    text("before_hash", null=True),
    text("after_hash", null=True),
    text("outcome"),
    moment("created_at"),
    Index(None, "entity_type", "phorest_id"),
    Index(None, "batch_id"),
)
"""Field-level provenance of every write: which run, which rule, keyed hashes before and after, what GHL said."""

guarded_contacts = Table(
    "guarded_contacts",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("ghl_id", text("x").type, primary_key=True),
    text("batch_id"),
    moment("guarded_at"),
    Column("released_at", Instant),
)
"""Contacts that carry the guard tag because of us; only go-live releases it (safety S1)."""

former_contacts = Table(
    "former_contacts",
    metadata,
    Column("location_id", text("x").type, primary_key=True),
    Column("ghl_id", text("x").type, primary_key=True),
    text("phorest_id"),
    text("cause"),
    text("batch_id"),
    moment("since"),
)
"""Contacts that no client has any more, closed and tagged when that happened: what a merge left behind (design §6)."""

apply_stops = Table(
    "apply_stops",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("guard"),
    Column("figure", Integer, nullable=False),
    Column("bound", Integer, nullable=False),
    text("sentence"),
    text("batch_id"),
    moment("stopped_at"),
    text("allowed_by", null=True),
    Column("allowed_at", Instant),
    Column("ended_at", Instant),
    text("ended_by", null=True),
    text("ending", null=True),
    Index(
        "uq_apply_stops_open",
        "location_id",
        "entity_type",
        "guard",
        unique=True,
        postgresql_where=sql("ended_at is null"),
    ),
    CheckConstraint("ending in ('used', 'passed', 'outgrown', 'lapsed')", name="ending"),
)
"""What a guard held back, and its one way out: who allowed it, and which run (`ended_by`) used that. Rows are never
deleted: who let what pass is evidence. An allowance is of the `figure` that was shown, and lapses after a day."""
