"""Scoped settings of accounts, templates and conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scoped_settings",
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(512), nullable=False),
        sa.Column("conversation", sa.String(40)),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "owner", name="pk_scoped_settings"),
        sa.ForeignKeyConstraint(
            ["conversation"],
            ["conversations.id"],
            name="fk_scoped_settings_conversation",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_scoped_settings_conversation", "scoped_settings", ["conversation"])


def downgrade() -> None:
    op.drop_table("scoped_settings")
