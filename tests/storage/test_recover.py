"""The bucket alone completes an upload whose node or spool is gone; nobody touches what is not his."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.keys import events_key
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter
from storage.spool.part_bytes import free_box
from storage.store import RECORDING_MARK, SIDE_PREFIX, MultipartUpload, ObjectInfo, ObjectProperties, Part
from storage.stores.memory import Faults, MemoryStore, MemoryUploads, _World
from storage.takeover.journal_format import pack_page, unpack_page
from storage.takeover.lease import NodeLease
from storage.takeover.orphaned_uploads import Verdict
from storage.upload.uploader import Uploader
from storage.upload_plan.plan import INDEX_ROOM_BYTES
from tests.storage.conftest import RECORDING, facts, until_quiet
from tests.storage.fragments import growing, media, sequence

PART_SIZE_BYTES = 1500
SETTINGS = StorageSettings(part_size_bytes=5 * 1024 * 1024, retry_delay_initial_s=0.001)
SMALL = msgspec.structs.replace(SETTINGS, part_size_bytes=PART_SIZE_BYTES, tail_interval_s=10.0)
KEY = facts().key


def filled(init: bytes, entries: object) -> bytes:
    return init[:-8] + b"duration"


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


class Node:
    """One server's storage: its spools, and its uploader over the bucket that all share."""

    def __init__(
        self, store: MemoryStore, root: Path, clock: ManualClock, name: str, *, installation: str = "ours"
    ) -> None:
        self.root = root / name
        self.lease = NodeLease(
            store,
            clock,
            installation=installation,
            node=name,
            takeover_after_s=SMALL.takeover_after_s,
        )
        self.uploader = Uploader(
            store,
            self.root,
            clock,
            SMALL,
            finalise_init=filled,
            grow_init=filled,
            lease=self.lease,
            sleep=at_once,
            seed=1,
        )


class OffsetUploads(MemoryUploads):
    """Parts lie where they are told to, as in a file."""

    @property
    def joins_parts(self) -> bool:
        return False

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        assert [part.offset for part in parts] == [0, *accumulate(part.size for part in parts[:-1])]
        return await super().complete(upload, parts)


class SilentUploads(MemoryUploads):
    """Part `number` is stored, or not, and its sender never hears of it."""

    def __init__(self, world: _World, number: int, *, stored: bool) -> None:
        super().__init__(world)
        self.number, self.stored = number, stored
        self.reached = asyncio.Event()

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        if number != self.number:
            return await super().put_part(upload, number, offset, data)
        if self.stored:
            await super().put_part(upload, number, offset, data)
        self.reached.set()
        return await asyncio.Future()


class Bucket:
    """A store, its clock, and a first node that records."""

    def __init__(self, tmp_path: Path, looks: list[int]) -> None:
        self.tmp_path = tmp_path
        self.looks = looks
        self.clock = ManualClock()
        self.store = MemoryStore(faults=Faults(part_size_bytes_min=PART_SIZE_BYTES))
        self.first = self.node("first")

    def node(self, name: str, **about: str) -> Node:
        return Node(self.store, self.tmp_path, self.clock, name, **about)

    async def record(self, *sizes: int) -> SpoolWriter:
        """The first node has recorded these fragments, and everything that was due has been stored."""
        writer = SpoolWriter.create(self.first.root, facts())
        self.first.uploader.begin(RECORDING)
        await self.until_quiet()
        for fragment in sequence(*sizes):
            writer.append(fragment)
            await self.settle()
        return writer

    async def settle(self) -> None:
        """Let a tail interval pass and the uploader do what is due."""
        self.clock.advance(SMALL.tail_interval_s)
        await self.until_quiet()

    async def until_quiet(self) -> None:
        await until_quiet(self.first.uploader, self.store, self.looks)

    async def lose_first(self) -> None:
        """Its disk is gone with it, and it was silent for long enough."""
        await self.first.uploader.close()
        shutil.rmtree(self.first.root)
        self.clock.advance(SMALL.takeover_after_s + 1)

    async def object(self) -> bytes:
        return await self.read(KEY)

    async def read(self, key: str) -> bytes:
        info = await self.store.head(key)
        return b"".join([chunk async for chunk in self.store.read(key, 0, info.size)])

    async def beside(self) -> list[str]:
        listed = [info.key async for info in self.store.list_objects(f"{SIDE_PREFIX}uploads/")]
        return [key.rpartition("/")[2] for key in listed]


