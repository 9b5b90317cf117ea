"""`storage.container = "mp4"`: on every store, after any crash, the object is the one ordinary file."""

import asyncio
import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from media.check.file import check_file
from media.isobmff import init_segment
from media.isobmff.box_reader import top_level
from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter
from storage.spool import format as form
from storage.spool.format import IndexEntry
from storage.store import ObjectStore, Part
from storage.stores.local.store import LocalStore
from storage.stores.memory import MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import StoredObject, Uploader
from storage.upload_plan.plan import left_fragmented
from storage.upload_plan.state import Container, HeadPolicy, Phase, UploadState
from tests.storage.conftest import RECORDING, facts, until_quiet
from tests.support import footage
from tests.support.footage import Footage
from tests.support.ordinary import ordinary_file
from tests.support.uploading import uploader_of

KEY = facts().key
PART = Part(number=1, offset=0, size=151, etag="e", md5="m")  # one byte more than was recorded
SETTINGS = StorageSettings(
    container="mp4", tail_interval_s=0.0, retry_delay_initial_s=0.01, retry_delay_max_s=0.1
)


@pytest.fixture(scope="module")
def large() -> Footage:
    """Two seconds of it are 1.5 MB: three of them are no part yet, four of them are one."""
    return footage.make(width=320, height=180, noise=255)


@pytest.fixture(scope="module")
def small() -> Footage:
    return footage.make(width=64, height=36, noise=0)


def fragments(source: Footage, count: int) -> list[Fragment]:
    return [source.fragment(number) for number in range(count + 1)]


def written(root: Path, recorded: list[Fragment]) -> None:
    writer = SpoolWriter.create(root, facts())
    for fragment in recorded:
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()


async def shipped(store: ObjectStore, root: Path) -> StoredObject:
    uploader = uploader_of(store, root, SETTINGS)
    try:
        async with asyncio.timeout(60):
            return await uploader.finish(RECORDING)
    finally:
        await uploader.close()


async def stored_bytes(store: ObjectStore) -> bytes:
    info = await store.head(KEY)
    return b"".join([chunk async for chunk in store.read(KEY, 0, info.size)])


@pytest.mark.parametrize("count", [1, 8])
async def test_every_store_gets_the_ordinary_file(
    any_store: ObjectStore, root: Path, large: Footage, count: int
) -> None:
    recorded = fragments(large, count)
    written(root, recorded)
    stored = await shipped(any_store, root)
    data = await stored_bytes(any_store)
    assert data == ordinary_file(recorded)
    assert (stored.size, stored.damaged_fragments) == (len(data), 0)
    assert [place.kind for place in top_level(io.BytesIO(data))] == [b"ftyp", b"mdat", b"moov"]
    assert [upload.key async for upload in any_store.uploads.list_uploads()] == []


@pytest.mark.parametrize("replaces_parts", [True, False])
async def test_what_was_sent_while_recording_is_not_sent_again(
    root: Path, large: Footage, looks: list[int], replaces_parts: bool
) -> None:
    recorded, store = fragments(large, 14), MemoryStore()
    writer = SpoolWriter.create(root, facts())
    uploader = uploader_of(store, root, SETTINGS, replaces_parts=replaces_parts)
    uploader.begin(RECORDING)
    for fragment in recorded:
        writer.append(fragment)
    await until_quiet(uploader, store, looks)
    sent = store.requests.count("put_part")
    assert sent >= 2
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    await uploader.finish(RECORDING)
    await uploader.close()
    data = await stored_bytes(store)
    assert data == ordinary_file(recorded)
    assert store.requests.count("put_part") == sent + 2  # the first part and the last
    report = check_file(io.BytesIO(data))
    assert (report.ok, report.fragmented) == (True, False)


async def test_a_damaged_fragment_is_a_gap_in_the_tables(root: Path, large: Footage) -> None:
    recorded, store = fragments(large, 9), MemoryStore()
    written(root, recorded)
    flip(root, sum(len(fragment.data) for fragment in recorded[:3]) + 70_000)
    stored = await shipped(store, root)
    assert stored.damaged_fragments == 1
    assert await stored_bytes(store) == ordinary_file(recorded, gaps=[3])


def flip(root: Path, offset: int) -> None:
    with (root / RECORDING / form.MEDIA).open("r+b") as media:
        media.seek(offset)
        byte = media.read(1)[0]
        media.seek(offset)
        media.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("at", range(4))
