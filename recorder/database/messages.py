"""Messages of conversations, in and out of the database.

What is said of a recording is written in the transaction that writes the recording down: it is there when the
recording is as it says, and exactly once, whatever crashes.
"""

import builtins
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import files, messages, recordings
from recorder.kernel.ids import IdSequence
from recorder.kernel.message import Message, MessageKind

_ids = IdSequence("msg")


def new_message_id() -> str:
    """An id after that of every message that this process has made."""
    return _ids.next()


class MessageTable:
    """Messages sort by id, which is when they were written down."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, message: Message) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(messages).values(message_values(message)))

    async def list(
        self, conversation: str, *, kinds: frozenset[MessageKind], after: str | None, limit: int
    ) -> builtins.list[Message]:
        """Those of these kinds, after the one named."""
        wanted: list[ColumnElement[bool]] = [messages.c.conversation == conversation]
        if after is not None:
            wanted.append(messages.c.id > after)
        if len(kinds) < len(MessageKind):
            wanted.append(messages.c.kind.in_(sorted(kinds)))
        available = (messages.c.kind == MessageKind.RECORDING_AVAILABLE) & (
            messages.c.recording == recordings.c.id
        )
        about = (
            func.coalesce(recordings.c.filename, files.c.filename).label("filename"),
            recordings.c.duration_s,
            func.coalesce(recordings.c.bytes, files.c.bytes).label("bytes"),
            files.c.content_type,
        )
        joined = select(messages, *about).outerjoin(recordings, available)
        joined = joined.outerjoin(files, messages.c.file == files.c.id)
        query = joined.where(*wanted).order_by(messages.c.id).limit(limit)
        async with self._database.reading() as connection:
            return [_message(row) for row in (await connection.execute(query)).all()]


async def note_recording(
    connection: AsyncConnection,
    *,
    recording: str,
    conversation: str,
    told: dict[MessageKind, datetime | None],
) -> None:
    """Say what became of a recording, each thing once; a missing time is now."""
    query = select(messages.c.kind).where(messages.c.recording == recording)
    known = {row.kind for row in (await connection.execute(query)).all()}
    for kind, at in told.items():
        if kind not in known:
            message = Message(
                id=new_message_id(),
                conversation=conversation,
                kind=kind,
                at=at or datetime.now(UTC),
                recording=recording,
            )
            await connection.execute(insert(messages).values(message_values(message)))


async def note_expired(connection: AsyncConnection, recording: str) -> None:
    """Let what is said of a recording stand without it: that it can be played is said no longer."""
    of_it = messages.c.recording == recording
    available = of_it & (messages.c.kind == MessageKind.RECORDING_AVAILABLE)
    await connection.execute(update(messages).where(available).values(kind=MessageKind.RECORDING_EXPIRED))
    await connection.execute(update(messages).where(of_it).values(recording=None))


async def note_file_expired(connection: AsyncConnection, file: str) -> None:
    """Let what is said of a file stand without it."""
    of_it = messages.c.file == file
    await connection.execute(update(messages).where(of_it).values(kind=MessageKind.FILE_EXPIRED, file=None))


def message_values(message: Message) -> dict[str, Any]:
    """What is kept of it; the rest is known of its recording."""
    values = msgspec.structs.asdict(message)
    return {name: value for name, value in values.items() if name in messages.c}


def _message(row: Row[Any]) -> Message:
    return msgspec.convert(fields(row), Message)
