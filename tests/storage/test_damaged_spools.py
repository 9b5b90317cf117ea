"""Damage to a spool is that recording's alone: a server starts, the others are stored, and the rest is
mended."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter, spooled_recordings
from storage.spool.directory import mend
from storage.spool.small_files import copy_of
from storage.stores.memory import Faults, MemoryStore
from storage.takeover.lease import NodeLease
from storage.takeover.orphaned_uploads import Verdict
from storage.upload.uploader import Uploader
from tests.faults.recorded import fragment_of
from tests.storage.conftest import RECORDING, facts, until_quiet

OTHER = "rec_00000000000000000000000002"
KEY = facts().key
SETTINGS = msgspec.structs.replace(
    StorageSettings(retry_delay_initial_s=0.001, tail_interval_s=10.0), part_size_bytes=1200
)
FRAGMENTS = [fragment_of(1, number, 300) for number in range(9)]
WHOLE = b"".join(fragment.data for fragment in FRAGMENTS)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


class Node:
    """One server's storage over a bucket in memory."""

    def __init__(self, root: Path, clock: ManualClock, store: MemoryStore) -> None:
        self.root, self.store = root, store
        lease = NodeLease(store, clock, installation="ours", node="first", takeover_after_s=900.0)
        self.uploader = Uploader(
            store, root, clock, SETTINGS, lease=lease, sleep=at_once, seed=1, replaces_parts=True
        )

    async def finish(self) -> bytes:
        """Start as a server does, finish the recording; its object."""
        await self.uploader.take_up()
        await self.uploader.recover()
        try:
            async with asyncio.timeout(20):
                await self.uploader.finish(RECORDING)
        finally:
            await self.uploader.close()
        info = await self.store.head(KEY)
        return b"".join([chunk async for chunk in self.store.read(KEY, 0, info.size)])


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(faults=Faults(part_size_bytes_min=1))


@pytest.fixture
def node(root: Path, store: MemoryStore) -> Node:
    return Node(root, ManualClock(), store)


def record(root: Path, recording: str = RECORDING, *, ended: bool = True) -> None:
    writer = SpoolWriter.create(root, facts(recording))
    for fragment in FRAGMENTS:
        writer.append(fragment)
    if ended:
        writer.end(EndReason.NORMAL, None, 16_000_000)
    writer.close()


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    match how:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "no text":
            path.write_bytes(b"\xff\xfe" + data[2:])
        case "gone":
            path.unlink()


SMALL = ["facts.json", "end.json", "upload.json"]
HOW = ["empty", "no text", "gone"]


async def with_an_upload_begun(root: Path, node: Node) -> None:
    """So that there is an upload.json."""
    record(root)
    node.uploader.begin(RECORDING)
    async with asyncio.timeout(20):
        while node.store.requests.count("put_part") < 2:  # noqa: ASYNC110 - the condition is in the uploader
            await asyncio.sleep(0.0005)
    await node.uploader.close()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("name", SMALL)
async def test_one_damaged_copy_of_a_small_file_costs_nothing(
    root: Path, store: MemoryStore, name: str, copy: bool, how: str
) -> None:
    first = Node(root, ManualClock(), store)
    await with_an_upload_begun(root, first)
    path = root / RECORDING / name
    damage(copy_of(path) if copy else path, how)
    assert await Node(root, ManualClock(), store).finish() == WHOLE


@pytest.mark.parametrize("bit", range(0, 1600, 131))
async def test_a_flipped_bit_in_the_facts_never_moves_the_object(
    root: Path, node: Node, store: MemoryStore, bit: int
) -> None:
    """Also in a spool of before there was a copy."""
    record(root)
    path = root / RECORDING / "facts.json"
    copy_of(path).unlink()
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(bytes(data))
    await node.uploader.recover()
    try:
        await node.uploader.finish(RECORDING)
    except BystanderError as error:
        assert error.code in ("spool_damaged", "object_key_invalid")
        assert store.keys == []
    else:
        assert KEY in store.keys
    await node.uploader.close()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("how", HOW)
