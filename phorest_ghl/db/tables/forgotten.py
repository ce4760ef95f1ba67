"""Who must not come back: keyed hashes alone, so that the table names nobody (safety S21)."""

from sqlalchemy import CheckConstraint, Column, Index, Table

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, text

forgotten = Table(
    "forgotten",
    metadata,
    Column("key_hash", text("x").type, primary_key=True),
    text("kind"),
    text("person_hash"),
    text("operator"),
    moment("begun_at"),
    Column("completed_at", Instant),
    json("proof", null=False, default="{}"),
    Index(None, "person_hash"),
    CheckConstraint("kind in ('client', 'contact', 'address')", name="kind"),
)
"""One row a client id, contact id or address of a forgotten person; `person_hash` is the client's that was named. Import,
repair and mirror obey it. `proof` says what was erased: counts, by table. Rows are never deleted."""
