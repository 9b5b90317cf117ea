"""A store in memory that can fail in every way a real one does, from a seed: for tests and simulation."""

import hashlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from storage.errors import (
    CORRUPTED,
    OBJECT_MISSING,
    PART_REFUSED,
    THROTTLED,
    UNREACHABLE,
    UPLOAD_MISSING,
    range_error,
    store_error,
)
from storage.keys import check_key
from storage.store import (
    READ_CHUNK_BYTES,
    ListedPart,
    MultipartUpload,
    ObjectInfo,
    ObjectProperties,
    Part,
)


@dataclass(slots=True)
class Faults:
    """How the store misbehaves; rates are probabilities for each request, and may be changed at any time."""

    outage: str | None = None  # a code of storage.errors: every request fails with it, without effect
    refused_rate: float = 0.0  # the request fails without effect
    late_rate: float = 0.0  # the request has its effect and yet fails: the answer came too late
    lost_part_rate: float = 0.0  # a part is acknowledged and forgotten
    corrupt_rate: float = 0.0  # a part arrives with a flipped bit, which its digest betrays
    replaces_parts: bool = True  # False: a part takes no other bytes than it was sent with first
    part_size_bytes_min: int = PART_SIZE_BYTES_MIN


@dataclass(slots=True)
class _Stored:
    data: bytes
    properties: ObjectProperties
    etag: str


@dataclass(slots=True)
class _Pending:
    upload: MultipartUpload
    properties: ObjectProperties
    parts: dict[int, bytes] = field(default_factory=dict)


