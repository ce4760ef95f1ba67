"""The index of merged clients holds the merged ones only: most clients are none, and each new row paid for an entry."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAME = "ix_phorest_clients_merged_to_client_id"


def upgrade() -> None:
    """Forward."""
    op.drop_index(op.f(_NAME), "phorest_clients")
    op.create_index(
        op.f(_NAME),
        "phorest_clients",
        ["merged_to_client_id"],
        postgresql_where=sa.text("merged_to_client_id is not null"),
    )


def downgrade() -> None:
    """Back."""
    op.drop_index(op.f(_NAME), "phorest_clients")
    op.create_index(op.f(_NAME), "phorest_clients", ["merged_to_client_id"])
