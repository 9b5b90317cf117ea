"""Who took part in a recording, from its media; and the names of files that say so."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("recordings", sa.Column("filename_template", sa.Text))
    op.create_table(
        "presences",
        sa.Column("recording", sa.String(40), nullable=False),
        sa.Column("participant", sa.String(256), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("joined_at", _TIME, nullable=False),
        sa.Column("left_at", _TIME),
        sa.PrimaryKeyConstraint("recording", "participant", name="pk_presences"),
        sa.ForeignKeyConstraint(
            ["recording"], ["recordings.id"], name="fk_presences_recording", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("presences")
    with op.batch_alter_table("recordings") as table:
        table.drop_column("filename_template")
