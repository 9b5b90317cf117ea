"""Deletion of a conversation's files with everything that was stored of them, and of nothing else."""

from collections.abc import Sequence
from datetime import datetime

from recorder.archive.file_spool import FileSpool
from recorder.database.files import FileRow, FileTable
from recorder.stores.named_stores import NamedStores
from storage.objects import delete_object
from storage.stores.object_lock import check_deletable


class FileDeletion:
    """The files of a conversation, all or none. What is on its way is not stored once its row is gone."""

    def __init__(self, table: FileTable, stores: NamedStores, spool: FileSpool) -> None:
        self._table = table
        self._stores = stores
        self._spool = spool

    async def of(self, conversation: str) -> Sequence[FileRow]:
        """All that hang on a conversation."""
        return await self._table.of(conversation)

    async def check(self, conversation: str, now: datetime) -> None:
        """object_locked (409), naming the date, if anything that was stored may not be deleted yet."""
        for row in await self._table.of(conversation):
            await self.check_one(row, now)

    async def check_one(self, row: FileRow, now: datetime) -> None:
        """The same for one of them; store_not_configured (503) where its store cannot be asked."""
        store = (await self._stores.of(row.store)).store
        await check_deletable(store, [row.object_key], now)

    async def delete_all_of(self, conversation: str, now: datetime) -> None:
        """Remove all of them from their stores and from this disk; their rows go with the conversation's."""
        await self.check(conversation, now)
        for row in await self._table.of(conversation):
            await self.delete_stored(row)

    async def delete_stored(self, row: FileRow) -> None:
        """Remove what there is of one; again after a failure in the middle removes the rest."""
        await delete_object((await self._stores.of(row.store)).store, row.object_key)
        await self._spool.remove(row.file.id)
