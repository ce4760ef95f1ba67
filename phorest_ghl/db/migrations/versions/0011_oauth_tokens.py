"""Tokens of a marketplace app: whose they are, which app's, and where a refresh stands."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLE = "ghl_oauth_tokens"


def upgrade() -> None:
    """Forward."""
    op.add_column(_TABLE, sa.Column("user_type", sa.Text(), server_default="Location", nullable=False))
    op.add_column(_TABLE, sa.Column("company_id", sa.Text(), nullable=True))
    op.add_column(_TABLE, sa.Column("client_id", sa.Text(), nullable=True))
    for name in ("refresh_expires_at", "refresh_sent_at", "refused_at"):
        op.add_column(_TABLE, sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Back."""
    for name in ("refused_at", "refresh_sent_at", "refresh_expires_at", "client_id", "company_id", "user_type"):
        op.drop_column(_TABLE, name)
