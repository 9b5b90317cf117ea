"""Uploads in parts to an SFTP server: parts go to their offsets in the file that becomes the object.

.bystander/uploads/<id>/facts.json    key and properties
.bystander/uploads/<id>/data          the object as far as it is; renamed at the end, never copied
.bystander/uploads/<id>/parts.jsonl   one line for each part, written after its bytes
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath

import asyncssh
import msgspec

from storage.errors import PART_REFUSED, UPLOAD_MISSING, store_error
from storage.keys import check_key
from storage.store import ListedPart, MultipartUpload, ObjectInfo, ObjectProperties, Part
from storage.stores.sftp.connection import SftpConnection, SftpFiles, sync

_FACTS, _DATA, _PARTS = "facts.json", "data", "parts.jsonl"

Publish = Callable[[asyncssh.SFTPClient, PurePosixPath, str, ObjectProperties], Awaitable[ObjectInfo]]


class _UploadFacts(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    properties: ObjectProperties
    started_at: datetime


class SftpUploads:
    """The multipart half of SftpStore."""

    joins_parts = False  # they have their offsets
    tells_digests = False  # they are ours, written down beside the bytes

    def __init__(
        self, connection: SftpConnection, files: SftpFiles, hidden: PurePosixPath, publish: Publish
    ) -> None:
        self._sftp = connection
        self._files = files
        self._directory = hidden / "uploads"
        self._publish = publish

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        facts = _UploadFacts(key=check_key(key), properties=properties, started_at=datetime.now(UTC))
        upload = MultipartUpload(key, uuid.uuid4().hex, facts.started_at)
        directory = self._of(upload)
        async with self._sftp.client() as client:
            for name in (_DATA, _PARTS):
                await self._files.write(client, directory / name, b"")
            await self._files.write(client, directory / _FACTS, msgspec.json.encode(facts))
        return upload

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        directory = self._of(upload)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        part = Part(number=number, offset=offset, size=len(data), etag=digest, md5=digest)
        async with self._sftp.client(body_bytes=len(data)) as client:
            before = (await self._logged(client, directory)).get(number)
            if before is not None and (before.offset, before.size) != (offset, len(data)):
                raise store_error(PART_REFUSED, "another place or size than before")
            async with client.open(str(directory / _DATA), "r+b") as file:
                await self._files.send(file, data, offset)
            async with client.open(str(directory / _PARTS), "ab") as log:
                await log.write(msgspec.json.encode(part) + b"\n")
                await sync(log)
        return part

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        async with self._sftp.client() as client:
            logged = await self._logged(client, self._of(upload))
        return [ListedPart(part.number, part.size, part.etag) for _, part in sorted(logged.items())]

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        directory = self._of(upload)
        async with self._sftp.client() as client:
            logged = await self._logged(client, directory)
            stop = 0
            for part in parts:
                if logged.get(part.number) != part or part.offset != stop:
                    raise store_error(PART_REFUSED, f"part {part.number} is not as it was sent")
                stop += part.size
            if not parts or not await client.exists(str(directory / _DATA)):
                raise store_error(UPLOAD_MISSING)
            await client.truncate(str(directory / _DATA), stop)
            data = await self._files.read(client, directory / _FACTS)
            try:
                facts = msgspec.json.decode(data, type=_UploadFacts)
            except (msgspec.DecodeError, ValueError) as error:
                raise store_error(UPLOAD_MISSING, "what it was begun with cannot be read") from error
            info = await self._publish(client, directory / _DATA, facts.key, facts.properties)
            await self._remove(client, directory)
        return info

    async def abort(self, upload: MultipartUpload) -> None:
        directory = self._of(upload)
        async with self._sftp.client() as client:
            await self._remove(client, directory)

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        async with self._sftp.client() as client:
            found = await self._dangling(client)
        for upload in found:
            if upload.key.startswith(prefix):
                yield upload

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        """A file's tag says nothing of its contents."""
        return None

    def _of(self, upload: MultipartUpload) -> PurePosixPath:
        if len(upload.id) != 32 or not upload.id.isalnum():
            raise store_error(UPLOAD_MISSING)
        return self._directory / upload.id

    async def _logged(self, client: asyncssh.SFTPClient, directory: PurePosixPath) -> dict[int, Part]:
        try:
            lines = (await self._files.read(client, directory / _PARTS)).splitlines()
        except asyncssh.SFTPNoSuchFile as error:
            raise store_error(UPLOAD_MISSING) from error
        decoder = msgspec.json.Decoder(Part)
        found = {}
        for line in lines:
            try:
                part = decoder.decode(line)
            except (msgspec.DecodeError, ValueError):
                continue  # torn by a lost connection, so never acknowledged
            found[part.number] = part
        return found

    async def _remove(self, client: asyncssh.SFTPClient, directory: PurePosixPath) -> None:
        for name in (_PARTS, _DATA, _FACTS):  # the facts last: until then the upload can be found
            with suppress(asyncssh.SFTPNoSuchFile):
                await client.remove(str(directory / name))
        with suppress(asyncssh.SFTPNoSuchFile):
            await client.rmdir(str(directory))

    async def _dangling(self, client: asyncssh.SFTPClient) -> list[MultipartUpload]:
        found: list[MultipartUpload] = []
        try:
            paths = await client.glob(str(self._directory / "*" / _FACTS))
        except asyncssh.SFTPNoSuchFile:  # asyncssh's way to say that there are none
            return found
        for path in sorted(paths):
            name = PurePosixPath(path if isinstance(path, str) else path.decode())
            try:
                facts = msgspec.json.decode(await self._files.read(client, name), type=_UploadFacts)
            except (msgspec.DecodeError, ValueError, asyncssh.SFTPNoSuchFile):  # damaged, or over by now
                continue
            found.append(MultipartUpload(facts.key, name.parent.name, facts.started_at))
        return found