@pytest.fixture
def bucket(tmp_path: Path, looks: list[int]) -> Bucket:
    return Bucket(tmp_path, looks)


def expected(*sizes: int) -> bytes:
    init, *media = sequence(*sizes)
    return filled(init.data, None) + b"".join(fragment.data for fragment in media)


SIZES = [(100,), (600, 700, 800), (600, 700, 800, 900, 900, 400), (900,) * 9]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{len(sizes)} fragments")
async def test_another_node_completes_what_a_lost_one_recorded(
    bucket: Bucket, sizes: tuple[int, ...]
) -> None:
    writer = await bucket.record(*sizes)
    writer.close()
    await bucket.lose_first()
    second = bucket.node("second")
    survey = await second.uploader.take_up()
    assert (survey.verdicts, survey.unknown) == ({RECORDING: Verdict.RESTORED}, [])
    stored = await second.uploader.finish(RECORDING)
    assert await bucket.object() == expected(*sizes)
    assert stored.damaged_fragments == 0
    assert await bucket.beside() == []
    assert [upload async for upload in bucket.store.uploads.list_uploads()] == []
    (recovered,) = await bucket.node("second").uploader.recover()
    assert recovered.ending is not None
    assert (recovered.ending.reason, recovered.ending.failure) == (EndReason.ABORT_UNEXPECTED, "node_lost")
    before = len(bucket.store.requests)
    again = await second.uploader.take_up()
    assert (again.verdicts, again.unknown) == ({}, [])
    assert set(bucket.store.requests[before:]) == {"list_objects", "list_uploads"}


async def test_another_node_leaves_the_same_room_for_the_index(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket.store, "_uploads", OffsetUploads(bucket.store._world))
    (await bucket.record(*(900,) * 9)).close()
    await bucket.lose_first()
    second = bucket.node("second")
    assert (await second.uploader.take_up()).restored == [RECORDING]
    before = bucket.store.requests.count("put_part")
    await second.uploader.finish(RECORDING)
    assert bucket.store.requests.count("put_part") - before == 1  # the head, which was held back
    init, *media = sequence(*(900,) * 9)
    head = filled(init.data + free_box(INDEX_ROOM_BYTES), None)
    assert await bucket.object() == head + b"".join(fragment.data for fragment in media)


async def test_a_node_that_only_lost_its_spool_need_not_wait(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900, 900, 900)
    writer.close()
    await bucket.first.uploader.close()
    shutil.rmtree(bucket.first.root)
    same = bucket.node("first")
    assert (await same.uploader.take_up()).restored == [RECORDING]
    await same.uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 900, 900)


async def test_what_came_after_the_last_tail_is_all_that_is_lost(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900)
    writer.append(sequence(900, 900, 50)[-1])
    async with asyncio.timeout(30):
        while 1 + 3 not in bucket.looks:
            bucket.first.uploader.grew(RECORDING)
            await asyncio.sleep(0.005)
    await bucket.until_quiet()
    writer.close()
    await bucket.lose_first()
    second = bucket.node("second")
    await second.uploader.take_up()
    await second.uploader.finish(RECORDING)

    assert await bucket.object() == expected(900, 900)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("stored", [False, True])
async def test_a_part_that_its_node_never_heard_of(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, stored: bool, ended: bool
) -> None:
    """What is in it was written down before: the store would take no other bytes in its place."""
    bucket.store.faults.replaces_parts = False
    uploads = SilentUploads(bucket.store._world, 3, stored=stored)
    monkeypatch.setattr(bucket.store, "_uploads", uploads)
    writer = await bucket.record(900, 900, 900)
    for number in (4,) if ended else (4, 5):
        writer.append(media(number, 900))
    if ended:
        writer.end(EndReason.NORMAL, None, 8_000_000)
    bucket.first.uploader.grew(RECORDING)
    async with asyncio.timeout(30):
        await uploads.reached.wait()
    writer.close()
    await bucket.lose_first()
    monkeypatch.setattr(bucket.store, "_uploads", MemoryUploads(bucket.store._world))
    second = bucket.node("second")
    await second.uploader.take_up()
    found = await second.uploader.finish(RECORDING)
    assert found.damaged_fragments == 0
    kept = 3 if not stored else 4 if ended else 5
    assert await bucket.object() == expected(*(900,) * kept)
    assert await bucket.beside() == []


