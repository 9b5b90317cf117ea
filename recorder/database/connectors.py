"""Connectors, in and out of the database, for as long as their interactions run."""

import msgspec
from sqlalchemy import delete, insert, select

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import conversations, interactions
from recorder.database.supervision_schema import connectors


class ConnectorRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one connector; `source` is sealed."""

    interaction: str
    conversation: str
    source: str

    def __repr__(self) -> str:
        return f"<ConnectorRow {self.interaction}>"


class ConnectorTable:
    """Rows of one node, which alone can read their secrets."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def add(self, row: ConnectorRow) -> None:
        values = {**msgspec.structs.asdict(row), "node": self._node}
        async with self._database.writing() as connection:
            await connection.execute(insert(connectors).values(values))

    async def remove(self, interaction: str) -> None:
        """No matter whether there was one."""
        async with self._database.writing() as connection:
            await connection.execute(delete(connectors).where(connectors.c.interaction == interaction))

    async def account_of(self, conversation: str) -> str:
        """Whose the conversation is."""
        query = select(conversations.c.account).where(conversations.c.id == conversation)
        async with self._database.reading() as connection:
            return str((await connection.execute(query)).scalar_one())

    async def running(self) -> list[ConnectorRow]:
        """Those of this node whose interaction has not ended; the others go."""
        ours = connectors.c.node == self._node
        ended = select(interactions.c.id).where(interactions.c.ended_at.is_not(None))
        async with self._database.writing() as connection:
            await connection.execute(delete(connectors).where(ours & connectors.c.interaction.in_(ended)))
            rows = (await connection.execute(select(connectors).where(ours))).all()
        return [msgspec.convert(fields(row), ConnectorRow) for row in rows]
