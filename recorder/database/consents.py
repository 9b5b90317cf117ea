"""Consent answers of participants; each also stands among the messages."""

from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from recorder.database.connection import Database
from recorder.database.messages import message_values
from recorder.database.rows import fields
from recorder.database.schema import consents, messages
from recorder.kernel.message import ConsentGiven, Message


class ConsentTable:
    """The last answer counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, conversation: str, given: ConsentGiven, message: Message) -> None:
        values: dict[str, Any] = {**msgspec.structs.asdict(given), "conversation": conversation}
        said = message_values(message)
        async with self._database.writing() as connection:
            await connection.execute(delete(consents).where(consents.c.participant == given.participant))
            await connection.execute(insert(consents).values(values))
            await connection.execute(insert(messages).values(said))

    async def of(self, conversation: str) -> list[ConsentGiven]:
        """By participant, and so by when they were added."""
        query = select(consents).where(consents.c.conversation == conversation)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(consents.c.participant))).all()
        return [msgspec.convert(fields(row), ConsentGiven) for row in rows]
