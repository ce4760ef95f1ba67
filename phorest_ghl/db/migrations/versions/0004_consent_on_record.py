"""Consent on record: whose cause closes which channel, and what each client's flags were when a run last looked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "consent_observations",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=True),
        sa.Column("phone_key", sa.Text(), nullable=True),
        sa.Column("email_marketing", sa.Boolean(), nullable=True),
        sa.Column("email_reminder", sa.Boolean(), nullable=True),
        sa.Column("sms_marketing", sa.Boolean(), nullable=True),
        sa.Column("sms_reminder", sa.Boolean(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("location_id", "phorest_id", name=op.f("pk_consent_observations")),
    )
    op.create_table(
        "former_contacts",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("location_id", "ghl_id", name=op.f("pk_former_contacts")),
    )
    # Several clients may close one channel at one address for the same cause, and each takes back its own.
    op.execute("update suppressions set source_id = '' where source_id is null")
    op.alter_column("suppressions", "source_id", nullable=False, server_default="")
    op.drop_index("uq_suppressions_active", table_name="suppressions")
    op.create_index(
        "uq_suppressions_active",
        "suppressions",
        ["location_id", "address_key", "channel", "cause", "source_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at is null"),
    )
    op.add_column("ghl_locations", sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("ghl_locations", sa.Column("fields_read_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("street_address", "city", "state", "postal_code", "country", "date_of_birth"):
        op.add_column("ghl_contacts", sa.Column(name, sa.Text(), nullable=True))
    # What was mirrored before these columns lacks them, so the location is read back once more.
    op.execute("update ghl_locations set mirrored_at = null")
