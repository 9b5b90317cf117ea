"""A directory as an object store: every object is an ordinary file under its key.

Objects appear whole and durable (written elsewhere on the same file system, synced, renamed). What is not an
object lies in `.bystander/`: `uploads/` (uploads.py), `properties/` (content type, metadata),
`stores/` (marks: storage/identity.py) and `new/` (what is being written).
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from storage.errors import FAILED, range_error, store_error
from storage.store import READ_CHUNK_BYTES, ObjectInfo, ObjectProperties
from storage.stores.local.files import LocalFiles, directory_errors, etag, in_thread, make_directories
from storage.stores.local.uploads import LocalUploads


class LocalStore:
    """An ObjectStore over one directory, which it makes when it is first used."""

    def __init__(self, base: Path) -> None:
        self._files = LocalFiles(base)
        self._uploads = LocalUploads(self._files)

    def __repr__(self) -> str:
        return "LocalStore()"

    @property
    def base(self) -> Path:
        """The directory."""
        return self._files.base

    @property
    def uploads(self) -> LocalUploads:
        return self._uploads

    @property
    def adoption(self) -> "LocalStore":
        return self

    async def can_adopt(self, file: Path) -> bool:
        return await in_thread(self._files.shares_disk_with, file)

    async def adopt(self, file: Path, key: str, properties: ObjectProperties) -> ObjectInfo:
        return await in_thread(self._files.adopt, file, key, properties)

    async def put_mark(self, identity: str) -> None:
        await in_thread(self._files.put_mark, identity)

    async def has_mark(self, identity: str) -> bool:
        return await in_thread(self._files.has_mark, identity)

    def expect_mark(self, identity: str) -> None:
        self._files.expect_mark(identity)

    async def check(self) -> None:
        with directory_errors(self._files.base):
            await asyncio.to_thread(self._check)

    def _check(self) -> None:
        self._files.check_mark()
        make_directories(self._files.base)
        if not os.access(self._files.base, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
        self._files.sweep(time.time())

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        return await in_thread(self._files.put, key, data, properties)

    async def head(self, key: str) -> ObjectInfo:
        return await in_thread(self._files.info, key)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        with directory_errors():
            fd = await asyncio.to_thread(os.open, self._files.path(key), os.O_RDONLY)
            try:
                if not 0 <= start < stop <= os.fstat(fd).st_size:
                    raise range_error()
                while start < stop:
                    chunk = await asyncio.to_thread(os.pread, fd, min(READ_CHUNK_BYTES, stop - start), start)
                    if not chunk:
                        raise store_error(FAILED, "the file became shorter")
                    start += len(chunk)
                    yield chunk
            finally:
                os.close(fd)

    async def delete(self, key: str) -> None:
        await in_thread(self._files.delete, key)

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        with directory_errors():
            keys = await asyncio.to_thread(self._files.keys, prefix)
        for key in keys:
            with suppress(FileNotFoundError):  # deleted meanwhile
                found = await asyncio.to_thread(self._files.path(key).stat)
                yield ObjectInfo(key, found.st_size, etag(found))

    async def close(self) -> None:
        """Nothing is held open."""