async def test_a_directory_that_takes_the_file_over_survives_a_kill_anywhere(
    tmp_path: Path, root: Path, small: Footage, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed between any two writes of the finishing; meanwhile readers see what was recorded."""
    recorded, store = fragments(small, 5), LocalStore(tmp_path / "objects")
    written(root, recorded)
    remove_init_copy(root)
    left, write = at, os.pwrite

    def killing(fd: int, data: bytes, offset: int) -> int:
        nonlocal left
        if left == 0:
            raise RuntimeError("killed")
        left -= 1
        return write(fd, data, offset)

    monkeypatch.setattr("storage.spool.durable_files.os.pwrite", killing)
    uploader = uploader_of(store, root, SETTINGS)
    with pytest.raises(BystanderError, match="upload_defect"):
        await uploader.finish(RECORDING)
    await uploader.close()
    monkeypatch.undo()
    reader = SpoolReader.open(root, RECORDING)
    assert reader.read(0, reader.size) == b"".join(fragment.data for fragment in recorded)
    reader.close()
    await shipped(store, root)
    assert await stored_bytes(store) == ordinary_file(recorded)


def remove_init_copy(root: Path) -> None:
    """As spools were before there was one; it has to be there before the first is written over."""
    (root / RECORDING / form.INIT).unlink(missing_ok=True)


async def test_without_room_for_the_tables_it_stays_fragmented(
    tmp_path: Path, root: Path, small: Footage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, store = fragments(small, 5), LocalStore(tmp_path / "objects")
    written(root, recorded)
    end, write = sum(len(fragment.data) for fragment in recorded), os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        if offset >= end:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data, offset)

    monkeypatch.setattr("storage.spool.durable_files.os.pwrite", full)
    stored = await shipped(store, root)
    assert stored.size == end
    report = check_file(io.BytesIO(await stored_bytes(store)))
    assert (report.ok, report.fragmented, report.indexed) == (True, True, True)


async def test_an_init_segment_without_room_for_the_header_stays_fragmented(
    root: Path, small: Footage
) -> None:
    bare = Fragment(kind=FragmentKind.INIT, data=init_segment(small.coded.tracks, reserved_bytes=0))
    recorded, store = [bare, *fragments(small, 5)[1:]], MemoryStore()
    written(root, recorded)
    await shipped(store, root)
    report = check_file(io.BytesIO(await stored_bytes(store)))
    assert (report.ok, report.fragmented) == (True, True)


@pytest.mark.parametrize(
    ("sent", "restarts"),
    [
        ({}, False),
        ({"head_filled": True}, True),
        ({"parts": (PART,)}, True),
        ({"phase": Phase.COMPLETED}, True),
    ],
)
def test_what_was_sent_of_an_ordinary_file_is_not_left_in_a_fragmented_one(
    sent: dict[str, Any], restarts: bool
) -> None:
    """Its tables may have gone already when, after a crash, the spool cannot say them any more."""
    entries = [
        IndexEntry(FragmentKind.INIT, 0, 100, 0, 0, 0),
        IndexEntry(FragmentKind.MEDIA, 100, 50, 0, 1, 0),
    ]
    state = UploadState(
        key=KEY, head=HeadPolicy.HOLD, part_size_bytes=10, container=Container.MP4, upload_id="u", **sent
    )
    left = left_fragmented(state, entries)
    assert left.container is Container.FMP4
    assert (left.upload_id is None) == restarts


async def test_who_has_only_the_bucket_leaves_it_fragmented(
    tmp_path: Path, large: Footage, looks: list[int]
) -> None:
    """Parts cannot be read before they are joined, so nobody knows what the fragments in them say."""
    recorded, store, clock = fragments(large, 6), MemoryStore(), ManualClock()
    settings = msgspec.structs.replace(SETTINGS, tail_interval_s=1.0)

    def node(name: str) -> Uploader:
        lease = NodeLease(store, clock, installation="ours", node=name, takeover_after_s=900.0)
        return uploader_of(store, tmp_path / name, settings, clock=clock, lease=lease, replaces_parts=True)

    writer, first = SpoolWriter.create(tmp_path / "first", facts()), node("first")
    first.begin(RECORDING)
    for fragment in recorded:
        writer.append(fragment)
    for _ in range(3):
        clock.advance(2.0)
        await until_quiet(first, store, looks)
    await first.close()
    writer.close()
    shutil.rmtree(tmp_path / "first")
    clock.advance(1000.0)
    second = node("second")
    assert (await second.take_up()).restored == [RECORDING]
    stored = await second.finish(RECORDING)
    await second.close()
    assert stored.damaged_fragments == 0
    report = check_file(io.BytesIO(await stored_bytes(store)))
    assert (report.ok, report.fragmented, report.fragments) == (True, True, 6)
