"""Files that people send each other, pictures that agents take, and backgrounds."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("messages", sa.Column("file", sa.String(40)))
    op.create_table(
        "files",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("filename", sa.String(256), nullable=False),
        sa.Column("content_type", sa.String(256), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("participant", sa.String(40)),
        sa.Column("name", sa.String(256)),
        sa.Column("subject", sa.String(40)),
        sa.Column("source", sa.String(64)),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("failure", sa.String(64)),
        sa.Column("object_key", sa.String(1024), nullable=False),
        sa.Column("store", sa.String(40)),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("available_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversations.id"], name="fk_files_conversation", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_files_conversation_id", "files", ["conversation", "id"])
    op.create_index("ix_files_state_id", "files", ["state", "id"])
    op.create_table(
        "backgrounds",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account", sa.String(256), nullable=False),
        sa.Column("template", sa.String(256)),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("content_type", sa.String(256), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("object_key", sa.String(1024), nullable=False),
        sa.Column("store", sa.String(40)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backgrounds"),
    )
    op.create_index("ix_backgrounds_account_id", "backgrounds", ["account", "id"])


def downgrade() -> None:
    op.drop_table("backgrounds")
    op.drop_table("files")
    op.drop_column("messages", "file")
