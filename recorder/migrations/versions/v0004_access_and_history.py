"""Keys with scopes, tokens that expire, messages, search, consent, kept answers, indices for long lists."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_RUNNING = sa.text("ended_at IS NULL")
_TOKEN_TTL = timedelta(hours=4)  # tokens that are out already get as long as new ones


def upgrade() -> None:
    _change_keys()
    _change_participants()
    _create_indices()
    _create_messages()
    _create_search_terms()
    _create_consents()
    op.create_table(
        "kept_answers",
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("kept_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("request", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_kept_at", "kept_answers", ["kept_at"])
    _fill_search_terms()


def downgrade() -> None:
    for table in ("kept_answers", "consents", "search_terms", "messages"):
        op.drop_table(table)
    op.drop_index("ix_recordings_started_at", "recordings")
    op.drop_index("ix_recordings_state", "recordings")
    op.create_index("ix_recordings_state", "recordings", ["state"])
    for name in ("running", "account_id", "external_id_id"):
        op.drop_index(f"ix_conversations_{name}", "conversations")
    op.create_index("ix_conversations_account", "conversations", ["account"])
    op.create_index("ix_conversations_external_id", "conversations", ["external_id"])
    with op.batch_alter_table("participants") as participants:
        participants.drop_column("token_expires_at")
    op.drop_index("ix_api_keys_account", "api_keys")
    op.drop_index("ix_api_keys_previous_hash", "api_keys")
    with op.batch_alter_table("api_keys") as keys:
        for column in ("account", "scopes", "previous_hash", "previous_until", "expires_at", "rotated_at"):
            keys.drop_column(column)
        keys.create_unique_constraint("uq_api_keys_name", ["name"])


def _change_keys() -> None:
    """Every key so far could do everything; two keys may have one name now."""
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_constraint("uq_api_keys_name", type_="unique")
        keys.add_column(sa.Column("account", sa.String(256)))
        keys.add_column(sa.Column("scopes", sa.JSON))
        keys.add_column(sa.Column("previous_hash", sa.String(64)))
        keys.add_column(sa.Column("previous_until", _TIME))
        keys.add_column(sa.Column("expires_at", _TIME))
        keys.add_column(sa.Column("rotated_at", _TIME))
    table = sa.table("api_keys", sa.column("scopes", sa.JSON))
    op.execute(table.update().values(scopes=["admin"]))
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("scopes", existing_type=sa.JSON, nullable=False)
    op.create_index("ix_api_keys_account", "api_keys", ["account"])
    op.create_index("ix_api_keys_previous_hash", "api_keys", ["previous_hash"])


def _change_participants() -> None:
    with op.batch_alter_table("participants") as participants:
        participants.add_column(sa.Column("token_expires_at", _TIME))
    table = sa.table("participants", sa.column("token_expires_at", _TIME))
    op.execute(table.update().values(token_expires_at=datetime.now(UTC) + _TOKEN_TTL))
    with op.batch_alter_table("participants") as participants:
        participants.alter_column("token_expires_at", existing_type=_TIME, nullable=False)


def _create_indices() -> None:
    op.drop_index("ix_conversations_account", "conversations")
    op.drop_index("ix_conversations_external_id", "conversations")
    op.create_index(
        "ix_conversations_running",
        "conversations",
        ["id"],
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_index("ix_conversations_account_id", "conversations", ["account", "id"])
    op.create_index("ix_conversations_external_id_id", "conversations", ["external_id", "id"])
    op.drop_index("ix_recordings_state", "recordings")
    op.create_index("ix_recordings_state", "recordings", ["state", "id"])
    op.create_index("ix_recordings_started_at", "recordings", ["started_at"])


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("participant", sa.String(40)),
        sa.Column("name", sa.String(256)),
        sa.Column("text", sa.Text),
        sa.Column("recording", sa.String(40)),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        _of("conversation", "messages"),
        _of("recording", "messages"),
        sa.UniqueConstraint("recording", "kind", name="uq_messages_recording"),
    )
    op.create_index("ix_messages_conversation_id", "messages", ["conversation", "id"])
    op.create_index("ix_messages_recording", "messages", ["recording"])


def _create_search_terms() -> None:
    op.create_table(
        "search_terms",
        sa.Column("term", sa.String(64), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("term", "conversation", name="pk_search_terms"),
        _of("conversation", "search_terms"),
    )
    op.create_index("ix_search_terms_conversation", "search_terms", ["conversation"])


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("participant", sa.String(40), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("answer", sa.String(64), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("participant", name="pk_consents"),
        _of("participant", "consents"),
        _of("conversation", "consents"),
    )
    op.create_index("ix_consents_conversation", "consents", ["conversation"])


def _of(column: str, table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint([column], [f"{column}s.id"], name=name, ondelete="CASCADE")


def _fill_search_terms() -> None:
    """What recorder.database.history writes for every new conversation and participant."""
    connection = op.get_bind()
    found: set[tuple[str, str]] = set()
    for conversation, kept in connection.execute(sa.text("SELECT id, metadata FROM conversations")):
        pairs = json.loads(kept) if isinstance(kept, str) else kept
        found |= {(_term("metadata", key, value), conversation) for key, value in pairs.items()}
    for conversation, identity, name in connection.execute(
        sa.text("SELECT conversation, id, name FROM participants")
    ):
        found |= {(_term("participant", word), conversation) for word in (identity, name.casefold())}
    table = sa.table("search_terms", sa.column("term", sa.String), sa.column("conversation", sa.String))
    if found:
        rows = [{"term": term, "conversation": conversation} for term, conversation in sorted(found)]
        connection.execute(table.insert(), rows)


def _term(kind: str, *words: str) -> str:
    return hashlib.sha256("\0".join((kind, *words)).encode(errors="surrogatepass")).hexdigest()
