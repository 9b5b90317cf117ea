"""The tables of webhooks: where events go, what happened, and what has reached whom."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table

from recorder.database.schema import CODE_CHARS, ID_CHARS, TEXT_CHARS, UtcTime, metadata

URL_CHARS = 2048
SECRET_CHARS = 128

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("account", String(TEXT_CHARS)),  # NULL: of every account
    Column("url", String(URL_CHARS), nullable=False),
    Column("events", JSON, nullable=False),  # empty: all of them
    Column("description", String(TEXT_CHARS)),
    Column("secret", String(SECRET_CHARS), nullable=False),  # as it is: it has to be signed with
    Column("previous_secret", String(SECRET_CHARS)),  # before the last rotation
    Column("previous_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("failing_since", UtcTime),  # no success since then
    Column("disabled_at", UtcTime),
    Column("disabled_reason", String(CODE_CHARS)),
)

# Its order is that of events within one conversation, as far as their transactions followed each other.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String(ID_CHARS), nullable=False, unique=True),
    Column("account", String(TEXT_CHARS), nullable=False),
    Column("conversation", String(ID_CHARS), nullable=False),  # which may be deleted before it is told
    Column("type", String(CODE_CHARS), nullable=False),
    Column("occurred_at", UtcTime, nullable=False, index=True),
    Column("data", JSON, nullable=False),
    sqlite_autoincrement=True,  # no number is given twice
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(ID_CHARS), primary_key=True),
    Column("webhook", String(ID_CHARS), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column(
        "sequence",
        _SEQUENCE,
        ForeignKey("webhook_events.sequence", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("conversation", String(ID_CHARS), nullable=False),
    Column("state", String(CODE_CHARS), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),  # from when the day of retries counts
    Column("next_attempt_at", UtcTime),  # NULL once it is over
    Column("last_attempt_at", UtcTime),
    Column("last_status", Integer),
    Column("last_failure", String(CODE_CHARS)),
    Index("ix_webhook_deliveries_webhook_id", "webhook", "id"),
    Index("ix_webhook_deliveries_state_next", "state", "next_attempt_at"),
    Index("ix_webhook_deliveries_order", "webhook", "conversation", "state", "sequence"),
)
