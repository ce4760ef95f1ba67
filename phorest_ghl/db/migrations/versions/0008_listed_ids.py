"""The ids that a read has listed are stored as they are: they live for minutes, and compressing them cost an import 3 %."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    for column in ("ids", "other_ids"):
        op.execute(f"alter table import_listed alter column {column} set storage external")


def downgrade() -> None:
    """Back."""
    for column in ("ids", "other_ids"):
        op.execute(f"alter table import_listed alter column {column} set storage default")
