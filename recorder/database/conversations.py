"""Conversations with their participants and interactions, in and out of the database."""

import builtins
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row

from recorder.database.connection import Database
from recorder.database.deletions import note_deleted
from recorder.database.rows import fields
from recorder.database.schema import conversations, interactions, participants, recordings
from recorder.database.search_terms import index_terms, metadata_term, participant_term
from recorder.kernel.conversation import Conversation, InteractionState, Participant
from recorder.kernel.errors import not_found


class ConversationTable:
    """Rows in, values out. `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, conversation: Conversation) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(conversations).values(msgspec.structs.asdict(conversation)))
            terms = [metadata_term(key, value) for key, value in conversation.metadata.items()]
            await index_terms(connection, conversation.id, terms)

    async def get(self, conversation: str) -> Conversation:
        query = select(conversations).where(conversations.c.id == conversation)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return conversation_of(row)

    async def list(self, *, after: str | None, limit: int) -> list[Conversation]:
        """By id, and so by age; those after the one named."""
        query = select(conversations).order_by(conversations.c.id).limit(limit)
        if after is not None:
            query = query.where(conversations.c.id > after)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [conversation_of(row) for row in rows]

    async def end(self, conversation: str, when: datetime) -> Conversation:
        """Set the end of the conversation and of what still runs in it, where that has none."""
        async with self._database.writing() as connection:
            itself = (conversations.c.id == conversation) & conversations.c.ended_at.is_(None)
            await connection.execute(update(conversations).where(itself).values(ended_at=when))
            in_it = (interactions.c.conversation == conversation) & interactions.c.ended_at.is_(None)
            ended = {"ended_at": when, "state": InteractionState.ENDED}
            await connection.execute(update(interactions).where(in_it).values(ended))
        return await self.get(conversation)

    async def delete(self, conversation: str) -> None:
        """Remove it with all that hangs on it."""
        async with self._database.writing() as connection:
            await note_deleted(connection, recordings.c.conversation == conversation)
            gone = await connection.execute(delete(conversations).where(conversations.c.id == conversation))
        if gone.rowcount == 0:
            raise not_found("conversation")

    async def add_participant(
        self, participant: Participant, token_hash: str, when: datetime, expires_at: datetime
    ) -> None:
        """Their token, of which only the hash is kept, is good until `expires_at`."""
        values = {
            "id": participant.id,
            "conversation": participant.conversation,
            "role": participant.role,
            "name": participant.name,
            "token_hash": token_hash,
            "token_expires_at": expires_at,
            "added_at": when,
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(participants).values(values))
            terms = [participant_term(participant.id), participant_term(participant.name)]
            await index_terms(connection, participant.conversation, terms)

    async def renew_token(
        self, conversation: str, participant: str, token_hash: str, expires_at: datetime
    ) -> Participant:
        """Another token from now on."""
        of_it = (participants.c.id == participant) & (participants.c.conversation == conversation)
        async with self._database.writing() as connection:
            await connection.execute(
                update(participants).where(of_it).values(token_hash=token_hash, token_expires_at=expires_at)
            )
            row = (await connection.execute(select(participants).where(of_it))).one_or_none()
        if row is None:
            raise not_found("participant")
        return participant_of(row)

    async def participants(self, conversation: str) -> builtins.list[Participant]:
        """In the order in which they were added, without their tokens."""
        query = select(participants).where(participants.c.conversation == conversation)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(participants.c.id))).all()
        return [participant_of(row) for row in rows]

    async def participant_with(self, token_hash: str) -> tuple[Participant, datetime] | None:
        """Whose token this is, and until when."""
        query = select(participants).where(participants.c.token_hash == token_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (participant_of(row), row.token_expires_at)

    async def participant(self, participant: str) -> tuple[Participant, datetime] | None:
        """Somebody by id, and until when their token is good."""
        query = select(participants).where(participants.c.id == participant)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (participant_of(row), row.token_expires_at)


def conversation_of(row: Row[Any] | None) -> Conversation:
    """The conversation of a whole row; 404 not_found without one."""
    if row is None:
        raise not_found("conversation")
    return msgspec.convert(fields(row), Conversation)


def participant_of(row: Row[Any]) -> Participant:
    """The participant of a whole row, without a token."""
    values = fields(row)
    known = {name: values[name] for name in ("id", "conversation", "role", "name")}
    return msgspec.convert(known, Participant)
