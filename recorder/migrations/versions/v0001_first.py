"""Conversations, participants, interactions, recordings with attempts, API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("external_id", sa.String(256)),
        sa.Column("template", sa.String(256)),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_external_id", "conversations", ["external_id"])
    _create_participants()
    _create_interactions()
    _create_recordings()
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )


def downgrade() -> None:
    for table in ("api_keys", "attempts", "recordings", "interactions", "participants", "conversations"):
        op.drop_table(table)


def _create_participants() -> None:
    op.create_table(
        "participants",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("added_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_participants"),
        _of_conversation("participants"),
        sa.UniqueConstraint("token_hash", name="uq_participants_token_hash"),
    )
    op.create_index("ix_participants_conversation", "participants", ["conversation"])


def _create_interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("layer", sa.String(64)),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_interactions"),
        _of_conversation("interactions"),
    )
    op.create_index("ix_interactions_conversation", "interactions", ["conversation"])


def _create_recordings() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("end_reason", sa.String(64)),
        sa.Column("failure", sa.String(64)),
        sa.Column("object_key", sa.String(1024), nullable=False),
        sa.Column("filename", sa.String(256), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("duration_s", sa.Float),
        sa.Column("bytes", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        _of_conversation("recordings"),
    )
    op.create_index("ix_recordings_conversation", "recordings", ["conversation"])
    op.create_index("ix_recordings_state", "recordings", ["state"])
    op.create_table(
        "attempts",
        sa.Column("recording", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("launched_at", _TIME, nullable=False),
        sa.Column("ready_at", _TIME),
        sa.Column("failure", sa.String(64)),
        sa.PrimaryKeyConstraint("recording", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["recording"], ["recordings.id"], name="fk_attempts_recording", ondelete="CASCADE"
        ),
    )


def _of_conversation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["conversation"], ["conversations.id"], name=f"fk_{table}_conversation", ondelete="CASCADE"
    )
