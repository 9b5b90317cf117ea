"""The object store as one small Protocol, and the values that pass through it.

Every method may raise the errors of storage.errors, and no others. tests/storage/test_store_contract.py
is the contract, executable, and runs against every store.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

READ_CHUNK_BYTES = 256 * 1024  # what a reader holds in memory, per reading
SIDE_PREFIX = "_bystander/"  # keys of what lies beside uploads, and goes when they are over
TEST_PREFIX = "bystander-test-"  # keys of the storage test, which removes what it wrote
RECORDING_MARK = "bystander-recording"  # object metadata: whose object this is


@dataclass(frozen=True, slots=True)
class ObjectProperties:
    """What is kept with an object. Metadata keys are lower-case ASCII; values are ASCII."""

    content_type: str = "application/octet-stream"
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of an object. `etag` changes when the bytes do; it is opaque, without quotes."""

    key: str
    size: int
    etag: str
    content_type: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part that the store acknowledged: numbers from 1, offset and size in bytes, MD5 of what was sent."""

    number: int
    offset: int
    size: int
    etag: str
    md5: str


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part as the store lists it."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """An upload that is neither completed nor aborted. `started_at` is None where the store does not say."""

    key: str
    id: str
    started_at: datetime | None = None


class MultipartUploads(Protocol):
    """Objects made of parts, sent in any order. Nothing is visible under the key before `complete`."""

    @property
    def joins_parts(self) -> bool:
        """Whether parts are joined by their numbers, so that one may be longer than offsets say."""
        ...

    @property
    def tells_digests(self) -> bool:
        """Whether a part's tag is made by the store of the bytes that it received."""
        ...

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload: ...

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        """Send a part; on return the store has these bytes (their digest was compared where it can be).

        Every part but the last has at least PART_SIZE_BYTES_MIN bytes. `offset` is where they lie in the
        object. A number sent again replaces the part, with the same size, or raises part_refused.
        """
        ...

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        """By number. upload_missing when it was aborted or never was.

        Of one that was completed: upload_missing too, or its parts; completing these again changes nothing.
        """
        ...

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        """Join the parts, which adjoin and are in order, into the object."""
        ...

    async def abort(self, upload: MultipartUpload) -> None:
        """Forget the parts. Aborting what is not there is the same as once."""
        ...

    def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        """Every dangling upload whose key begins with `prefix`."""
        ...

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        """The ETag that the object of these parts will have, where the store's rule is known; pure."""
        ...


class FileAdoption(Protocol):
    """What a store on a local file system can do besides."""

    async def can_adopt(self, file: Path) -> bool:
        """Whether the store could take this file over as it is."""
        ...

    async def adopt(self, file: Path, key: str, properties: ObjectProperties) -> ObjectInfo:
        """Make a durable, finished file the object without copying it; the file's own name stays too."""
        ...


class ObjectStore(Protocol):
    """Named, immutable byte strings. Keys are relative to the store's prefix and pass `check_key`."""

    @property
    def uploads(self) -> MultipartUploads: ...

    @property
    def adoption(self) -> FileAdoption | None: ...

    async def check(self) -> None:
        """Whether the bucket or directory is there and may be used; raises what is wrong."""
        ...

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        """Store a small object whole, in place of any other under this key; durable on return."""
        ...

    async def head(self, key: str) -> ObjectInfo:
        """object_missing (404) when there is none."""
        ...

    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop) in chunks: all, or raise. range_not_satisfiable past the end."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object. Removing what is not there is the same as once."""
        ...

    def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, by key; without content type and metadata."""
        ...

    async def close(self) -> None: ...
