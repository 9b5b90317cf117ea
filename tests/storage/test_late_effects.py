"""What comes late, or is left from before: an answer, a body on a slow link, receipts, a journal."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from storage.errors import UNREACHABLE, store_error
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import MultipartUpload, ObjectInfo, Part
from storage.stores.memory import Faults, MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts, until_quiet
from tests.storage.fragments import sequence

KEY = facts().key
FRAGMENTS = sequence(*[900] * 8)
LOOKS = 5  # before what was joined is there
SETTINGS = msgspec.structs.replace(
    StorageSettings(retry_delay_initial_s=0.001, tail_interval_s=10.0), part_size_bytes=1500
)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def record(writer: SpoolWriter) -> None:
    for fragment in FRAGMENTS:
        writer.append(fragment)


def end(writer: SpoolWriter) -> None:
    writer.end(EndReason.NORMAL, None, 16_000_000)
    writer.close()


async def test_an_object_whose_joining_takes_longer_than_its_answer_is_waited_for(
    create: Callable[..., SpoolWriter], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent again: the upload is gone, and its object is not there yet."""
    store = MemoryStore(faults=Faults(part_size_bytes_min=1))
    complete, head = store.uploads.complete, store.head
    looks = 0
    joined = False

    async def lost_answer(upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        nonlocal joined
        await complete(upload, parts)
        joined = True
        raise store_error(UNREACHABLE, "no answer in time")

    async def late(key: str) -> ObjectInfo:
        nonlocal looks
        looks += joined and key == KEY
        if joined and key == KEY and looks <= LOOKS:
            raise store_error("object_missing")
        return await head(key)

    monkeypatch.setattr(store.uploads, "complete", lost_answer)
    monkeypatch.setattr(store, "head", late)
    writer = create()
    record(writer)
    end(writer)
    uploader = Uploader(store, root, ManualClock(), SETTINGS, sleep=at_once, seed=1)
    async with asyncio.timeout(20):
        stored = await uploader.finish(RECORDING)
    await uploader.close()
    assert looks > LOOKS
    assert stored.size == sum(len(fragment.data) for fragment in FRAGMENTS)
    assert store.bytes_received == stored.size
    assert store.requests.count("begin") == 1


async def test_a_receipt_that_cannot_be_removed_is_no_failure_of_another_recording(
    create: Callable[..., SpoolWriter], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.upload.uploader.RECEIPTS_MAX", 0)
    store = MemoryStore(faults=Faults(part_size_bytes_min=1))
    uploader = Uploader(store, root, ManualClock(), SETTINGS, sleep=at_once, seed=1)

    async def refused(recording: str) -> None:
        raise BystanderError("disk_failed", "It cannot be removed.", fault=Fault.RESOURCE, status=503)

    monkeypatch.setattr(uploader, "forget", refused)
    for recording in ("rec_1", RECORDING):
        writer = create(recording)
        record(writer)
        end(writer)
        assert (await uploader.finish(recording)).is_whole
    await uploader.close()


async def test_journals_that_were_switched_off_leave_nothing_behind(
    create: Callable[..., SpoolWriter], root: Path, looks: list[int]
) -> None:
    store, clock = MemoryStore(faults=Faults(part_size_bytes_min=1)), ManualClock()

    def node(tail_interval_s: float) -> Uploader:
        lease = NodeLease(store, clock, installation="ours", node="first", takeover_after_s=900.0)
        settings = msgspec.structs.replace(SETTINGS, tail_interval_s=tail_interval_s)
        return Uploader(store, root, clock, settings, lease=lease, sleep=at_once, seed=1)

    writer, before = create(), node(10.0)
    before.begin(RECORDING)
    for fragment in FRAGMENTS:
        writer.append(fragment)
        clock.advance(11)
    await until_quiet(before, store, looks)
    await before.close()
    assert [key for key in store.keys if key.startswith("_bystander/uploads/")]
    end(writer)
    after = node(0.0)
    await after.finish(RECORDING)
    await after.close()
    assert [key for key in store.keys if key.startswith("_bystander/uploads/")] == []
