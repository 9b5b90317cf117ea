"""Whose share an answer that may be asked for again counts against."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("kept_answers", sa.Column("payer", sa.String(256), nullable=False, server_default=""))
    op.create_index("ix_kept_answers_payer_kept_at", "kept_answers", ["payer", "kept_at"])


def downgrade() -> None:
    op.drop_index("ix_kept_answers_payer_kept_at", "kept_answers")
    op.drop_column("kept_answers", "payer")
