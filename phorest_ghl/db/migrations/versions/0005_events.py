"""Calendar events: what GHL holds of them, and what clients were told of their visits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "ghl_events",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("ghl_id", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=True)
            for name in ("calendar_id", "contact_id", "title", "description", "status", "user_id")
        ),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=True)
            for name in ("starts_at", "ends_at", "date_added")
        ),
        sa.Column("created_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("location_id", "ghl_id", name=op.f("pk_ghl_events")),
    )
    op.create_index(op.f("ix_ghl_events_location_id_contact_id"), "ghl_events", ["location_id", "contact_id"])
    op.create_table(
        "event_announcements",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("location_id", "client_id", "branch_id", "day")),
        sa.Column("phorest_id", sa.Text(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("told_up_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "client_id", "branch_id", "day", name=op.f("pk_event_announcements")),
    )
    op.add_column("ghl_locations", sa.Column("events_read_at", sa.DateTime(timezone=True), nullable=True))
