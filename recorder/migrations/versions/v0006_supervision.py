"""What an interaction waits for, where each conversation's recordings stand, and what was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("interactions") as interactions:
        interactions.add_column(sa.Column("by_pin", sa.Boolean, nullable=False, server_default=sa.false()))
        interactions.add_column(sa.Column("state", sa.String(64), nullable=False, server_default="RUNNING"))
        interactions.add_column(sa.Column("recorded", sa.Boolean, nullable=False, server_default=sa.false()))
        interactions.add_column(sa.Column("owner", sa.String(64)))
    table = sa.table("interactions", sa.column("state", sa.String), sa.column("ended_at", _TIME))
    op.execute(table.update().where(table.c.ended_at.is_not(None)).values(state="ENDED"))
    op.create_table(
        "supervisions",
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("supervision", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("conversation", name="pk_supervisions"),
        _of_conversation("supervisions"),
    )
    op.create_table(
        "decisions",
        sa.Column("sequence", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("interaction", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("may_start", sa.Boolean, nullable=False),
        sa.Column("must_end", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("recording", sa.String(40)),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_decisions"),
        _of_conversation("decisions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_conversation_sequence", "decisions", ["conversation", "sequence"])


def downgrade() -> None:
    op.drop_table("decisions")
    op.drop_table("supervisions")
    with op.batch_alter_table("interactions") as interactions:
        for column in ("owner", "recorded", "state", "by_pin"):
            interactions.drop_column(column)


def _of_conversation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["conversation"], ["conversations.id"], name=f"fk_{table}_conversation", ondelete="CASCADE"
    )
