"""A copy of an object in another store is proved, goes on after a kill, and replaces nobody else's object."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from storage.copying import ObjectCopy
from storage.store import RECORDING_MARK, ObjectInfo, ObjectProperties, ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import Faults, MemoryStore

KEY = "conv_1/rec_1.mp4"
PART_BYTES = 1000
WHOLE = os.urandom(4 * PART_BYTES + 300)
PROPERTIES = ObjectProperties("video/mp4", ((RECORDING_MARK, "rec_1"),))


def memory() -> MemoryStore:
    return MemoryStore(faults=Faults(part_size_bytes_min=1))


async def filled(data: bytes = WHOLE) -> MemoryStore:
    store = memory()
    await store.put(KEY, data, PROPERTIES)
    return store


def copy(source: ObjectStore, target: ObjectStore) -> ObjectCopy:
    return ObjectCopy(source, target, KEY, part_size_bytes=PART_BYTES)


async def content(store: ObjectStore) -> bytes:
    info = await store.head(KEY)
    assert (info.content_type, info.metadata) == (PROPERTIES.content_type, PROPERTIES.metadata)
    return b"".join([chunk async for chunk in store.read(KEY, 0, info.size)]) if info.size else b""


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, len(WHOLE)])
@pytest.mark.parametrize("kind", ["memory", "directory"])
async def test_a_copy_is_the_original(tmp_path: Path, kind: str, size: int) -> None:
    source = await filled(WHOLE[:size])
    target: ObjectStore = memory() if kind == "memory" else LocalStore(tmp_path)
    copied = await copy(source, target).run()
    assert await content(target) == WHOLE[:size]
    assert (copied.size, copied.sent_bytes) == (size, size)
    assert (await copy(source, target).run()).sent_bytes == 0
    assert [upload async for upload in target.uploads.list_uploads()] == []


async def test_an_interrupted_copy_goes_on_with_what_is_there() -> None:
    source, target = await filled(), memory()
    upload = await target.uploads.begin(KEY, PROPERTIES)
    await target.uploads.put_part(upload, 1, 0, WHOLE[:PART_BYTES])
    await target.uploads.put_part(upload, 2, PART_BYTES, b"x" * PART_BYTES)  # of another time
    await target.uploads.begin(KEY, PROPERTIES)
    copied = await copy(source, target).run()
    assert copied.sent_bytes == len(WHOLE) - PART_BYTES
    assert await content(target) == WHOLE
    assert [upload async for upload in target.uploads.list_uploads()] == []


class Spoiling(MemoryStore):
    """Acknowledges what it then holds with a flipped bit, under tags that say nothing."""

    def __init__(self) -> None:
        super().__init__(faults=Faults(part_size_bytes_min=1))

    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        return self._spoilt(super().read(key, start, stop), start)

    async def _spoilt(self, chunks: AsyncIterator[bytes], start: int) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield bytes([chunk[0] ^ 1]) + chunk[1:] if start == 0 else chunk
            start += len(chunk)

    @property
    def uploads(self):  # type: ignore[no-untyped-def]
        return Opaque(super().uploads)


class Opaque:
    def __init__(self, inner) -> None:  # type: ignore[no-untyped-def]
        self._inner = inner

    def __getattr__(self, name: str) -> Callable[..., object]:
        return getattr(self._inner, name)  # type: ignore[no-any-return]

    @property
    def tells_digests(self) -> bool:
        return False


@pytest.mark.parametrize("size", [PART_BYTES, len(WHOLE)])
async def test_other_bytes_are_no_copy(size: int) -> None:
    with pytest.raises(BystanderError, match="object_corrupted"):
        await copy(await filled(WHOLE[:size]), Spoiling()).run()


async def test_an_original_that_changes_meanwhile_is_not_copied() -> None:
    class Replaced(MemoryStore):
        async def head(self, key: str) -> ObjectInfo:
            info = await super().head(key)
            await self.put(key, WHOLE[::-1], PROPERTIES)
            return info

    source = Replaced(faults=Faults(part_size_bytes_min=1))
    await source.put(KEY, WHOLE, PROPERTIES)
    with pytest.raises(BystanderError, match="object_corrupted"):
        await copy(source, memory()).run()


async def test_another_recordings_object_is_not_replaced() -> None:
    source, target = await filled(), memory()
    await target.put(KEY, b"other", ObjectProperties("video/mp4", ((RECORDING_MARK, "rec_2"),)))
    with pytest.raises(BystanderError, match="object_foreign"):
        await copy(source, target).run()


async def test_more_of_a_recording_is_not_made_less() -> None:
    with pytest.raises(BystanderError, match="stored_is_longer"):
        await copy(await filled(WHOLE[:-1]), await filled()).run()


async def test_nothing_is_copied_of_what_is_not_there() -> None:
    with pytest.raises(BystanderError, match="object_missing"):
        await copy(memory(), memory()).run()
