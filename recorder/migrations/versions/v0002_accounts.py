"""Every conversation belongs to an account; those that are there already, to the default one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("account", sa.String(256), nullable=False, server_default="default")
    op.add_column("conversations", column)
    op.create_index("ix_conversations_account", "conversations", ["account"])


def downgrade() -> None:
    op.drop_index("ix_conversations_account", "conversations")
    with op.batch_alter_table("conversations") as table:
        table.drop_column("account")
