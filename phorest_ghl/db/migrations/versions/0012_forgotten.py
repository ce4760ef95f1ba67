"""Tombstones of people who were forgotten: keyed hashes that import, repair and mirror obey (safety S21)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "forgotten",
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_hash", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proof", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_forgotten")),
        sa.CheckConstraint("kind in ('client', 'contact', 'address')", name=op.f("ck_forgotten_kind")),
    )
    op.create_index(op.f("ix_forgotten_person_hash"), "forgotten", ["person_hash"])


def downgrade() -> None:
    """Back."""
    op.drop_table("forgotten")
