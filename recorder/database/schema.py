"""The tables. recorder/migrations brings every database to exactly this; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

ID_CHARS = 40
TEXT_CHARS = 256
CODE_CHARS = 64
URL_CHARS = 1024
HASH_CHARS = 64  # SHA-256 in hexadecimal


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC times on every database; SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


# Names of constraints that do not depend on the database, so that later migrations can speak of them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _conversation(*, index: bool = True) -> Column[str]:
    return Column(
        "conversation",
        String(ID_CHARS),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=index,
    )


conversations = Table(
    "conversations",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("account", String(TEXT_CHARS), nullable=False, server_default="default"),
    Column("external_id", String(TEXT_CHARS)),
    Column("template", String(TEXT_CHARS)),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    # What runs is little among what has been; a page of either is read in the order of ids.
    Index(
        "ix_conversations_running",
        "id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_conversations_account_id", "account", "id"),
    Index("ix_conversations_external_id_id", "external_id", "id"),
)

participants = Table(
    "participants",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(),
    Column("role", String(CODE_CHARS), nullable=False),
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("token_hash", String(HASH_CHARS), nullable=False, unique=True),
    Column("token_expires_at", UtcTime, nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(),
    Column("kind", String(CODE_CHARS), nullable=False),
    Column("layer", String(CODE_CHARS)),
    Column("by_pin", Boolean, nullable=False, server_default=false()),
    Column("state", String(CODE_CHARS), nullable=False, server_default="RUNNING"),
    Column("recorded", Boolean, nullable=False, server_default=false()),
    Column("owner", String(CODE_CHARS)),  # what in a room it is, so that a room that returns finds it again
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)

stores = Table(
    "stores",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("name", String(CODE_CHARS), nullable=False),
    Column("url", String(URL_CHARS), nullable=False),
    Column("endpoint", String(URL_CHARS)),
    Column("added_at", UtcTime, nullable=False),
    Column("marked_at", UtcTime),  # since when the store has its mark
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(),
    Column("number", Integer, nullable=False),  # in its conversation, from 1
    Column("type", String(CODE_CHARS), nullable=False),
    Column("state", String(CODE_CHARS), nullable=False),
    Column("end_reason", String(CODE_CHARS)),
    Column("failure", String(CODE_CHARS)),
    Column("object_key", String(1024), nullable=False),
    Column("filename", String(TEXT_CHARS), nullable=False),
    Column("filename_template", Text),  # NULL where the name says nobody's
    Column("requested_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("duration_s", Float),
    Column("bytes", BigInteger),  # in the store, once it was verified there
    Column("missing_s", Float),  # of its time, that the object lacks
    Column("node", String(CODE_CHARS)),  # whose data directory it is recorded in; NULL: of anybody who looks
    Column("store", String(ID_CHARS)),  # that it lies in; NULL: of before that was written down
    Column("moved_from", String(ID_CHARS)),  # a store that may hold it, too, until its move is over
    Column("continues", String(ID_CHARS)),  # the failed recording that counts this one, should it fail
    Index("ix_recordings_state", "state", "id"),
    Index("ix_recordings_started_at", "started_at"),
)

deletions = Table(
    "deletions",
    metadata,
    Column("recording", String(ID_CHARS), primary_key=True),  # of no other table any more
    Column("object_key", String(1024), nullable=False),
    Column("store", String(ID_CHARS)),
    Column("deleted_at", UtcTime, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("look_at", UtcTime, nullable=False, index=True),
)

presences = Table(
    "presences",
    metadata,
    Column("recording", String(ID_CHARS), ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("participant", String(TEXT_CHARS), primary_key=True),  # registered or not
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("role", String(CODE_CHARS), nullable=False),
    Column("joined_at", UtcTime, nullable=False),
    Column("left_at", UtcTime),
)

attempts = Table(
    "attempts",
    metadata,
    Column("recording", String(ID_CHARS), ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("launched_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime),
    Column("failure", String(CODE_CHARS)),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("account", String(TEXT_CHARS), index=True),  # NULL: every account
    Column("scopes", JSON, nullable=False),
    Column("key_hash", String(HASH_CHARS), nullable=False, unique=True),
    Column("previous_hash", String(HASH_CHARS), index=True),  # before the last rotation
    Column("previous_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("rotated_at", UtcTime),
    Column("revoked_at", UtcTime),
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(index=False),
    Column("kind", String(CODE_CHARS), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("participant", String(ID_CHARS)),
    Column("name", String(TEXT_CHARS)),  # as it was when they said it
    Column("text", Text),
    Column("recording", String(ID_CHARS), ForeignKey("recordings.id", ondelete="CASCADE"), index=True),
    Index("ix_messages_conversation_id", "conversation", "id"),
    Column("file", String(ID_CHARS)),
    UniqueConstraint("recording", "kind"),  # a recording starts, ends and becomes available once
)

files = Table(
    "files",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(index=False),
    Column("kind", String(CODE_CHARS), nullable=False),
    Column("state", String(CODE_CHARS), nullable=False),
    Column("filename", String(TEXT_CHARS), nullable=False),
    Column("content_type", String(TEXT_CHARS), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("participant", String(ID_CHARS)),  # who sent it, or asked for it
    Column("name", String(TEXT_CHARS)),
    Column("subject", String(ID_CHARS)),  # who is in the picture
    Column("source", String(CODE_CHARS)),
    Column("width", Integer),
    Column("height", Integer),
    Column("failure", String(CODE_CHARS)),
    Column("object_key", String(1024), nullable=False),
    Column("store", String(ID_CHARS)),  # NULL: what was the default then
    Column("node", String(CODE_CHARS), nullable=False),  # whose data directory has what was received
    Column("created_at", UtcTime, nullable=False),
    Column("available_at", UtcTime),
    Index("ix_files_conversation_id", "conversation", "id"),
    Index("ix_files_state_id", "state", "id"),
)

backgrounds = Table(
    "backgrounds",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("account", String(TEXT_CHARS), nullable=False),
    Column("template", String(TEXT_CHARS)),  # NULL: of every template of the account
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("content_type", String(TEXT_CHARS), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("object_key", String(1024), nullable=False),
    Column("store", String(ID_CHARS)),  # NULL: what was the default then
    Column("created_at", UtcTime, nullable=False),
    Index("ix_backgrounds_account_id", "account", "id"),
)

search_terms = Table(
    "search_terms",
    metadata,
    Column(
        "term", String(HASH_CHARS), primary_key=True
    ),  # a hash, so that texts of every length fit an index
    Column(
        "conversation", String(ID_CHARS), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    ),
    Index("ix_search_terms_conversation", "conversation"),
)

consents = Table(
    "consents",
    metadata,
    Column(
        "participant", String(ID_CHARS), ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    ),
    _conversation(),
    Column("answer", String(CODE_CHARS), nullable=False),
    Column("at", UtcTime, nullable=False),
)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("request", String(HASH_CHARS), primary_key=True),  # who asked, what, and under which key
    Column("fingerprint", String(HASH_CHARS), nullable=False),  # of the body
    Column("sealed", LargeBinary, nullable=False),  # the answer; whoever reads the database cannot
    Column("kept_at", UtcTime, nullable=False, index=True),
    Column("payer", String(TEXT_CHARS), nullable=False, server_default=""),  # whose share it is of
    Index("ix_kept_answers_payer_kept_at", "payer", "kept_at"),
)

console_sessions = Table(
    "console_sessions",
    metadata,
    Column("secret_hash", String(HASH_CHARS), primary_key=True),
    Column(
        "credential", String(HASH_CHARS), nullable=False
    ),  # what was shown: a key, or an identity elsewhere
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("account", String(TEXT_CHARS)),  # NULL: every account
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

scoped_settings = Table(
    "scoped_settings",
    metadata,
    Column("scope", String(CODE_CHARS), primary_key=True),
    Column("owner", String(2 * TEXT_CHARS), primary_key=True),  # account, account/template, or conversation
    Column("conversation", String(ID_CHARS), ForeignKey("conversations.id", ondelete="CASCADE"), index=True),
    Column("values", JSON, nullable=False),
    Column("version", Integer, nullable=False),  # from 1; grows with every change
    Column("changed_at", UtcTime, nullable=False),
)
