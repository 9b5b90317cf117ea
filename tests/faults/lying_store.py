"""A door before any store, which lies, loses, repeats, tells the old and breaks off: by chance, from a
seed."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from storage.errors import FAILED, OBJECT_MISSING, THROTTLED, UNREACHABLE, UPLOAD_MISSING, store_error
from storage.store import (
    RECORDING_MARK,
    ListedPart,
    MultipartUpload,
    MultipartUploads,
    ObjectInfo,
    ObjectProperties,
    ObjectStore,
    Part,
)

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Lies:
    """Chances, from 0 to 1, of each kind of lie for each request that it fits."""

    outage: str | None = None  # every request fails with this code
    refused: float = 0.0  # fails without effect
    late: float = 0.0  # has its effect and fails
    repeated: float = 0.0  # is done twice, as by a proxy that tries again
    flipped: float = 0.0  # a body arrives with another bit, and its tag is of what arrived
    shortened: float = 0.0  # a body arrives without its end
    forgotten: float = 0.0  # a part, or an object, is acknowledged and not kept
    opaque_tags: bool = False  # tags are no digests
    wrong_tags: float = 0.0  # a tag is of nothing at all
    stale: float = 0.0  # a HEAD or a list answers what was true before
    broken_off: float = 0.0  # a body that is read ends early, without an error
    unmarked: float = 0.0  # metadata is not told
    gone_as: str = UPLOAD_MISSING  # the code for an upload that is not there


class LyingUploads:
    """The multipart half."""

    def __init__(self, door: "LyingStore") -> None:
        self._door = door

    @property
    def _inner(self) -> MultipartUploads:
        return self._door.inner.uploads

    @property
    def joins_parts(self) -> bool:
        return self._inner.joins_parts

    @property
    def tells_digests(self) -> bool:
        return self._inner.tells_digests

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        return await self._door.asked(lambda: self._inner.begin(key, properties))

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        door = self._door
        if door.happens(door.lies.forgotten):
            await door.asked(_nothing)
            return Part(number=number, offset=offset, size=len(data), etag=door.tag(""), md5="")
        body = door.arriving(data)
        part = await door.asked(lambda: self._inner.put_part(upload, number, offset, body))
        return Part(
            number=part.number, offset=part.offset, size=len(data), etag=door.tag(part.etag), md5=part.md5
        )

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        door = self._door
        try:
            listed = await door.asked(lambda: self._inner.list_parts(upload))
        except Exception as error:
            if getattr(error, "code", None) == UPLOAD_MISSING and door.lies.gone_as != UPLOAD_MISSING:
                raise store_error(door.lies.gone_as) from error
            raise
        return [
            replace(part, etag=door.told_tag(part.etag)) for part in door.aged("parts" + upload.id, listed)
        ]

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        true = [self._door.true_part(part) for part in parts]
        return await self._door.asked(lambda: self._inner.complete(upload, true))

    async def abort(self, upload: MultipartUpload) -> None:
        await self._door.asked(lambda: self._inner.abort(upload))

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        await self._door.asked(_nothing)
        for upload in [upload async for upload in self._inner.list_uploads(prefix)]:
            yield upload

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        return self._inner.expected_etag(parts)


class LyingStore:
    """An ObjectStore that tells what another does, unless it lies. `longest` remembers the objects' sizes."""

    def __init__(self, inner: ObjectStore, seed: str) -> None:
        self.inner = inner
        self.lies = Lies()
        self.requests = 0
        self._chance = random.Random(seed)
        self._told: dict[str, Any] = {}
        self._tags: dict[str, str] = {}  # a tag that was told -> the store's own
        self._uploads = LyingUploads(self)

    def __repr__(self) -> str:
        return f"LyingStore({self.inner!r})"

    @property
    def uploads(self) -> LyingUploads:
        return self._uploads

    @property
    def adoption(self) -> "LyingStore | None":
        return None if self.inner.adoption is None else self

    async def can_adopt(self, file: Path) -> bool:
        assert self.inner.adoption is not None
        return await self.inner.adoption.can_adopt(file)

    async def adopt(self, file: Path, key: str, properties: ObjectProperties) -> ObjectInfo:
        adoption = self.inner.adoption
        assert adoption is not None
        return await self.asked(lambda: adoption.adopt(file, key, properties))

    async def check(self) -> None:
        await self.asked(self.inner.check)

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        if self.happens(self.lies.forgotten):
            await self.asked(_nothing)
            return ObjectInfo(key, len(data), self.tag(""), properties.content_type, properties.metadata)
        body = self.arriving(data)
        info = await self.asked(lambda: self.inner.put(key, body, properties))
        return replace(info, size=len(data), etag=self.tag(info.etag))

    async def head(self, key: str) -> ObjectInfo:
        try:
            info: ObjectInfo | None = await self.asked(lambda: self.inner.head(key))
        except Exception as error:
            if getattr(error, "code", None) != OBJECT_MISSING:
                raise
            info = None
        told = self.aged("head" + key, info)
        if told is None:
            raise store_error(OBJECT_MISSING)
        if self.happens(self.lies.unmarked):
            told = replace(told, metadata=tuple(it for it in told.metadata if it[0] != RECORDING_MARK))
        return replace(told, etag=self.told_tag(told.etag))

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        await self.asked(_nothing)
        left = stop - start
        if self.happens(self.lies.broken_off):
            left = self._chance.randrange(left)
        async for chunk in self.inner.read(key, start, stop):
            if left <= 0:
                return
            yield chunk[:left]
            left -= len(chunk)

    async def delete(self, key: str) -> None:
        await self.asked(lambda: self.inner.delete(key))

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        await self.asked(_nothing)
        listed = [info async for info in self.inner.list_objects(prefix)]
        for info in self.aged("list" + prefix, listed):
            yield info

    async def close(self) -> None:
        await self.inner.close()

    # --- lying -----------------------------------------------------------------------------------------
    def happens(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and self._chance.random() < chance

    async def asked(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """One request through the door."""
        self.requests += 1
        if self.lies.outage is not None:
            raise store_error(self.lies.outage)
        if self.happens(self.lies.refused):
            raise store_error(self._chance.choice((UNREACHABLE, THROTTLED, FAILED)))
        answer = await ask()
        if self.happens(self.lies.repeated):
            try:
                answer = await ask()
            except Exception as error:
                raise store_error(FAILED, f"once more: {type(error).__name__}") from error
        if self.happens(self.lies.late):
            raise store_error(self._chance.choice((UNREACHABLE, FAILED)), "the answer came too late")
        return answer

    def arriving(self, data: bytes) -> bytes:
        """What arrives of a body."""
        if data and self.happens(self.lies.flipped):
            place = self._chance.randrange(len(data))
            return data[:place] + bytes([data[place] ^ 1 << self._chance.randrange(8)]) + data[place + 1 :]
        if len(data) > 1 and self.happens(self.lies.shortened):
            return data[: self._chance.randrange(1, len(data))]
        return data

    def tag(self, etag: str) -> str:
        """The tag that is told of what was just stored."""
        if self.happens(self.lies.wrong_tags):
            return self._other(etag, f"{self._chance.getrandbits(128):032x}")
        return self.told_tag(etag)

    def told_tag(self, etag: str) -> str:
        """The tag that is told at any other time."""
        return self._other(etag, f"opaque-{etag}") if self.lies.opaque_tags else etag

    def _other(self, etag: str, told: str) -> str:
        self._tags[told] = etag
        return told

    def true_part(self, part: Part) -> Part:
        """The part as the store behind knows it."""
        etag = self._tags.get(part.etag, part.etag)
        md5 = etag if not self.inner.uploads.tells_digests else part.md5
        return Part(number=part.number, offset=part.offset, size=part.size, etag=etag, md5=md5)

    def aged(self, name: str, answer: Any) -> Any:
        """The answer, or the one before it."""
        before = self._told.get(name, answer)
        self._told[name] = answer
        return before if self.happens(self.lies.stale) else answer


async def _nothing() -> None:
    """A request that changes nothing."""