async def test_a_server_starts_and_others_are_stored_whatever_one_spool_is_like(
    root: Path, node: Node, store: MemoryStore, name: str, how: str
) -> None:
    record(root)
    record(root, OTHER)
    for path in (root / RECORDING / name, copy_of(root / RECORDING / name)):
        if path.exists():
            damage(path, how)
    await node.uploader.take_up()
    found = {spool.recording: spool for spool in await node.uploader.recover()}
    assert set(found) == {RECORDING, OTHER}
    stored = await node.uploader.finish(OTHER)
    assert stored.size == len(WHOLE)
    if name == "facts.json":
        assert found[RECORDING].damage == "spool_damaged"
        assert (root / RECORDING / "media").read_bytes() == WHOLE
        assert node.uploader.kept() == {RECORDING: "spool_damaged"}
        mend(root, facts())
    assert (await node.uploader.finish(RECORDING)).size == len(WHOLE)
    assert node.uploader.kept() == {}
    await node.uploader.close()


async def uploading_with_journal(root: Path, store: MemoryStore, looks: list[int]) -> SpoolWriter:
    """A recording whose tails are in the bucket, as far as it is; its server is gone and its writer lives."""
    clock = ManualClock()
    node, writer = Node(root, clock, store), SpoolWriter.create(root, facts())
    node.uploader.begin(RECORDING)
    for fragment in FRAGMENTS:
        writer.append(fragment)
        clock.advance(11)
    await until_quiet(node.uploader, store, looks)
    await node.uploader.close()
    return writer


@pytest.mark.parametrize("lost", [("media",), ("index",), ("media", "index"), ("facts.json", "facts.copy")])
async def test_what_a_spool_lost_comes_back_from_the_bucket(
    root: Path, store: MemoryStore, looks: list[int], lost: tuple[str, ...]
) -> None:
    writer = await uploading_with_journal(root, store, looks)
    writer.end(EndReason.NORMAL, None, 16_000_000)
    writer.close()
    for name in lost:
        (root / RECORDING / name).unlink()
    assert await Node(root, ManualClock(), store).finish() == WHOLE


async def test_a_spool_without_facts_is_left_alone_while_its_writer_lives(
    root: Path, store: MemoryStore, looks: list[int]
) -> None:
    writer = await uploading_with_journal(root, store, looks)
    for name in ("facts.json", "facts.copy"):
        (root / RECORDING / name).unlink()
    node = Node(root, ManualClock(), store)
    assert Verdict.RESTORED not in (await node.uploader.take_up()).verdicts.values()
    await node.uploader.close()
    writer.append(fragment_of(1, 9, 300))
    writer.close()
    assert await Node(root, ManualClock(), store).finish() == WHOLE + fragment_of(1, 9, 300).data


def lost_records(root: Path, keep: int) -> None:
    os.truncate(root / RECORDING / "index", keep * 40)


@pytest.mark.parametrize("keep", [0, 1, 5, 8])
@pytest.mark.parametrize("ended", [True, False])
async def test_fragments_are_found_again_by_their_boxes(
    root: Path, node: Node, keep: int, ended: bool
) -> None:
    """Of a writer that died the last one is believed only with another behind it."""
    record(root, ended=ended)
    lost_records(root, keep)
    certain = WHOLE if ended or keep < 8 else WHOLE[: -len(FRAGMENTS[-1].data)]
    assert await node.finish() == certain


def test_bytes_behind_the_index_that_are_one_fragment_were_never_acknowledged(root: Path) -> None:
    record(root, ended=False)
    lost_records(root, 8)
    writer = SpoolWriter.resume(root, RECORDING)
    assert writer.fragments == 8
    writer.close()


async def test_an_index_that_is_another_than_was_written_is_noticed(root: Path, node: Node) -> None:
    """A damaged record hid a damaged fragment: the boxes are whole, and the digest of the ending is not
    theirs."""
    record(root)
    lost_records(root, 5)
    media = root / RECORDING / "media"
    data = bytearray(media.read_bytes())
    data[-10] ^= 1
    media.write_bytes(bytes(data))
    await node.uploader.recover()
    stored = await node.uploader.finish(RECORDING)
    assert (stored.altered, stored.is_whole) == (True, False)
    assert (root / RECORDING / "aside" / "media").exists()
    await node.uploader.close()


def test_what_is_no_spool_is_none(root: Path) -> None:
    record(root)
    (root / ".damaged" / "rec_1.0").mkdir(parents=True)
    (root / "lost+found").mkdir()
    assert spooled_recordings(root) == [RECORDING]


def test_an_ending_says_what_there_was(root: Path) -> None:
    record(root)
    reader = SpoolReader.open(root, RECORDING)
    ending = reader.ending
    assert ending is not None
    assert (ending.bytes, ending.fragments, len(ending.digest)) == (len(WHOLE), 9, 64)
    reader.close()
