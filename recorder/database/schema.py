"""The tables. recorder/migrations brings every database to exactly this; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

ID_CHARS = 40
TEXT_CHARS = 256
CODE_CHARS = 64
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


def _conversation() -> Column[str]:
    return Column(
        "conversation",
        String(ID_CHARS),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


conversations = Table(
    "conversations",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("account", String(TEXT_CHARS), nullable=False, server_default="default", index=True),
    Column("external_id", String(TEXT_CHARS), index=True),
    Column("template", String(TEXT_CHARS)),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)

participants = Table(
    "participants",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(),
    Column("role", String(CODE_CHARS), nullable=False),
    Column("name", String(TEXT_CHARS), nullable=False),
    Column("token_hash", String(HASH_CHARS), nullable=False, unique=True),
    Column("added_at", UtcTime, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    _conversation(),
    Column("kind", String(CODE_CHARS), nullable=False),
    Column("layer", String(CODE_CHARS)),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
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
    Column("requested_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("duration_s", Float),
    Column("bytes", BigInteger),  # in the store, once it was verified there
    Index("ix_recordings_state", "state"),
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
    Column("name", String(TEXT_CHARS), nullable=False, unique=True),
    Column("key_hash", String(HASH_CHARS), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
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
