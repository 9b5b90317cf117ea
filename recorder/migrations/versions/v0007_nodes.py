"""Which node records, and which goes on with a conversation; what is there already is of nobody.

Until now a database had one server, so that whoever opens it next may take up what has no node.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("recordings", "supervisions"):
        op.add_column(table, sa.Column("node", sa.String(64)))


def downgrade() -> None:
    for name in ("recordings", "supervisions"):
        with op.batch_alter_table(name) as table:
            table.drop_column("node")
