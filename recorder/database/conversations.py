"""Conversations with their participants and interactions, in and out of the database."""

import builtins
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row

from recorder.database.opening import Database
from recorder.database.rows import fields
from recorder.database.schema import conversations, interactions, participants
from recorder.errors import not_found
from recorder.values import Conversation, Interaction, Participant


class ConversationTable:
    """Rows in, values out. `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, conversation: Conversation) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(conversations).values(msgspec.structs.asdict(conversation)))

    async def get(self, conversation: str) -> Conversation:
        query = select(conversations).where(conversations.c.id == conversation)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _conversation(row, "conversation")

    async def list(self, *, after: str | None, limit: int) -> list[Conversation]:
        """By id, and so by age; those after the one named."""
        query = select(conversations).order_by(conversations.c.id).limit(limit)
        if after is not None:
            query = query.where(conversations.c.id > after)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [_conversation(row, "conversation") for row in rows]

    async def end(self, conversation: str, when: datetime) -> Conversation:
        """Set the end of the conversation and of what still runs in it, where that has none."""
        async with self._database.writing() as connection:
            for table, column in ((conversations, "id"), (interactions, "conversation")):
                of_it = (table.c[column] == conversation) & table.c.ended_at.is_(None)
                await connection.execute(update(table).where(of_it).values(ended_at=when))
        return await self.get(conversation)

    async def delete(self, conversation: str) -> None:
        """Remove it with all that hangs on it."""
        async with self._database.writing() as connection:
            gone = await connection.execute(delete(conversations).where(conversations.c.id == conversation))
        if gone.rowcount == 0:
            raise not_found("conversation")

    async def add_participant(self, participant: Participant, token_hash: str, when: datetime) -> None:
        values = {
            "id": participant.id,
            "conversation": participant.conversation,
            "role": participant.role,
            "name": participant.name,
            "token_hash": token_hash,
            "added_at": when,
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(participants).values(values))

    async def participants(self, conversation: str) -> builtins.list[Participant]:
        """In the order in which they were added, without their tokens."""
        query = select(participants).where(participants.c.conversation == conversation)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(participants.c.id))).all()
        return [_participant(row) for row in rows]

    async def participant_with(self, token_hash: str) -> Participant | None:
        query = select(participants).where(participants.c.token_hash == token_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _participant(row)

    async def add_interaction(self, interaction: Interaction) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(interactions).values(msgspec.structs.asdict(interaction)))

    async def end_interaction(self, conversation: str, interaction: str, when: datetime) -> Interaction:
        """Ending twice is the same as once."""
        of_it = (interactions.c.id == interaction) & (interactions.c.conversation == conversation)
        async with self._database.writing() as connection:
            await connection.execute(
                update(interactions).where(of_it, interactions.c.ended_at.is_(None)).values(ended_at=when)
            )
            row = (await connection.execute(select(interactions).where(of_it))).one_or_none()
        if row is None:
            raise not_found("interaction")
        return msgspec.convert(fields(row), Interaction)


def _conversation(row: Row[Any] | None, what: str) -> Conversation:
    if row is None:
        raise not_found(what)
    return msgspec.convert(fields(row), Conversation)


def _participant(row: Row[Any]) -> Participant:
    values = fields(row)
    known = {name: values[name] for name in ("id", "conversation", "role", "name")}
    return msgspec.convert(known, Participant)
