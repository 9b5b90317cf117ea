"""The tables of supervision: where each conversation stands, what call services were told, and connectors."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from recorder.database.schema import CODE_CHARS, ID_CHARS, UtcTime, metadata

supervisions = Table(
    "supervisions",
    metadata,
    Column(
        "conversation", String(ID_CHARS), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("supervision", LargeBinary, nullable=False),  # the state machine's Supervision as MessagePack
    Column("changed_at", UtcTime, nullable=False),
    Column("node", String(CODE_CHARS)),  # who goes on with it after a restart; NULL: anybody who looks
)

# Written under one lock for each conversation, so its order is the order of decisions there.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column(
        "conversation", String(ID_CHARS), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False
    ),
    Column("interaction", String(ID_CHARS), nullable=False),
    Column("kind", String(CODE_CHARS), nullable=False),
    Column("may_start", Boolean, nullable=False),
    Column("must_end", Boolean, nullable=False),
    Column("reason", String(CODE_CHARS)),
    Column("recording", String(ID_CHARS)),
    Column("decided_at", UtcTime, nullable=False),
    Index("ix_decisions_conversation_sequence", "conversation", "sequence"),
    sqlite_autoincrement=True,  # no number is given twice
)

connectors = Table(
    "connectors",
    metadata,
    Column(
        "interaction", String(ID_CHARS), ForeignKey("interactions.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("conversation", String(ID_CHARS), nullable=False),
    Column("source", Text, nullable=False),  # JSON, sealed by the node: it has secrets in it
    Column("node", String(CODE_CHARS), nullable=False),  # who connects, also after a restart
)
