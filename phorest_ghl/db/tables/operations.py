"""Running the thing: run summaries and logs, work items, findings, cursors, budgets, tokens, key fingerprints."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table
from sqlalchemy import text as sql

from phorest_ghl.db.tables._base import Instant, json, metadata, moment, row_id, text

sync_run_summaries = Table(
    "sync_run_summaries",
    metadata,
    row_id(),
    text("batch_id"),
    text("job_id", null=True),
    text("direction"),
    text("entity_type"),
    Column("total_count", Integer, nullable=False),
    Column("success_count", Integer, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("skipped_count", Integer, nullable=False),
    text("status"),
    json("outcomes", null=False, default="{}"),
    Column("requests", Integer, nullable=False, server_default="0"),
    moment("started_at", default=False),
    Column("completed_at", Instant),
    Column("duration_ms", BigInteger),
    text("last_error", null=True),
    moment("created_at"),
    moment("updated_at"),
    Index("uq_sync_run_summaries_batch", "batch_id", "entity_type", unique=True),
    Index(None, "status"),
    Index(None, "direction", "entity_type"),
    Index(None, "created_at"),
    CheckConstraint("status in ('running', 'completed', 'failed', 'partial')", name="status"),
)
"""One row a run and entity, written once, when it ends."""

sync_logs = Table(
    "sync_logs",
    metadata,
    row_id(),
    text("run_id", null=True),
    text("job_id", null=True),
    text("batch_id"),
    text("entity_type"),
    text("entity_id", null=True),
    text("direction"),
    text("action"),
    text("status"),
    text("error_code", null=True),
    text("error_message", null=True),
    Column("retry_count", Integer, nullable=False, server_default="0"),
    json("source_data"),
    json("target_data"),
    json("response_data"),
    moment("started_at"),
    Column("completed_at", Instant),
    Column("duration_ms", BigInteger),
    moment("created_at"),
    Index(None, "batch_id"),
    Index(None, "entity_type", "entity_id"),
    Index(None, "status", "created_at"),
)
"""Changes and failures only, one row an item; the data columns hold field names and ids, never personal values."""

sync_audit_logs = Table(
    "sync_audit_logs",
    metadata,
    row_id(),
    text("audit_run_id"),
    text("entity_type"),
    Column("local_count", Integer, nullable=False),
    Column("ghl_count", Integer, nullable=False),
    Column("match", Boolean),
    Column("discrepancy", Integer),
    json("sample_checks"),
    json("details"),
    text("error_message", null=True),
    text("status"),
    Column("duration_ms", BigInteger),
    moment("audited_at"),
    moment("created_at"),
    Index(None, "audit_run_id"),
    Index(None, "entity_type"),
    Index(None, "audited_at"),
)
"""`match` is null where something was not checked; it is never true by default."""

audit_findings = Table(
    "audit_findings",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("phorest_id", null=True),
    text("ghl_id", null=True),
    text("kind"),
    json("detail", null=False, default="{}"),
    text("batch_id"),
    Column("work_item_id", BigInteger),
    moment("found_at"),
    Column("resolved_at", Instant),
    text("resolution", null=True),
    Index(None, "location_id", "kind"),
)

work_items = Table(
    "work_items",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("phorest_id"),
    text("cause"),
    text("reason"),
    text("state", default="open"),
    json("detail", null=False, default="{}"),
    text("source_hash", null=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try_at", Instant),
    moment("created_at"),
    moment("updated_at"),
    Column("resolved_at", Instant),
    Index(
        "uq_work_items_open",
        "location_id",
        "entity_type",
        "phorest_id",
        "cause",
        unique=True,
        postgresql_where=sql("state = 'open'"),
    ),
    Index(None, "state", "next_try_at"),
    CheckConstraint("state in ('open', 'resolved', 'given_up')", name="state"),
)
"""The one queue for repair, retry, review and healing: one open row a record and cause."""

review_decisions = Table(
    "review_decisions",
    metadata,
    row_id(),
    text("location_id"),
    text("entity_type"),
    text("phorest_id"),
    text("ghl_id", null=True),
    text("kind"),
    text("operator"),
    moment("decided_at"),
    Column("used_at", Instant),
    json("detail", null=False, default="{}"),
    Index(
        "uq_review_decisions_open",
        "location_id",
        "entity_type",
        "phorest_id",
        "kind",
        unique=True,
        postgresql_where=sql("used_at is null"),
    ),
    CheckConstraint("kind in ('adopt', 'refuse adoption', 'identity', 'recreate', 'opt-in')", name="kind"),
)
"""What a person decided about a record that waited, and when a run acted on it. `detail` holds ids, keyed hashes and
field names only. Rows are never deleted: who decided what is evidence."""

import_cursors = Table(
    "import_cursors",
    metadata,
    Column("entity_type", text("x").type, primary_key=True),
    Column("scope", text("x").type, primary_key=True),
    Column("watermark", Instant),
    Column("full_read_at", Instant),
    Column("probed_at", Instant),
    text("batch_id", null=True),
    moment("updated_at"),
)
"""How far an import has read, by the vendor's clock. Advanced only after every page committed; never backwards."""

api_budget = Table(
    "api_budget",
    metadata,
    Column("key", text("x").type, primary_key=True),
    json("state", null=False, default="{}"),
    moment("updated_at"),
)
"""One row a shared quota (a GHL location, a Phorest credential); its format belongs to `phorest_ghl.http.budget`."""

ghl_oauth_tokens = Table(
    "ghl_oauth_tokens",
    metadata,
    row_id(),
    text("location_id"),
    text("access_token"),
    text("refresh_token", null=True),
    moment("expires_at", default=False),
    json("scopes", null=False, default="[]"),
    moment("created_at"),
    moment("updated_at"),
    text("user_type", default="Location"),
    text("company_id", null=True),
    text("client_id", null=True),
    Column("refresh_expires_at", Instant, nullable=True),
    Column("refresh_sent_at", Instant, nullable=True),
    Column("refused_at", Instant, nullable=True),
    Index("uq_ghl_oauth_tokens_location", "location_id", unique=True),
)
"""Tokens sealed under PHOREST_GHL_SECRET_KEY, a row for each holder: a location, or an agency under its company id.

`refresh_sent_at` is set before a refresh token is spent and emptied with the pair that came back; `refused_at` says that the
vendor does not take the refresh token any more.
"""

key_fingerprints = Table(
    "key_fingerprints",
    metadata,
    Column("name", text("x").type, primary_key=True),
    text("fingerprint"),
    moment("created_at"),
)
"""Which hash key wrote this database: another key would make every address look new (design §10)."""
