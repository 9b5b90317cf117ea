"""Deleted recordings, for as long as something of them may still arrive in a store."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("recording", sa.String(40), primary_key=True),
        sa.Column("object_key", sa.String(1024), nullable=False),
        sa.Column("store", sa.String(40)),
        sa.Column("deleted_at", _TIME, nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("look_at", _TIME, nullable=False),
    )
    op.create_index("ix_deletions_look_at", "deletions", ["look_at"])


def downgrade() -> None:
    op.drop_table("deletions")
