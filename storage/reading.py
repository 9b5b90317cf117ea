"""Reading a recording back, wherever its bytes are: the spool while it has them, the store after that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from recorder.kernel.errors import BystanderError
from storage.errors import range_error
from storage.spool import IndexEntry, SpoolReader, open_or_none
from storage.store import READ_CHUNK_BYTES, RECORDING_MARK, ObjectInfo, ObjectStore


class OpenMedia(Protocol):
    """The bytes of one recording. `size` is what can be read now; it grows while `complete` is False.

    `etag` names this state of the bytes: it changes when more come, and when the finished object replaces
    what was recorded (its init segment then has the duration and the seek index).
    """

    @property
    def size(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def etag(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop) in chunks; range_not_satisfiable (416) past `size`."""
        ...

    async def close(self) -> None: ...


async def open_media(store: ObjectStore, root: Path, recording: str, key: str) -> OpenMedia:
    """Open a recording in whatever state it is; object_missing (404) when nobody has it, spool_damaged when
    only a spool has it that cannot be read."""
    try:
        spooled = await open_spooled(root, recording)
    except BystanderError as error:
        if error.code != "spool_damaged":
            raise
        return await _stored_at_least(store, recording, key, error)
    return spooled or StoredMedia(store, await store.head(key))


async def _stored_at_least(
    store: ObjectStore, recording: str, key: str, damage: BystanderError
) -> "StoredMedia":
    """What the store has of it, which a damaged spool, or the receipt that is left of one, does not hide."""
    try:
        info = await store.head(key)
    except BystanderError as error:
        raise damage from error
    if dict(info.metadata).get(RECORDING_MARK) != recording:
        raise damage
    return StoredMedia(store, info)


async def open_spooled(root: Path, recording: str) -> "SpooledMedia | None":
    """Open a recording whose spool has its media; None where the spool has it no more."""
    reader = await asyncio.to_thread(open_or_none, root, recording)
    if reader is None:
        return None
    ended = await asyncio.to_thread(lambda: reader.ending is not None)
    size = await asyncio.to_thread(lambda: reader.size)
    return SpooledMedia(reader, size=size, ended=ended)


class SpooledMedia:
    """A recording that is not in the store yet. What was opened stays readable when the spool is removed."""

    def __init__(self, reader: SpoolReader, *, size: int, ended: bool) -> None:
        self._reader = reader
        self._reading = asyncio.Lock()
        self._size = size
        self.complete = ended
        self.content_type = reader.facts.content_type

    @property
    def size(self) -> int:
        return self._size

    @property
    def etag(self) -> str:
        return f"{self._reader.facts.recording}-{self._size:x}{'' if self.complete else '-live'}"

    async def refresh(self) -> None:
        """Look how far the recording is by now."""
        async with self._reading:
            self.complete = await asyncio.to_thread(lambda: self._reader.ending is not None)
            self._size = await asyncio.to_thread(lambda: self._reader.size)

    async def entries(self) -> list[IndexEntry]:
        """The whole fragments within `size`, in order."""
        async with self._reading:
            known = await asyncio.to_thread(self._reader.index)
        return [entry for entry in known if entry.stop <= self._size]

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if not 0 <= start < stop <= self._size:
            raise range_error()
        while start < stop:
            async with self._reading:
                chunk = await asyncio.to_thread(self._reader.read, start, min(stop, start + READ_CHUNK_BYTES))
            start += len(chunk)
            yield chunk

    async def close(self) -> None:
        async with self._reading:
            self._reader.close()


class StoredMedia:
    """A recording that the store has."""

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        self._store = store
        self._info = info
        self.complete = True
        self.content_type = info.content_type or "application/octet-stream"

    @property
    def size(self) -> int:
        return self._info.size

    @property
    def etag(self) -> str:
        return self._info.etag

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        return self._store.read(self._info.key, start, stop)

    async def close(self) -> None:
        """Nothing is held open."""
