"""What other system an interaction is recorded from."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connectors",
        sa.Column("interaction", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("interaction", name="pk_connectors"),
        sa.ForeignKeyConstraint(
            ["interaction"], ["interactions.id"], name="fk_connectors_interaction", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("connectors")