async def test_a_fragment_that_still_grew_comes_back_as_far_as_the_tails_go(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900)
    for size in (100, 200):
        writer.append(growing(3, size))
        await bucket.settle()
    assert sum(name.startswith("grown-") for name in await bucket.beside()) == 1
    writer.append(growing(3, 300))  # after the last tail
    writer.close()
    await bucket.lose_first()
    second = bucket.node("second")
    await second.uploader.take_up()
    await second.uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 200)
    assert await bucket.beside() == []


async def test_what_a_fragment_became_takes_the_place_of_what_it_was(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900)
    writer.append(growing(3, 100))
    await bucket.settle()
    (grown, *_) = await bucket.beside()
    key = f"{SIDE_PREFIX}uploads/{RECORDING}/{grown}"
    page = await bucket.read(key)
    writer.append(media(3, 300))
    await bucket.settle()
    assert grown not in await bucket.beside()
    await bucket.store.put(key, page, ObjectProperties("application/octet-stream"))  # as if not removed
    writer.close()
    await bucket.lose_first()
    second = bucket.node("second")
    await second.uploader.take_up()
    await second.uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 300)
    assert await bucket.beside() == []


async def test_what_happened_comes_back_as_far_as_the_tails_go(bucket: Bucket) -> None:
    writer = await bucket.record(900)
    for number, fragment in enumerate(sequence(900, 900, 900, 900)[2:]):
        writer.append_event(f'{{"kind":"joined","number":{number}}}')
        writer.append(fragment)
        await bucket.settle()
    names = [name for name in await bucket.beside() if name.startswith("events-")]
    assert names == ["events-0000000000000000"]
    writer.append_event('{"kind":"left"}')  # after the last tail
    writer.close()
    await bucket.lose_first()
    second = bucket.node("second")
    await second.uploader.take_up()
    await second.uploader.finish(RECORDING)
    key = events_key(KEY)
    size = (await bucket.store.head(key)).size
    lines = b"".join([chunk async for chunk in bucket.store.read(key, 0, size)]).splitlines()
    assert lines == [f'{{"kind":"joined","number":{number}}}'.encode() for number in range(3)]
    assert await bucket.beside() == []


async def test_tails_leave_the_bytes_of_a_recording_twice_at_most(bucket: Bucket) -> None:
    sizes = (900,) * 12
    writer = await bucket.record(*sizes)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    await bucket.first.uploader.finish(RECORDING)
    overhead = 600 * len(bucket.store.requests)  # headers of pages, signs of life
    assert bucket.store.bytes_received < 2 * len(expected(*sizes)) + overhead
    assert await bucket.beside() == []


async def test_tails_that_parts_cover_are_removed_but_for_those_of_the_held_head(bucket: Bucket) -> None:
    await bucket.record(*(900,) * 9)
    names = await bucket.beside()
    tails = sorted(name for name in names if name.startswith("tail-"))
    assert tails[0].startswith(f"tail-{0:016x}")
    held = 1024 + 900  # the init segment and the first fragment are part 1
    assert len([name for name in tails if int(name.split("-")[1], 16) >= held]) <= 1
    assert len([name for name in names if name.startswith("part-")]) == 4
    await bucket.first.uploader.close()


async def test_a_node_that_lives_keeps_its_upload(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900, 900)
    second = bucket.node("second")
    survey = await second.uploader.take_up()
    assert survey.verdicts == {RECORDING: Verdict.NODE_LIVES}
    assert not (second.root / RECORDING).exists()
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    await bucket.first.uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 900)


async def test_a_node_that_was_cut_off_does_not_write_into_what_another_goes_on_with(bucket: Bucket) -> None:
    writer = await bucket.record(900, 900, 900)
    await bucket.first.uploader.close()  # as a process that is stopped, with its spool
    bucket.clock.advance(SMALL.takeover_after_s + 1)
    second = bucket.node("second")
    assert (await second.uploader.take_up()).restored == [RECORDING]
    writer.append(sequence(900, 900, 900, 900)[-1])
    writer.close()
    with pytest.raises(BystanderError) as caught:
        await bucket.first.uploader.finish(RECORDING)
    assert caught.value.code == "upload_elsewhere"
    await second.uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 900)
    # It is over there; the spool that has more is not thrown away, but becomes the object.
    await bucket.node("first").uploader.finish(RECORDING)
    assert await bucket.object() == expected(900, 900, 900, 900)


