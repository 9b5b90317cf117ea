"""How much of a recording's time its object lacks; of those that are there nobody wrote it down."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("missing_s", sa.Float()))


def downgrade() -> None:
    with op.batch_alter_table("recordings") as table:
        table.drop_column("missing_s")
