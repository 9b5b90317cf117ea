"""The table of the audit log: lines as they were hashed, and by what they are looked for."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from recorder.database.schema import ID_CHARS, UtcTime, metadata

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("occurred_at", UtcTime, nullable=False, index=True),
    Column("conversation", String(ID_CHARS), index=True),  # which may be deleted, and its entries stay
    Column("line", Text, nullable=False),  # the entry; the next one holds its hash
)