async def test_of_two_that_want_to_go_on_at_most_one_does(bucket: Bucket) -> None:
    (await bucket.record(900, 900, 900)).close()
    await bucket.lose_first()
    nodes = [bucket.node(f"node-{number}") for number in range(3)]
    surveys = await asyncio.gather(*(node.uploader.take_up() for node in nodes))
    assert sum(RECORDING in survey.restored for survey in surveys) <= 1
    for node in nodes:
        await node.uploader.close()
    survey = await nodes[0].uploader.take_up()
    if not any((node.root / RECORDING).exists() for node in nodes):
        assert survey.restored == [RECORDING]


async def test_uploads_of_others_are_reported_and_not_touched(bucket: Bucket) -> None:
    (await bucket.record(900, 900, 900)).close()
    await bucket.lose_first()
    stranger = await bucket.store.uploads.begin("somebody/else.mp4", ObjectProperties())
    other = bucket.node("third", installation="theirs")
    before = await bucket.beside()
    survey = await other.uploader.take_up()
    assert survey.verdicts == {RECORDING: Verdict.OTHER_INSTALLATION}
    assert survey.unknown == [stranger]
    assert await bucket.beside() == before
    assert len([upload async for upload in bucket.store.uploads.list_uploads()]) == 2


async def test_what_lies_beside_a_whole_object_is_removed_and_the_object_stays(bucket: Bucket) -> None:
    """The node was lost between completing the upload and clearing up."""
    (await bucket.record(900, 900, 900)).close()
    await bucket.lose_first()
    whole = ObjectProperties("video/mp4", ((RECORDING_MARK, RECORDING),))
    await bucket.store.put(KEY, b"the whole recording", whole)
    second = bucket.node("second")
    assert (await second.uploader.take_up()).verdicts == {RECORDING: Verdict.STORED}
    assert await bucket.object() == b"the whole recording"
    assert await bucket.beside() == []


async def test_parts_that_the_store_lost_with_the_node_become_blank(bucket: Bucket) -> None:
    sizes = (900,) * 6
    (await bucket.record(*sizes)).close()
    await bucket.lose_first()
    bucket.store.forget_uploads()
    second = bucket.node("second")
    await second.uploader.take_up()
    stored = await second.uploader.finish(RECORDING)
    data = await bucket.object()
    assert len(data) == len(expected(*sizes))
    assert stored.damaged_fragments > 0
    assert data[: 1024 + 900] == expected(*sizes)[: 1024 + 900]


def test_a_damaged_page_is_none(bucket: Bucket, damage: Callable[[bytes], list[bytes]]) -> None:
    asyncio.run(_damaged_pages(bucket, damage))


async def _damaged_pages(bucket: Bucket, damage: Callable[[bytes], list[bytes]]) -> None:
    (await bucket.record(900)).close()
    await bucket.first.uploader.close()
    (name,) = [name for name in await bucket.beside() if name.startswith(f"tail-{1024:016x}")]
    key = f"{SIDE_PREFIX}uploads/{RECORDING}/{name}"
    info = await bucket.store.head(key)
    data = b"".join([chunk async for chunk in bucket.store.read(key, 0, info.size)])
    page = unpack_page(data)
    assert page is not None
    assert pack_page(page) == data
    assert all(unpack_page(damaged) is None for damaged in damage(data))


@pytest.fixture
def damage() -> Callable[[bytes], list[bytes]]:
    def damaged(data: bytes) -> list[bytes]:
        flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 7)]
        return [*flipped, *(data[:size] for size in range(0, len(data), 11))]

    return damaged


async def test_the_restored_spool_reads_as_any_other(bucket: Bucket) -> None:
    (await bucket.record(600, 700, 800)).close()
    await bucket.lose_first()
    bucket.store.faults.outage = None
    second = bucket.node("second")
    survey = await second.uploader.take_up()
    await second.uploader.close()
    assert survey.restored == [RECORDING]
    reader = SpoolReader.open(second.root, RECORDING)
    assert reader.facts == facts()
    assert [entry.length for entry in reader.index()] == [1024, 600, 700, 800]
    reader.close()
