"""What guards have stopped and who let it pass; in which database a location is written from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("ghl_locations", sa.Column("written_in", sa.Text(), nullable=True))
    op.create_table(
        "apply_stops",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("guard", sa.Text(), nullable=False),
        sa.Column("figure", sa.Integer(), nullable=False),
        sa.Column("bound", sa.Integer(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("allowed_by", sa.Text(), nullable=True),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.CheckConstraint("ending in ('used', 'passed', 'outgrown', 'lapsed')", name=op.f("ck_apply_stops_ending")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apply_stops")),
    )
    op.create_index(
        "uq_apply_stops_open",
        "apply_stops",
        ["location_id", "entity_type", "guard"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("apply_stops")
    op.drop_column("ghl_locations", "written_in")
