"""Uploads of files as callers send them: begun, gone on with at an offset, given up. docs/files.md.

The offset is what is safe on this node's disk; a lost connection, page or server costs what was not, and the
sender goes on from there. Who comes to go on with an upload ends whoever still sends to it.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import msgspec

from recorder.archive.archive import Archive
from recorder.archive.file_spool import PREFIX, FileSpool
from recorder.database.files import FileRow, FileTable
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.files.file import FileState, SharedFile
from recorder.kernel.ids import new_id
from recorder.services.files.bounds.disk_room import DiskRoom
from recorder.services.files.bounds.sending import Sending
from recorder.services.files.file_changes import FileChanges
from recorder.services.files.finishing import UPLOAD_TTL_S, FileFinishing
from recorder.services.files.names import media_type, safe_filename
from recorder.services.files.service_terms import ServiceTerms
from signaling.ports import Caller
from storage.keys import check_key

UPLOADS_PER_CONVERSATION_MAX = 16  # on their way at once: eight people with two each


class FileUploads:
    """Fulfils signaling.file_port.Uploads."""

    def __init__(
        self,
        table: FileTable,
        spool: FileSpool,
        room: DiskRoom,
        terms: ServiceTerms,
        archive: Archive,
        finishing: FileFinishing,
        changes: FileChanges,
        clock: Clock,
        node: str,
    ) -> None:
        self._table = table
        self._spool = spool
        self._room = room
        self._terms = terms
        self._archive = archive
        self._finishing = finishing
        self._changes = changes
        self._clock = clock
        self._node = node
        self._turns: dict[str, Sending] = {}  # who sends to which upload now

    async def create(
        self, caller: Caller, conversation: str, *, filename: str, content_type: str, length: int
    ) -> SharedFile:
        """413 file_too_large, 429 too_many_uploads, 507 disk_full, and what ServiceTerms refuses with."""
        who = caller.participant
        settings = await self._terms.allow_upload(conversation, who.role if who else None)
        if length > settings.files.bytes_max:
            detail = f"A file may have at most {settings.files.bytes_max} bytes."
            raise caller_error("file_too_large", detail, status=413)
        file = SharedFile(
            id=new_id(PREFIX),
            conversation=conversation,
            state=FileState.UPLOADING,
            filename=safe_filename(filename),
            content_type=media_type(content_type),
            bytes=length,
            participant=who.id if who else None,
            name=who.name if who else None,
            created_at=self._clock.utc_now(),
        )
        async with self._room.promised(length):
            await self._begin(file)
        return await self._received(file) if length == 0 else file

    async def find(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        """How far an upload is; whoever still sends to it is ended, for the sender has come back."""
        row = await self._own(caller, conversation, file)
        await self._end_turn(file)
        return await self._measured(row.file)

    async def append(
        self, caller: Caller, conversation: str, file: str, *, offset: int, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        """409 offset_wrong, 410 upload_gone, 413 file_too_large, 408, 507 disk_full, 503 storage_test_failed.

        What came before a failure is kept.
        """
        row = await self._own(caller, conversation, file)
        await self._terms.allow_upload(conversation, caller.participant.role if caller.participant else None)
        await self._end_turn(file)
        turn = self._turns[file] = Sending()
        try:
            await self._check_offset(row.file, offset)
            if row.file.state is FileState.UPLOADING:
                await self._spool.append(
                    file,
                    offset,
                    turn.bounded(chunks),
                    bytes_max=row.file.bytes,
                    check_room=self._room.check_left,
                )
        finally:
            turn.over()
            if self._turns.get(file) is turn:
                del self._turns[file]
        now = await self._measured(row.file)
        complete = now.state is FileState.UPLOADING and now.received == now.bytes
        return await self._received(now) if complete else now

    async def cancel(self, caller: Caller, conversation: str, file: str) -> None:
        """409 file_complete for one that is not on its way any more."""
        row = await self._own(caller, conversation, file)
        if row.file.state is not FileState.UPLOADING:
            raise caller_error("file_complete", "The file was received; it cannot be taken back.", status=409)
        await self._end_turn(file)
        await self._spool.remove(file)  # first: on a full disk the database can write nothing before
        await self._table.delete(file)

    def expires_at(self) -> datetime:
        """Until when an upload that is touched now can be gone on with."""
        return self._clock.utc_now() + timedelta(seconds=UPLOAD_TTL_S)

    async def _begin(self, file: SharedFile) -> None:
        await add_within(self._table, file_row(file, self._archive, self._node))  # first: or it is nobody's
        try:
            await self._spool.create(file.id)
        except BystanderError:
            await self._table.delete(file.id)
            raise

    async def _received(self, file: SharedFile) -> SharedFile:
        stored = msgspec.structs.replace(file, state=FileState.STORING, received=file.bytes)
        await self._table.received(stored)
        self._changes.publish(stored)
        self._finishing.wake()
        return stored

    async def _measured(self, file: SharedFile) -> SharedFile:
        if file.state is not FileState.UPLOADING:
            return file
        return msgspec.structs.replace(file, received=await self._spool.size(file.id))

    async def _own(self, caller: Caller, conversation: str, file: str) -> FileRow:
        """An upload of this caller's; 404 for anybody else's, and 503 on a node that does not have it."""
        row = await self._table.get(conversation, file)
        who = caller.participant
        if who is not None and row.file.participant != who.id:
            raise not_found("upload")
        if row.node != self._node and row.file.state is FileState.UPLOADING:
            detail = "This upload was begun on another server."
            raise BystanderError("upload_elsewhere", detail, fault=Fault.RESOURCE, status=503)
        return row

    async def _check_offset(self, file: SharedFile, offset: int) -> None:
        received = (await self._measured(file)).received
        if offset != received:
            detail = f"The upload goes on at {received}."
            raise caller_error("offset_wrong", detail, status=409)

    async def _end_turn(self, file: str) -> None:
        while (turn := self._turns.get(file)) is not None:
            await turn.interrupt()


async def add_within(table: FileTable, row: FileRow) -> None:
    """Write down that a file is on its way; 429 too_many_uploads where enough of its conversation are."""
    if not await table.add_within(row, UPLOADS_PER_CONVERSATION_MAX):
        raise caller_error("too_many_uploads", "Too many files are on their way here.", status=429)


def file_row(file: SharedFile, archive: Archive, node: str) -> FileRow:
    """As it is written down: in the store under its conversation, by its id and then by its name."""
    key = check_key(f"{file.conversation}/files/{file.id}_{file.filename}")
    return FileRow(file=file, object_key=key, node=node, store=archive.default.id)
