"""Which failed recording counts the ones that fail after it; those that are there stand for themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("continues", sa.String(40)))


def downgrade() -> None:
    with op.batch_alter_table("recordings") as table:
        table.drop_column("continues")
