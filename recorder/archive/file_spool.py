"""The file spool: what was received of files, on this disk, until the store has them.

`<data>/files/<id>` holds the bytes so far and nothing else: its size is the offset at which an upload goes
on, also after a crash, because nothing is acknowledged before it was synced.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.ids import is_id
from recorder.kernel.limits import KIB, MIB
from storage.spool.durable_files import disk_error

WRITE_BYTES = 256 * KIB  # collected before the disk is touched
SYNC_BYTES = 8 * MIB  # a dropped connection costs no more than this much sending
PREFIX = "file"
FOLDER = "files"  # in the data directory, beside the spool of recordings


T = TypeVar("T")


class FileSpool:
    """Every method but `path` works in a thread, so that no disk holds up the event loop."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, file: str) -> Path:
        """Where the bytes of a file lie, or would."""
        if not is_id(file, PREFIX):
            raise ValueError("no id of a file")
        return self._root / file

    async def create(self, file: str) -> None:
        """Begin with nothing; disk_full (507) where not even that fits."""
        await _on_disk(self._create, self.path(file))

    async def size(self, file: str) -> int:
        """How much of it is here; 0 where nothing is."""
        return await asyncio.to_thread(_size, self.path(file))

    async def sizes(self) -> dict[str, int]:
        """How much is here of every file that has something here, be it nothing yet."""
        return await asyncio.to_thread(lambda: {file: _size(self.path(file)) for file in self._all()})

    async def append(
        self,
        file: str,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        bytes_max: int,
        check_room: Callable[[], None],
    ) -> int:
        """Add what comes, from `offset` on, and return the new size; synced, also when the sender breaks off.

        Whatever `chunks` or `check_room` raise is raised after that; the latter is asked at first, and after
        each SYNC_BYTES. 413 file_too_large beyond `bytes_max`.
        """
        descriptor = await _on_disk(os.open, self.path(file), os.O_WRONLY | os.O_CLOEXEC)
        writing = _Writing(descriptor, offset, check_room)
        try:
            await _on_disk(check_room)
            await _on_disk(os.ftruncate, descriptor, offset)  # of an earlier attempt, never acknowledged
            async for chunk in chunks:
                if writing.size + len(chunk) > bytes_max:
                    raise caller_error("file_too_large", "More was sent than was announced.", status=413)
                await writing.add(chunk)
        finally:
            try:
                await asyncio.shield(writing.finish())
            finally:
                os.close(descriptor)
        return writing.size

    async def remove(self, file: str) -> None:
        """Removing what is not there is the same as once."""
        await asyncio.to_thread(self.path(file).unlink, missing_ok=True)

    async def all(self) -> list[str]:
        """The ids of files that have something here."""
        return await asyncio.to_thread(self._all)

    def _create(self, path: Path) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _all(self) -> list[str]:
        if not self._root.exists():
            return []
        return sorted(found.name for found in self._root.iterdir() if is_id(found.name, PREFIX))


class _Writing:
    """Chunks collected to a size that is worth a call to the disk."""

    def __init__(self, descriptor: int, offset: int, check_room: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._written = self._synced = self._checked = offset
        self._check_room = check_room
        self._waiting = bytearray()
        self._lock = threading.Lock()  # a caller who is cancelled leaves a write behind

    @property
    def size(self) -> int:
        return self._written + len(self._waiting)

    async def add(self, chunk: bytes) -> None:
        self._waiting += chunk
        if len(self._waiting) >= WRITE_BYTES:
            await _on_disk(self._write)
            if self._written - self._checked >= SYNC_BYTES:
                self._checked = self._written
                await _on_disk(self._check_room)

    async def finish(self) -> None:
        await _on_disk(self._write)
        await _on_disk(os.fsync, self._descriptor)

    def _write(self) -> None:
        with self._lock:
            data = bytes(self._waiting)
            while data:
                count = os.pwrite(self._descriptor, data, self._written)
                self._written += count
                data = data[count:]
            self._waiting.clear()
            if self._written - self._synced >= SYNC_BYTES:
                os.fdatasync(self._descriptor)
                self._synced = self._written


async def _on_disk(work: Callable[..., T], *values: object) -> T:
    try:
        return await asyncio.to_thread(work, *values)
    except FileNotFoundError as error:
        raise _gone() from error
    except OSError as error:
        raise disk_error(error) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _gone() -> BystanderError:
    return caller_error("upload_gone", "This upload is over, or was given up.", status=410)
