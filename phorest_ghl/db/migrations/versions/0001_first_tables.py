"""The first tables: import, mirror, ledger, consent, operations; and the predecessor's view of a client's sync."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "api_budget",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_api_budget")),
    )
    op.create_table(
        "audit_findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=True),
        sa.Column("ghl_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("work_item_id", sa.BigInteger(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_findings")),
    )
    op.create_index(op.f("ix_audit_findings_location_id_kind"), "audit_findings", ["location_id", "kind"], unique=False)
    op.create_table(
        "consent_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=True),
        sa.Column("ghl_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=True),
        sa.Column("before", sa.Boolean(), nullable=True),
        sa.Column("after", sa.Boolean(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
    )
    op.create_index(op.f("ix_consent_events_address_key"), "consent_events", ["address_key"], unique=False)
    op.create_index(
        op.f("ix_consent_events_phorest_id_channel"), "consent_events", ["phorest_id", "channel"], unique=False
    )
    op.create_table(
        "entity_mappings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="primary", nullable=False),
        sa.Column("acked", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("source_hash", sa.Text(), nullable=True),
        sa.Column("projection_version", sa.Integer(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role in ('primary', 'secondary')", name=op.f("ck_entity_mappings_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entity_mappings")),
    )
    op.create_index(op.f("ix_entity_mappings_ghl_id"), "entity_mappings", ["ghl_id"], unique=False)
    op.create_index(op.f("ix_entity_mappings_phorest_id"), "entity_mappings", ["phorest_id"], unique=False)
    op.create_index(
        "uq_entity_mappings_primary",
        "entity_mappings",
        ["location_id", "entity_type", "ghl_id"],
        unique=True,
        postgresql_where=sa.text("role = 'primary' and removed_at is null"),
    )
    op.create_index(
        "uq_entity_mappings_source", "entity_mappings", ["location_id", "entity_type", "phorest_id"], unique=True
    )
    op.create_table(
        "ghl_contacts",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("dnd", sa.Boolean(), nullable=True),
        sa.Column("dnd_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("custom_fields", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("date_added", sa.DateTime(timezone=True), nullable=True),
        sa.Column("date_updated", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_by", sa.Text(), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("seen_by in ('search', 'read', 'answer')", name=op.f("ck_ghl_contacts_seen_by")),
        sa.PrimaryKeyConstraint("location_id", "ghl_id", name=op.f("pk_ghl_contacts")),
    )
    op.create_index(op.f("ix_ghl_contacts_location_id_email"), "ghl_contacts", ["location_id", "email"], unique=False)
    op.create_index(op.f("ix_ghl_contacts_location_id_phone"), "ghl_contacts", ["location_id", "phone"], unique=False)
    op.create_table(
        "ghl_fields",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("field_key", sa.Text(), nullable=False),
        sa.Column("field_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("location_id", "field_key", name=op.f("pk_ghl_fields")),
    )
    op.create_table(
        "ghl_locations",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), server_default="quiet", nullable=False),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("allows_duplicates", sa.Boolean(), nullable=True),
        sa.Column("unique_identifiers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mirrored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("workflows_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("workflows_confirmed_by", sa.Text(), nullable=True),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('quiet', 'live')", name=op.f("ck_ghl_locations_mode")),
        sa.PrimaryKeyConstraint("location_id", name=op.f("pk_ghl_locations")),
    )
    op.create_table(
        "ghl_oauth_tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("access_token", sa.Text(), nullable=False),
        sa.Column("refresh_token", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ghl_oauth_tokens")),
    )
    op.create_index("uq_ghl_oauth_tokens_location", "ghl_oauth_tokens", ["location_id"], unique=True)
    op.create_table(
        "guarded_contacts",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("guarded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("location_id", "ghl_id", name=op.f("pk_guarded_contacts")),
    )
    op.create_table(
        "import_cursors",
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("watermark", sa.DateTime(timezone=True), nullable=True),
        sa.Column("full_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("entity_type", "scope", name=op.f("pk_import_cursors")),
    )
    op.create_table(
        "key_fingerprints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_key_fingerprints")),
    )
    op.create_table(
        "phorest_branches",
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("currency_code", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("street_address_1", sa.Text(), nullable=True),
        sa.Column("street_address_2", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("phorest_id", name=op.f("pk_phorest_branches")),
    )
    op.create_table(
        "phorest_client_categories",
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("colour", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=True),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("phorest_id", name=op.f("pk_phorest_client_categories")),
    )
    op.create_table(
        "phorest_clients",
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("mobile", sa.Text(), nullable=True),
        sa.Column("linked_client_mobile", sa.Text(), nullable=True),
        sa.Column("linked_client_id", sa.Text(), nullable=True),
        sa.Column("land_line", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("street_address_1", sa.Text(), nullable=True),
        sa.Column("street_address_2", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("preferred_staff_id", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("creating_branch_id", sa.Text(), nullable=True),
        sa.Column("last_visited_branch_id", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("client_category_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("banned", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("merged_to_client_id", sa.Text(), nullable=True),
        sa.Column("walk_in", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("sms_marketing_consent", sa.Boolean(), nullable=True),
        sa.Column("email_marketing_consent", sa.Boolean(), nullable=True),
        sa.Column("sms_reminder_consent", sa.Boolean(), nullable=True),
        sa.Column("email_reminder_consent", sa.Boolean(), nullable=True),
        sa.Column("loyalty_card_serial", sa.Text(), nullable=True),
        sa.Column("loyalty_points", sa.Numeric(), nullable=True),
        sa.Column("credit_balance", sa.Numeric(), nullable=True),
        sa.Column("client_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_visit", sa.Date(), nullable=True),
        sa.Column("last_visit", sa.Date(), nullable=True),
        sa.Column("phorest_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("phorest_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("phorest_id", name=op.f("pk_phorest_clients")),
    )
    op.create_index(
        op.f("ix_phorest_clients_merged_to_client_id"), "phorest_clients", ["merged_to_client_id"], unique=False
    )
    op.create_table(
        "phorest_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phorest_versions")),
    )
    op.create_index(
        op.f("ix_phorest_versions_entity_type_phorest_id_valid_to"),
        "phorest_versions",
        ["entity_type", "phorest_id", "valid_to"],
        unique=False,
    )
    op.create_table(
        "suppressions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
    )
    op.create_index(
        "uq_suppressions_active",
        "suppressions",
        ["location_id", "address_key", "channel", "cause"],
        unique=True,
        postgresql_where=sa.text("lifted_at is null"),
    )
    op.create_table(
        "sync_audit_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("audit_run_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("local_count", sa.Integer(), nullable=False),
        sa.Column("ghl_count", sa.Integer(), nullable=False),
        sa.Column("match", sa.Boolean(), nullable=True),
        sa.Column("discrepancy", sa.Integer(), nullable=True),
        sa.Column("sample_checks", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("audited_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_audit_logs")),
    )
    op.create_index(op.f("ix_sync_audit_logs_audit_run_id"), "sync_audit_logs", ["audit_run_id"], unique=False)
    op.create_index(op.f("ix_sync_audit_logs_audited_at"), "sync_audit_logs", ["audited_at"], unique=False)
    op.create_index(op.f("ix_sync_audit_logs_entity_type"), "sync_audit_logs", ["entity_type"], unique=False)
    op.create_table(
        "sync_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("facet", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("before_hash", sa.Text(), nullable=True),
        sa.Column("after_hash", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_changes")),
    )
    op.create_index(op.f("ix_sync_changes_batch_id"), "sync_changes", ["batch_id"], unique=False)
    op.create_index(
        op.f("ix_sync_changes_entity_type_phorest_id"), "sync_changes", ["entity_type", "phorest_id"], unique=False
    )
    op.create_table(
        "sync_intents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("address_keys", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=True),
        sa.Column("ghl_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("vendor_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('planned', 'sent', 'unknown', 'confirmed', 'refused', 'withdrawn')",
            name=op.f("ck_sync_intents_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_intents")),
    )
    op.create_index(op.f("ix_sync_intents_location_id_state"), "sync_intents", ["location_id", "state"], unique=False)
    op.create_index(
        "uq_sync_intents_open",
        "sync_intents",
        ["location_id", "entity_type", "phorest_id", "target_kind"],
        unique=True,
        postgresql_where=sa.text("state in ('planned', 'sent', 'unknown')"),
    )
    op.create_table(
        "sync_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("retry_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("target_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("response_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_logs")),
    )
    op.create_index(op.f("ix_sync_logs_batch_id"), "sync_logs", ["batch_id"], unique=False)
    op.create_index(op.f("ix_sync_logs_entity_type_entity_id"), "sync_logs", ["entity_type", "entity_id"], unique=False)
    op.create_index(op.f("ix_sync_logs_status_created_at"), "sync_logs", ["status", "created_at"], unique=False)
    op.create_table(
        "sync_run_summaries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("total_count", sa.Integer(), nullable=False),
        sa.Column("success_count", sa.Integer(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("skipped_count", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("outcomes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status in ('running', 'completed', 'failed', 'partial')", name=op.f("ck_sync_run_summaries_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_run_summaries")),
    )
    op.create_index(op.f("ix_sync_run_summaries_created_at"), "sync_run_summaries", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_sync_run_summaries_direction_entity_type"),
        "sync_run_summaries",
        ["direction", "entity_type"],
        unique=False,
    )
    op.create_index(op.f("ix_sync_run_summaries_status"), "sync_run_summaries", ["status"], unique=False)
    op.create_index("uq_sync_run_summaries_batch", "sync_run_summaries", ["batch_id", "entity_type"], unique=True)
    op.create_table(
        "work_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("source_hash", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('open', 'resolved', 'given_up')", name=op.f("ck_work_items_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_items")),
    )
    op.create_index(op.f("ix_work_items_state_next_try_at"), "work_items", ["state", "next_try_at"], unique=False)
    op.create_index(
        "uq_work_items_open",
        "work_items",
        ["location_id", "entity_type", "phorest_id", "cause"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    # Rewritten several times a second: with room on its page, an update stays there and touches no index.
    op.execute("alter table api_budget set (fillfactor = 50)")
    op.execute(CLIENT_SYNC_VIEW)


# What the predecessor kept in columns of phorest_clients, computed: a copy would be a second truth that goes stale.
CLIENT_SYNC_VIEW = """
create view phorest_clients_sync as
select c.phorest_id,
       case when w.phorest_id is not null then 'FAILED'
            when m.ghl_id is not null then 'SYNCED'
            when c.deleted or c.archived or c.banned or c.walk_in or c.merged_to_client_id is not null then 'SKIPPED'
            else 'PENDING' end as sync_status,
       m.ghl_id as ghl_contact_id,
       m.updated_at as last_synced_at,
       w.reason as sync_error,
       c.first_seen_at as created_at,
       c.changed_at as updated_at
from phorest_clients c
left join entity_mappings m on m.entity_type = 'client' and m.phorest_id = c.phorest_id and m.removed_at is null
left join lateral (
    select phorest_id, reason from work_items
    where entity_type = 'client' and phorest_id = c.phorest_id and state = 'open'
    order by updated_at desc limit 1
) w on true
"""
