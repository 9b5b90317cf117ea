"""Files of conversations, in and out of the database.

A file that becomes available, or is refused, is told of in the transaction that writes that down: it stands
among the messages, and webhooks hear of it, exactly when it is so.
"""

import builtins
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.conversations import conversation_of
from recorder.database.messages import message_values, note_file_expired
from recorder.database.outbox import enqueue
from recorder.database.rows import fields
from recorder.database.schema import conversations, files, messages
from recorder.kernel.errors import not_found
from recorder.kernel.files.file import FileKind, FileState, SharedFile
from recorder.kernel.files.file_event import file_event
from recorder.kernel.message import Message

_UNFINISHED = (FileState.ASKED, FileState.UPLOADING, FileState.STORING)


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file with what callers are not told: its key, its store, and the node that received it."""

    file: SharedFile
    object_key: str
    node: str
    store: str | None = None  # NULL: what was the default then


class FileTable:
    """Rows in, values out. `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_within(self, row: FileRow, unfinished_max: int) -> bool:
        """Add it unless so many of its conversation are on their way; False where there are."""
        known = files.c.state.in_(_UNFINISHED) & (files.c.conversation == row.file.conversation)
        values = {**_values(row.file), "object_key": row.object_key, "node": row.node, "store": row.store}
        async with self._database.writing() as connection:
            # Whoever adds another one waits here, on PostgreSQL as on SQLite, until this one counts.
            whose = select(conversations.c.id).where(conversations.c.id == row.file.conversation)
            await connection.execute(whose.with_for_update())
            query = select(func.count()).select_from(files).where(known)
            if (await connection.execute(query)).scalar_one() >= unfinished_max:
                return False
            await connection.execute(insert(files).values(values))
            return True

    async def get(self, conversation: str, file: str) -> FileRow:
        query = select(files).where(files.c.id == file, files.c.conversation == conversation)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _row(row)

    async def list(
        self,
        conversation: str,
        *,
        after: str | None,
        limit: int,
        kinds: Collection[FileKind] = tuple(FileKind),
        reader: str | None = None,
    ) -> builtins.list[SharedFile]:
        """By id, and so by age; those of these kinds after the one named.

        For a `reader`, a participant, those that can be fetched, and their own.
        """
        query = select(files).where(files.c.conversation == conversation, files.c.kind.in_(kinds))
        if reader is not None:
            fetchable = files.c.state == FileState.AVAILABLE
            query = query.where(fetchable | (files.c.participant == reader))
        query = query.order_by(files.c.id).limit(limit)
        if after is not None:
            query = query.where(files.c.id > after)
        return [row.file for row in await self._rows(query)]

    async def of(self, conversation: str) -> builtins.list[FileRow]:
        """All that hang on a conversation."""
        return await self._rows(select(files).where(files.c.conversation == conversation))

    async def unfinished(self, node: str) -> builtins.list[FileRow]:
        """Those whose bytes, as far as there are any, lie in this node's data directory."""
        known = files.c.state.in_(_UNFINISHED) & (files.c.node == node)
        return await self._rows(select(files).where(known).order_by(files.c.id))

    async def available_before(
        self, when: datetime, *, after: str | None, limit: int
    ) -> builtins.list[FileRow]:
        """Those of ended conversations that have been there since before this moment, by id."""
        old = files.c.available_at < when
        ended = files.c.conversation.in_(select(conversations.c.id).where(conversations.c.ended_at < when))
        query = select(files).where(old, ended).order_by(files.c.id).limit(limit)
        if after is not None:
            query = query.where(files.c.id > after)
        return await self._rows(query)

    async def received(self, file: SharedFile) -> None:
        """All of its bytes are here."""
        async with self._database.writing() as connection:
            await connection.execute(update(files).where(files.c.id == file.id).values(_values(file)))

    async def finished(self, file: SharedFile, message: Message | None, now: datetime) -> bool:
        """It is AVAILABLE or REFUSED: write that down, and tell it; False where it was deleted meanwhile."""
        async with self._database.writing() as connection:
            of_it = (files.c.id == file.id) & files.c.state.in_(_UNFINISHED)
            changed = await connection.execute(update(files).where(of_it).values(_values(file)))
            if changed.rowcount == 0:
                return False
            if message is not None:
                await connection.execute(insert(messages).values(message_values(message)))
            await self._tell(connection, file, now)
        return True

    async def delete(self, file: str) -> None:
        """Forget one that never became available."""
        async with self._database.writing() as connection:
            await connection.execute(delete(files).where(files.c.id == file))

    async def expire(self, file: str) -> None:
        """Forget one that was deleted because of its age; its message stays and says so."""
        async with self._database.writing() as connection:
            await note_file_expired(connection, file)
            await connection.execute(delete(files).where(files.c.id == file))

    async def _tell(self, connection: AsyncConnection, file: SharedFile, now: datetime) -> None:
        query = select(conversations).where(conversations.c.id == file.conversation)
        conversation = conversation_of((await connection.execute(query)).one_or_none())
        await enqueue(connection, file_event(conversation, file, occurred_at=now))

    async def _rows(self, query: Any) -> builtins.list[FileRow]:
        async with self._database.reading() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]


def _values(file: SharedFile) -> dict[str, Any]:
    values = msgspec.structs.asdict(file)
    return {name: value for name, value in values.items() if name in files.c}


def _row(row: Row[Any] | None) -> FileRow:
    if row is None:
        raise not_found("file")
    values = fields(row)
    known = {name: values[name] for name in SharedFile.__struct_fields__ if name in values}
    file = msgspec.convert(known, SharedFile)
    if file.state in (FileState.STORING, FileState.AVAILABLE):
        file = msgspec.structs.replace(file, received=file.bytes)
    return FileRow(file=file, object_key=values["object_key"], node=values["node"], store=values["store"])
