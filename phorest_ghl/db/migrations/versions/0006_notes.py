"""Our notes in GHL: which one is of which appointment, on which contact."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "ghl_notes",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("location_id", "ghl_id", name=op.f("pk_ghl_notes")),
    )
    op.create_index(op.f("ix_ghl_notes_location_id_contact_id"), "ghl_notes", ["location_id", "contact_id"])