class _World:
    """What the two halves of the store share: contents, chance and the record of requests."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.faults = faults
        self.chance = random.Random(seed)
        self.objects: dict[str, _Stored] = {}
        self.pending: dict[str, _Pending] = {}
        self.requests: list[str] = []
        self.bytes_received = 0
        self._begun = 0

    def before(self, request: str) -> None:
        """Count the request; fail it here if it is to have no effect."""
        self.requests.append(request)
        if self.faults.outage is not None:
            raise store_error(self.faults.outage)
        if self.chance.random() < self.faults.refused_rate:
            raise store_error(self.chance.choice((UNREACHABLE, THROTTLED)))

    def after(self) -> None:
        """Fail the request here if its success is to be told too late."""
        if self.chance.random() < self.faults.late_rate:
            raise store_error(UNREACHABLE, "the answer came too late")

    def next_id(self) -> str:
        self._begun += 1
        return f"upload-{self._begun}"


class MemoryUploads:
    """The multipart half of MemoryStore; ETags are made as S3 makes them."""

    def __init__(self, world: _World) -> None:
        self._world = world

    @property
    def joins_parts(self) -> bool:
        return True

    @property
    def tells_digests(self) -> bool:
        return True

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        self._world.before("begin")
        upload = MultipartUpload(check_key(key), self._world.next_id())
        self._world.pending[upload.id] = _Pending(upload, properties)
        self._world.after()
        return upload

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        world = self._world
        world.before("put_part")
        parts = self._of(upload).parts
        if not world.faults.replaces_parts and parts.get(number, data) != data:
            raise store_error(PART_REFUSED, "this part was sent before")
        world.bytes_received += len(data)
        if world.chance.random() < world.faults.corrupt_rate:
            raise store_error(CORRUPTED, "BadDigest")
        if world.chance.random() >= world.faults.lost_part_rate:
            parts[number] = data
        world.after()
        return Part(number=number, offset=offset, size=len(data), etag=_md5(data), md5=_md5(data))

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        self._world.before("list_parts")
        parts = sorted(self._of(upload).parts.items())
        self._world.after()
        return [ListedPart(number, len(data), _md5(data)) for number, data in parts]

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        world = self._world
        world.before("complete")
        pending = self._of(upload)
        sent = [pending.parts.get(part.number) for part in parts]
        bodies = [data for data in sent if data is not None]
        if not bodies or any(d is None or _md5(d) != p.etag for d, p in zip(sent, parts, strict=True)):
            raise store_error(PART_REFUSED, "InvalidPart")
        if any(len(data) < world.faults.part_size_bytes_min for data in bodies[:-1]):
            raise store_error(PART_REFUSED, "EntityTooSmall")
        digests = b"".join(hashlib.md5(data, usedforsecurity=False).digest() for data in bodies)
        etag = f"{_md5(digests)}-{len(bodies)}"  # of what arrived, whatever was sent
        world.objects[upload.key] = _Stored(b"".join(bodies), pending.properties, etag)
        del world.pending[upload.id]
        world.after()
        return _info(upload.key, world.objects[upload.key])

    async def abort(self, upload: MultipartUpload) -> None:
        self._world.before("abort")
        self._world.pending.pop(upload.id, None)
        self._world.after()

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        self._world.before("list_uploads")
        for pending in list(self._world.pending.values()):
            if pending.upload.key.startswith(prefix):
                yield pending.upload

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        if not all(part.md5 for part in parts):
            return None
        digests = b"".join(bytes.fromhex(part.md5) for part in parts)
        return f"{_md5(digests)}-{len(parts)}"

    def _of(self, upload: MultipartUpload) -> _Pending:
        pending = self._world.pending.get(upload.id)
        if pending is None or pending.upload.key != upload.key:
            raise store_error(UPLOAD_MISSING)
        return pending


class MemoryStore:
    """An ObjectStore whose contents die with the process, and whose failures are drawn from `seed`."""

    def __init__(self, seed: int = 0, faults: Faults | None = None) -> None:
        self._world = _World(seed, faults or Faults())
        self._uploads = MemoryUploads(self._world)

    def __repr__(self) -> str:
        return f"MemoryStore(objects={len(self._world.objects)}, pending={len(self._world.pending)})"

    @property
    def faults(self) -> Faults:
        """Change it to make the store fail."""
        return self._world.faults

    @property
    def keys(self) -> list[str]:
        """What is visible in the store."""
        return sorted(self._world.objects)

    @property
    def requests(self) -> list[str]:
        """The name of every request so far, failed ones too."""
        return self._world.requests

    @property
    def bytes_received(self) -> int:
        """What all sent parts and objects had together."""
        return self._world.bytes_received

    @property
    def uploads(self) -> MemoryUploads:
        return self._uploads

    @property
    def adoption(self) -> None:
        """There is no file system here."""

    def forget_uploads(self) -> None:
        """Abort everything that dangles, as a bucket's lifecycle rule does."""
        self._world.pending.clear()

    async def check(self) -> None:
        self._world.before("check")

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        self._world.before("put")
        self._world.bytes_received += len(data)
        self._world.objects[check_key(key)] = _Stored(bytes(data), properties, _md5(data))
        self._world.after()
        return _info(key, self._world.objects[key])

    async def head(self, key: str) -> ObjectInfo:
        self._world.before("head")
        return _info(key, self._object(key))

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        self._world.before("read")
        data = self._object(key).data
        if not 0 <= start < stop <= len(data):
            raise range_error()
        for at in range(start, stop, READ_CHUNK_BYTES):
            yield data[at : min(at + READ_CHUNK_BYTES, stop)]

    async def delete(self, key: str) -> None:
        self._world.before("delete")
        self._world.objects.pop(check_key(key), None)
        self._world.after()

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        self._world.before("list_objects")
        for key, stored in sorted(self._world.objects.items()):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(stored.data), stored.etag)

    async def close(self) -> None:
        """Nothing is held open."""

    def _object(self, key: str) -> _Stored:
        stored = self._world.objects.get(check_key(key))
        if stored is None:
            raise store_error(OBJECT_MISSING)
        return stored


def _info(key: str, stored: _Stored) -> ObjectInfo:
    properties = stored.properties
    return ObjectInfo(key, len(stored.data), stored.etag, properties.content_type, properties.metadata)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
