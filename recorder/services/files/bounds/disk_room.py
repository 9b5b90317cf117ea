"""Room on the disk for files: what uploads under way are promised counts as taken; recordings come first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from recorder.archive.file_spool import FileSpool
from recorder.database.files import FileTable
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.files.file import FileState
from recorder.kernel.limits import MIB

DISK_FREE_BYTES_MIN = 512 * MIB  # recordings come first: files leave them this much of the disk


class DiskRoom:
    """One for each node; whatever it refuses, it refuses with 507 disk_full."""

    def __init__(
        self, table: FileTable, spool: FileSpool, node: str, disk_free_bytes: Callable[[], int]
    ) -> None:
        self._table = table
        self._spool = spool
        self._node = node
        self._disk_free_bytes = disk_free_bytes
        self._borrowed_bytes = 0  # by pictures, which stand in no table before they are here
        self._asking = asyncio.Lock()  # nobody is promised what another one is just being promised

    @asynccontextmanager
    async def promised(self, length: int) -> AsyncIterator[None]:
        """There is room for an upload of this length; begin it within, so that it counts from then on."""
        async with self._asking:
            await self._check(length)
            yield

    @asynccontextmanager
    async def borrowed(self, length: int) -> AsyncIterator[None]:
        """There is room for so much, as long as this goes on."""
        async with self._asking:
            await self._check(length)
            self._borrowed_bytes += length
        try:
            yield
        finally:
            self._borrowed_bytes -= length

    def check_left(self) -> None:
        """Recordings still have theirs; for a thread that writes."""
        if self._disk_free_bytes() < DISK_FREE_BYTES_MIN:
            raise _full()

    async def _check(self, length: int) -> None:
        taken = self._borrowed_bytes + await self._outstanding_bytes()
        free = await asyncio.to_thread(self._disk_free_bytes)
        if free - taken - length < DISK_FREE_BYTES_MIN:
            raise _full()

    async def _outstanding_bytes(self) -> int:
        """Announced and not here yet; an upload whose bytes were removed is owed nothing."""
        here = await self._spool.sizes()
        rows = await self._table.unfinished(self._node)
        uploading = [
            row.file for row in rows if row.file.state is FileState.UPLOADING and row.file.id in here
        ]
        return sum(max(0, file.bytes - here[file.id]) for file in uploading)


def _full() -> BystanderError:
    detail = "The server has no room for this file now."
    return BystanderError("disk_full", detail, fault=Fault.RESOURCE, status=507)
