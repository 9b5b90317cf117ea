"""Nothing is removed from a spool that was not proved to be in the store; what is there is never made
less."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.keys import events_key
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import RECORDING_MARK, ObjectProperties, ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import Faults, MemoryStore
from storage.upload.kept import list_kept
from storage.upload.uploader import StoredObject, Uploader
from storage.upload_plan.state import Proof
from tests.faults.lying_store import LyingStore
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import sequence

KEY = facts().key
PART_SIZE_BYTES = 1500
SIZES = (900,) * 8
SETTINGS = StorageSettings(part_size_bytes=5 * 1024 * 1024, retry_delay_initial_s=0.001)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def uploading(
    store: ObjectStore, root: Path, *, part_size_bytes: int = PART_SIZE_BYTES
) -> AsyncIterator[Uploader]:
    settings = msgspec.structs.replace(SETTINGS, part_size_bytes=part_size_bytes)
    uploader = Uploader(store, root, ManualClock(), settings, sleep=at_once, seed=1)
    yield uploader
    await uploader.close()


def record(root: Path, *sizes: int, duration_us: int | None = None) -> bytes:
    """An ended spool; its media."""
    writer = SpoolWriter.create(root, facts())
    fragments = sequence(*sizes)
    for fragment in fragments:
        writer.append(fragment)
    writer.append_event('{"kind":"ended"}')
    writer.end(EndReason.NORMAL, None, 2_000_000 * len(sizes) if duration_us is None else duration_us)
    writer.close()
    return b"".join(fragment.data for fragment in fragments)


def small() -> MemoryStore:
    return MemoryStore(faults=Faults(part_size_bytes_min=1))


async def shipped(store: ObjectStore, root: Path, **others: int) -> StoredObject:
    async with uploading(store, root, **others) as uploader, asyncio.timeout(20):
        await uploader.recover()
        return await uploader.finish(RECORDING)


async def stored_bytes(store: ObjectStore, key: str = KEY) -> bytes:
    info = await store.head(key)
    return b"".join([chunk async for chunk in store.read(key, 0, info.size)])


STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "memory": lambda _: small(),
    "directory": lambda path: LocalStore(path / "objects"),
}


@pytest.mark.parametrize("part_size_bytes", [PART_SIZE_BYTES, 50_000])
@pytest.mark.parametrize("kind", STORES)
async def test_a_spool_from_the_past_does_not_replace_a_longer_object(
    root: Path, tmp_path: Path, kind: str, part_size_bytes: int
) -> None:
    """By parts, by one request, and in a directory: what came back holds less, and all of it is there
    already."""
    store = STORES[kind](tmp_path)
    record(root / "past", *SIZES[:4])
    whole = record(root / "now", *SIZES)
    await shipped(store, root / "now", part_size_bytes=part_size_bytes)
    stored = await shipped(store, root / "past", part_size_bytes=part_size_bytes)
    assert await stored_bytes(store) == whole
    assert (stored.size, stored.proof) == (len(whole), Proof.HELD_ALREADY)
    assert [upload.id async for upload in store.uploads.list_uploads()] == []


async def test_a_spool_from_the_past_leaves_no_upload_that_it_cannot_know(root: Path) -> None:
    """It was begun after the backup was made, and its object was brought about by another one."""
    store = small()
    record(root / "past", *SIZES[:4])
    record(root / "now", *SIZES)
    await shipped(store, root / "now")
    await store.uploads.begin(KEY, ObjectProperties("video/mp4"))
    assert (await shipped(store, root / "past", part_size_bytes=50_000)).proof is Proof.HELD_ALREADY
    assert [upload.id async for upload in store.uploads.list_uploads()] == []


@pytest.mark.parametrize("kind", STORES)
async def test_a_longer_object_with_other_contents_stays_and_so_does_the_spool(
    root: Path, tmp_path: Path, kind: str
) -> None:
    store = STORES[kind](tmp_path)
    record(root, *SIZES)
    mark = ((RECORDING_MARK, RECORDING),)
    other = bytes(20_000)
    await store.put(KEY, other, ObjectProperties("video/mp4", mark))
    async with uploading(store, root) as uploader:
        with pytest.raises(BystanderError, match="stored_is_longer"):
            await uploader.finish(RECORDING)
        assert uploader.kept() == {RECORDING: "stored_is_longer"}
    assert await stored_bytes(store) == other
    assert (root / RECORDING / "media").exists()


async def test_the_object_of_another_recording_is_not_replaced(root: Path) -> None:
    store = small()
    record(root, *SIZES)
    await store.put(KEY, b"another's", ObjectProperties("video/mp4", ((RECORDING_MARK, "rec_other"),)))
    async with uploading(store, root) as uploader:
        with pytest.raises(BystanderError, match="object_foreign"):
            await uploader.finish(RECORDING)
    assert await stored_bytes(store) == b"another's"


class FlippingStore(LyingStore):
    """Turns a bit of the `number`th body over that it takes, of those that are long; its tags are of what
    it has."""

    def __init__(self, inner: ObjectStore, number: int) -> None:
        super().__init__(inner, "flips")
        self._left = number

    def arriving(self, data: bytes) -> bytes:
        if len(data) > 500:
            self._left -= 1
            if self._left == 0:
                return data[:400] + bytes([data[400] ^ 1]) + data[401:]
        return data


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_part_that_arrived_with_a_flipped_bit_is_sent_again(
    root: Path, number: int, opaque: bool
) -> None:
    """Also where the tags of the store are no digests, so that only reading tells."""
    store = FlippingStore(small(), number)
    store.lies.opaque_tags = opaque
    whole = record(root, *SIZES)
    stored = await shipped(store, root)
    assert await stored_bytes(store.inner) == whole
    assert stored.proof is (Proof.READ_BACK if opaque else Proof.DIGEST)


@pytest.mark.parametrize("opaque", [False, True])
async def test_a_whole_that_arrived_with_a_flipped_bit_is_sent_again(root: Path, opaque: bool) -> None:
    store = FlippingStore(small(), 1)
    store.lies.opaque_tags = opaque
    whole = record(root, *SIZES)
    await shipped(store, root, part_size_bytes=50_000)
    assert await stored_bytes(store.inner) == whole


async def test_a_store_that_keeps_no_mark_keeps_the_spool(root: Path) -> None:
    store = LyingStore(small(), "unmarked")
    store.lies.unmarked = 1.0
    record(root, *SIZES)
    async with uploading(store, root) as uploader:
        with pytest.raises(BystanderError, match="object_unproved"):
            await uploader.finish(RECORDING)
        assert uploader.kept() == {RECORDING: "object_unproved"}
        assert [(kept.recording, kept.reason) for kept in list_kept(root)] == [(RECORDING, "object_unproved")]
    assert (root / RECORDING / "media").exists()


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


@pytest.mark.parametrize("part_size_bytes", [PART_SIZE_BYTES, 50_000])
async def test_a_spool_that_shrank_is_not_shipped_as_whole(root: Path, part_size_bytes: int) -> None:
    """end.json says nine fragments; six are left: the object says what is missing, and what is left is
    kept."""
    whole = record(root, *SIZES)
    cut(root / RECORDING / "media", 1024 + 5 * 900 + 100)
    store = small()
    stored = await shipped(store, root, part_size_bytes=part_size_bytes)
    assert stored.missing_bytes == 3 * 900
    assert stored.missing_us == 3 * 2_000_000
    assert await stored_bytes(store) == whole[: 1024 + 5 * 900]
    assert (root / RECORDING / "aside" / "media").stat().st_size == 1024 + 5 * 900 + 100
    ended, missing = (await stored_bytes(store, events_key(KEY))).splitlines()
    assert ended == b'{"kind":"ended"}'
    assert b'"media_missing"' in missing
    assert b'"missing_s":6.0' in missing
    again = await shipped(store, root, part_size_bytes=part_size_bytes)
    assert again == stored
    assert (root / RECORDING / "aside" / "media").exists()


async def test_what_was_acknowledged_in_parts_is_kept_when_the_spool_shrinks_meanwhile(root: Path) -> None:
    writer = SpoolWriter.create(root, facts())
    fragments, store = sequence(*SIZES, 900, 900), small()
    async with uploading(store, root) as uploader:
        for fragment in fragments[:9]:
            writer.append(fragment)
        uploader.begin(RECORDING)
        async with asyncio.timeout(20):
            while store.requests.count("put_part") < 4:
                uploader.grew(RECORDING)
                await asyncio.sleep(0.002)
    for fragment in fragments[9:]:
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 20_000_000)
    writer.close()
    cut(root / RECORDING / "media", 2000)
    whole = b"".join(fragment.data for fragment in fragments)
    stored = await shipped(store, root)
    data = await stored_bytes(store)
    assert data == whole[: len(data)]
    assert len(data) >= 1024 + 5 * 900  # three parts were taken, the fourth was on its way
    assert stored.missing_bytes == len(whole) - len(data)
    assert (root / RECORDING / "aside").is_dir()


async def test_lost_media_is_not_called_a_recording_without_media(root: Path) -> None:
    record(root, *SIZES)
    for name in ("media", "index"):
        cut(root / RECORDING / name, 0)
    async with uploading(small(), root) as uploader:
        with pytest.raises(BystanderError, match="spool_damaged"):
            await uploader.finish(RECORDING)
    assert (root / RECORDING / "end.json").exists()


async def test_an_upload_that_begins_anew_stores_the_events_again(root: Path) -> None:
    store = small()
    record(root, *SIZES)
    async with uploading(store, root) as uploader:
        store.faults.outage = None
        await uploader.finish(RECORDING)
    shutil.rmtree(root / RECORDING)
    record(root, *SIZES)
    await store.delete(KEY)
    await store.delete(events_key(KEY))
    await shipped(store, root)
    assert await stored_bytes(store, events_key(KEY)) == b'{"kind":"ended"}\n'


async def test_events_that_are_gone_before_the_end_are_stored_again(root: Path) -> None:
    """Both objects vanish between the completion and its proof."""
    inner = small()

    class Vanishing(LyingStore):
        vanished = False

        async def head(self, key: str):  # type: ignore[no-untyped-def]
            if key == KEY and KEY in inner.keys and not self.vanished:
                self.vanished = True
                await inner.delete(KEY)
                await inner.delete(events_key(KEY))
            return await super().head(key)

    whole = record(root, *SIZES)
    await shipped(Vanishing(inner, "vanishing"), root)
    assert await stored_bytes(inner) == whole
    assert await stored_bytes(inner, events_key(KEY)) == b'{"kind":"ended"}\n'


async def test_storage_that_moved_to_another_disk_gets_a_copy(root: Path, tmp_path: Path) -> None:
    """The upload began where the directory could take the file over."""

    class Moved(LocalStore):
        async def can_adopt(self, file: Path) -> bool:
            return False

        async def adopt(self, file: Path, key: str, properties: ObjectProperties):  # type: ignore[no-untyped-def]
            raise OSError(18, "Invalid cross-device link")

    first = LocalStore(tmp_path / "first")
    writer = SpoolWriter.create(root, facts())
    fragments = sequence(*SIZES)
    for fragment in fragments:
        writer.append(fragment)
    async with uploading(first, root) as uploader:
        uploader.begin(RECORDING)
        await asyncio.sleep(0.05)
    writer.end(EndReason.NORMAL, None, 16_000_000)
    writer.close()
    store = Moved(tmp_path / "second")
    stored = await shipped(store, root)
    assert stored.proof is Proof.READ_BACK
    assert await stored_bytes(store) == b"".join(fragment.data for fragment in fragments)


@pytest.mark.parametrize("code", ["object_missing", "store_failed", "upload_missing"])
async def test_an_upload_that_is_gone_is_noticed_whatever_the_store_calls_it(root: Path, code: str) -> None:
    inner = small()
    store = LyingStore(inner, "gone")
    writer = SpoolWriter.create(root, facts())
    fragments = sequence(*SIZES)
    async with uploading(store, root) as uploader:
        for fragment in fragments:
            writer.append(fragment)
        uploader.begin(RECORDING)
        async with asyncio.timeout(20):
            while inner.requests.count("put_part") < 2:
                uploader.grew(RECORDING)
                await asyncio.sleep(0.002)
        inner.forget_uploads()
        store.lies.gone_as = code
        writer.end(EndReason.NORMAL, None, 16_000_000)
        writer.close()
        async with asyncio.timeout(20):
            await uploader.finish(RECORDING)
    assert await stored_bytes(inner) == b"".join(fragment.data for fragment in fragments)


async def test_a_spool_directory_that_was_removed_ends_the_upload_with_its_own_code(root: Path) -> None:
    store = small()
    record(root, *SIZES)
    store.faults.outage = "store_unreachable"
    async with uploading(store, root) as uploader:
        uploader.begin(RECORDING)
        await asyncio.sleep(0.02)
        shutil.rmtree(root / RECORDING)
        store.faults.outage = None
        task = uploader._tasks[RECORDING]
        async with asyncio.timeout(20):
            await asyncio.wait([task])
    assert "spool_missing" in str(task.exception())
