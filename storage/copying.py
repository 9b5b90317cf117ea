"""Copies of objects from one store to another, proved: the copy holds every byte that the original gave.

A copy that was interrupted goes on with the parts that the store has of it. Memory is one part's.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from recorder.kernel.errors import BystanderError, Fault
from storage.errors import CORRUPTED, OBJECT_MISSING, store_error
from storage.store import (
    RECORDING_MARK,
    ListedPart,
    MultipartUpload,
    ObjectInfo,
    ObjectProperties,
    ObjectStore,
    Part,
)
from storage.upload_plan.remedy import OBJECT_FOREIGN, STORED_IS_LONGER

PARTS_MAX = 9000  # S3 takes 10,000


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: of how many bytes, with which SHA-256, and how many of them were sent now."""

    size: int
    sha256: str
    sent_bytes: int


class ObjectCopy:
    """One object on its way from `source` to `target`, under the same key."""

    def __init__(self, source: ObjectStore, target: ObjectStore, key: str, *, part_size_bytes: int) -> None:
        self._source = source
        self._target = target
        self._key = key
        self._part_size_bytes = part_size_bytes
        self._read = hashlib.sha256()
        self._sent_bytes = 0

    async def run(self) -> Copied:
        """Copy and prove it.

        object_missing without an original; object_foreign, stored_is_longer (409) where another recording's
        object, or more of this one, stands in its place; object_corrupted where the copy is not what was
        read; the stores' own errors.
        """
        info = await self._source.head(self._key)
        held = await self._held(info)
        if held is None or not await self._is_like(info, held):
            await self._send(info)
        return Copied(info.size, self._read.hexdigest(), self._sent_bytes)

    async def _held(self, info: ObjectInfo) -> ObjectInfo | None:
        try:
            held = await self._target.head(self._key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return None
        ours, theirs = (dict(one.metadata).get(RECORDING_MARK) for one in (info, held))
        if theirs != ours:
            detail = "Another recording's object stands under this key; nothing was replaced."
            raise BystanderError(OBJECT_FOREIGN, detail, fault=Fault.DESTINATION, status=409)
        if held.size > info.size and self._key.endswith(".mp4"):
            detail = f"{held.size} bytes of this recording are there, {info.size} would replace them."
            raise BystanderError(STORED_IS_LONGER, detail, fault=Fault.DESTINATION, status=409)
        return held

    async def _is_like(self, info: ObjectInfo, held: ObjectInfo) -> bool:
        """Whether an earlier copy is whole already: both are read."""
        if held.size != info.size:
            return False
        self._read = await _sha256(self._source, info)
        await self._check_unchanged(info)
        found = await _sha256(self._target, held)
        return found.digest() == self._read.digest()

    async def _send(self, info: ObjectInfo) -> None:
        self._read = hashlib.sha256()
        properties = ObjectProperties(info.content_type or "application/octet-stream", info.metadata)
        if info.size <= self._part_size_bytes:
            data = await _bytes(self._source, self._key, 0, info.size)
            self._read.update(data)
            await self._target.put(self._key, data, properties)
            self._sent_bytes = len(data)
            expected: str | None = hashlib.md5(data, usedforsecurity=False).hexdigest()
        else:
            expected = await self._send_parts(info, properties)
        await self._check_unchanged(info)
        await self._prove(info, expected)

    async def _send_parts(self, info: ObjectInfo, properties: ObjectProperties) -> str | None:
        """The ETag that the copy has where the store's tags are digests; None where they say nothing."""
        uploads = self._target.uploads
        upload, listed = await self._upload(properties)
        size = max(self._part_size_bytes, -(-info.size // PARTS_MAX))
        parts: list[Part] = []
        async for offset, data in _parts(self._source, info, size):
            self._read.update(data)
            number = len(parts) + 1
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            there = listed.get(number)
            if there is not None and (there.size, there.etag) == (len(data), md5):
                part = Part(number=number, offset=offset, size=len(data), etag=md5, md5=md5)
            else:
                part = await uploads.put_part(upload, number, offset, data)
                self._sent_bytes += len(data)
            parts.append(part)
        await uploads.complete(upload, parts)
        digests = uploads.tells_digests and all(part.etag == part.md5 for part in parts)
        return uploads.expected_etag(parts) if digests else None

    async def _upload(self, properties: ObjectProperties) -> tuple[MultipartUpload, dict[int, ListedPart]]:
        """The one that an earlier copy left, with what it has; else a new one."""
        uploads = self._target.uploads
        left = [one async for one in uploads.list_uploads(self._key) if one.key == self._key]
        for more in left[1:]:
            await uploads.abort(more)
        if left:
            return left[0], {part.number: part for part in await uploads.list_parts(left[0])}
        return await uploads.begin(self._key, properties), {}

    async def _check_unchanged(self, info: ObjectInfo) -> None:
        now = await self._source.head(self._key)
        if (now.size, now.etag) != (info.size, info.etag):
            raise store_error(CORRUPTED, "the original was replaced while it was read")

    async def _prove(self, info: ObjectInfo, expected: str | None) -> None:
        """By the store's digest where it tells one, else by reading the copy back."""
        copy = await self._target.head(self._key)
        if copy.size != info.size or dict(copy.metadata) != dict(info.metadata):
            raise store_error(
                CORRUPTED, f"the copy has {copy.size} bytes, not {info.size}, or lost its metadata"
            )
        if self._target.uploads.tells_digests and expected is not None and copy.etag == expected:
            return
        if (await _sha256(self._target, copy)).digest() != self._read.digest():
            raise store_error(CORRUPTED, "other bytes are read back from the copy")


async def _sha256(store: ObjectStore, info: ObjectInfo) -> "hashlib._Hash":
    digest = hashlib.sha256()
    if info.size:
        async for chunk in store.read(info.key, 0, info.size):
            digest.update(chunk)
    return digest


async def _parts(store: ObjectStore, info: ObjectInfo, size: int) -> AsyncIterator[tuple[int, bytes]]:
    """The object's bytes in pieces of this size, the last one shorter, each with where it begins."""
    for offset in range(0, info.size, size):
        stop = min(info.size, offset + size)
        yield offset, await _bytes(store, info.key, offset, stop)


async def _bytes(store: ObjectStore, key: str, start: int, stop: int) -> bytes:
    """Also of an object that is empty, of which nothing can be read."""
    return b"".join([chunk async for chunk in store.read(key, start, stop)]) if stop > start else b""
