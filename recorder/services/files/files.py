"""Files of a conversation as callers list and fetch them."""

import builtins
from collections.abc import AsyncIterator

import msgspec

from recorder.archive.archive import Archive
from recorder.archive.file_spool import FileSpool
from recorder.database import ConversationTable
from recorder.database.files import FileTable
from recorder.kernel.conversation import Role
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.files.file import ConversationServices, FileKind, FileState, SharedFile, shown_kinds
from recorder.services.files.file_changes import FileChanges
from recorder.services.files.service_terms import ServiceTerms
from signaling.ports import Caller, MediaBytes
from storage.reading import StoredMedia


class ConversationFiles:
    """Fulfils signaling.file_port.Files."""

    def __init__(
        self,
        table: FileTable,
        conversations: ConversationTable,
        spool: FileSpool,
        archive: Archive,
        terms: ServiceTerms,
        changes: FileChanges,
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._spool = spool
        self._archive = archive
        self._terms = terms
        self._changes = changes

    async def services(self, caller: Caller, conversation: str) -> ConversationServices:
        """What this caller may do now."""
        return await self._terms.of(conversation, _role(caller))

    async def storage_works(self) -> bool:
        """Whether what needs the store is switched on, for everybody."""
        return await self._terms.storage_works()

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[SharedFile]:
        """In the order in which they were begun; those that the caller's role may see."""
        await self._conversations.get(conversation)
        found = await self._table.list(
            conversation,
            after=after,
            limit=limit,
            kinds=shown_kinds(_role(caller)),
            reader=caller.participant.id if caller.participant else None,
        )
        return [await self._measured(file) for file in found]

    async def get(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        """404 where this caller may not see it."""
        found = (await self._table.get(conversation, file)).file
        _check_shown(caller, found)
        return await self._measured(found)

    async def content(self, caller: Caller | None, conversation: str, file: str) -> MediaBytes:
        """An open reading, to be closed by the caller; None: whoever has a signed link.

        409 file_not_available before it was checked and stored.
        """
        row = await self._table.get(conversation, file)
        if caller is not None:
            _check_shown(caller, row.file)
        if row.file.state is not FileState.AVAILABLE:
            raise caller_error("file_not_available", "This file cannot be fetched (yet).", status=409)
        store = await self._archive.store_of(row.store)
        opened = StoredMedia(store, await store.head(row.object_key))
        return MediaBytes(
            size=opened.size,
            complete=True,
            etag=opened.etag,
            content_type=_served_as(row.file),
            filename=row.file.filename,
            reader=opened,
        )

    def watch(self, conversation: str) -> AsyncIterator[SharedFile]:
        """Every file of the conversation whenever it changes."""
        return self._changes.watch(conversation)

    async def _measured(self, file: SharedFile) -> SharedFile:
        if file.state is not FileState.UPLOADING:
            return file
        return msgspec.structs.replace(file, received=await self._spool.size(file.id))


def _check_shown(caller: Caller, file: SharedFile) -> None:
    """404 for what the list does not show either: what is not (yet) there of others, and by kind."""
    who = caller.participant
    is_own = who is None or file.participant == who.id
    if not file.is_shown_to(_role(caller)) or not (is_own or file.state is FileState.AVAILABLE):
        raise not_found("file")


def _role(caller: Caller) -> Role | None:
    return caller.participant.role if caller.participant else None


def _served_as(file: SharedFile) -> str:
    """Pictures that we decoded are told for what they are; of others no browser shall make anything."""
    return file.content_type if file.kind is FileKind.SNAPSHOT else "application/octet-stream"
