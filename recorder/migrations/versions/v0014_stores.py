"""The stores that there were, and which of them a recording lies in.

Of those that are there nobody wrote it down: the next server to start takes them to be in the store of its
[storage], as every server did until now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stores",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("url", sa.String(1024), nullable=False),
        sa.Column("endpoint", sa.String(1024)),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True)),
    )
    op.add_column("recordings", sa.Column("store", sa.String(40)))
    op.add_column("recordings", sa.Column("moved_from", sa.String(40)))


def downgrade() -> None:
    with op.batch_alter_table("recordings") as table:
        table.drop_column("moved_from")
        table.drop_column("store")
    op.drop_table("stores")
