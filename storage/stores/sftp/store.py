"""A directory on an SFTP server as an object store: every object is an ordinary file under its key.

As in a local directory, what is not an object lies in `.bystander/`: `uploads/` (uploads.py),
`properties/` (content type, metadata, tag) and `new/` (what is being written).
"""

import stat
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import PurePosixPath

import asyncssh
import msgspec

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from storage.errors import FAILED, OBJECT_MISSING, range_error, store_error
from storage.keys import RESERVED_SEGMENT, check_key, is_key
from storage.settings import StorageSettings
from storage.store import READ_CHUNK_BYTES, ObjectInfo, ObjectProperties
from storage.stores.sftp.connection import SftpConnection, SftpFiles
from storage.stores.sftp.uploads import SftpUploads


class _Kept(msgspec.Struct, frozen=True):
    """What is kept beside an object. SFTP's times have whole seconds, so the tag is ours."""

    properties: ObjectProperties
    tag: str


class SftpStore:
    """An ObjectStore over one directory of a server, which it makes when it is first used."""

    def __init__(self, settings: StorageSettings, proxy: Proxy | None = None) -> None:
        self._sftp = SftpConnection(settings, proxy)
        self._hidden = self._sftp.base / RESERVED_SEGMENT
        self._files = SftpFiles(self._sftp.base, self._hidden, read_timeout_s=settings.read_timeout_s)
        self._uploads = SftpUploads(self._sftp, self._files, self._hidden, self._publish)

    def __repr__(self) -> str:
        return f"SftpStore({self._sftp.host})"

    @property
    def uploads(self) -> SftpUploads:
        return self._uploads

    @property
    def adoption(self) -> None:
        """The file system is another machine's."""

    async def check(self) -> None:
        async with self._sftp.client() as client:
            await client.makedirs(str(self._sftp.base), exist_ok=True)

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        path = self._path(key)
        async with self._sftp.client(body_bytes=len(data)) as client:
            kept = await self._keep(client, key, properties)
            await self._files.write(client, path, data)
        return ObjectInfo(key, len(data), kept.tag, properties.content_type, properties.metadata)

    async def head(self, key: str) -> ObjectInfo:
        path = self._path(key)
        async with self._sftp.client() as client:
            return await self._info(client, key, path)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        path = self._path(key)
        async with self._sftp.client() as client:
            file = await client.open(str(path), "rb")
            size = (await file.stat()).size
        try:
            if size is None:
                raise store_error(FAILED, "a file without its size")
            if not 0 <= start < stop <= size:
                raise range_error()
            while start < stop:
                wanted = min(READ_CHUNK_BYTES, stop - start)
                async with self._sftp.client(body_bytes=wanted):
                    chunk: bytes = await file.read(wanted, start)
                if not chunk:
                    raise store_error(FAILED, "the file became shorter")
                start += len(chunk)
                yield chunk
        finally:
            with suppress(asyncssh.Error, OSError):  # the connection was lost, and the handle with it
                await file.close()

    async def delete(self, key: str) -> None:
        path, beside = self._path(key), self._properties(key)
        async with self._sftp.client() as client:
            await self._files.remove(client, path, self._sftp.base)
            await self._files.remove(client, beside, self._hidden)

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        async with self._sftp.client() as client:
            keys = await self._walk(client, PurePosixPath())
        for key in sorted(key for key in keys if key.startswith(prefix) and is_key(key)):
            try:
                info = await self.head(key)
            except BystanderError as error:
                if error.code != OBJECT_MISSING:  # or deleted meanwhile
                    raise
                continue
            yield ObjectInfo(key, info.size, info.etag)

    async def close(self) -> None:
        await self._sftp.close()

    def _path(self, key: str) -> PurePosixPath:
        return self._sftp.base / check_key(key)

    def _properties(self, key: str) -> PurePosixPath:
        return self._hidden / "properties" / (check_key(key) + ".json")

    async def _publish(
        self, client: asyncssh.SFTPClient, file: PurePosixPath, key: str, properties: ObjectProperties
    ) -> ObjectInfo:
        """Give a whole file its name in the store; the last step of every upload."""
        await self._keep(client, key, properties)
        await self._files.move(client, file, self._path(key))
        return await self._info(client, key, self._path(key))

    async def _keep(self, client: asyncssh.SFTPClient, key: str, properties: ObjectProperties) -> _Kept:
        kept = _Kept(properties, uuid.uuid4().hex)
        await self._files.write(client, self._properties(key), msgspec.json.encode(kept))
        return kept

    async def _info(self, client: asyncssh.SFTPClient, key: str, path: PurePosixPath) -> ObjectInfo:
        found = await client.stat(str(path))
        if found.size is None or found.permissions is None:  # what a server says of a file is up to it
            raise store_error(FAILED, "a file without its size or its kind")
        if not stat.S_ISREG(found.permissions):
            raise store_error(OBJECT_MISSING, "not a file")
        size = found.size
        try:
            data = await self._files.read(client, self._properties(key))
        except asyncssh.SFTPNoSuchFile:  # somebody put the file there by hand
            return ObjectInfo(key, size, f"{size:x}-{found.mtime or 0:x}", ObjectProperties().content_type)
        try:
            kept = msgspec.json.decode(data, type=_Kept)
        except (msgspec.DecodeError, ValueError):  # the file is there, whatever became of what is kept of it
            return ObjectInfo(key, size, f"{size:x}-{found.mtime or 0:x}", ObjectProperties().content_type)
        properties = kept.properties
        return ObjectInfo(key, size, kept.tag, properties.content_type, properties.metadata)

    async def _walk(self, client: asyncssh.SFTPClient, below: PurePosixPath) -> list[str]:
        """The keys of all files; a directory that is not there has none."""
        found: list[str] = []
        try:
            names = await client.readdir(str(self._sftp.base / below))
        except asyncssh.SFTPNoSuchFile:
            return found
        for entry in names:
            name = entry.filename if isinstance(entry.filename, str) else entry.filename.decode()
            if name in (".", "..") or (below == PurePosixPath() and name == RESERVED_SEGMENT):
                continue
            if stat.S_ISDIR(entry.attrs.permissions or 0):
                found += await self._walk(client, below / name)
            else:
                found.append((below / name).as_posix())
        return found
