"""The server's way to storage: what begins without a store, and what is still known of what is stored."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter
from storage.stores.memory import MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.support.archives import archive_of

RECORDING = "rec_1"
Open = Callable[..., Archive]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    made: list[Archive] = []

    def open_shipping(store: MemoryStore, *, spool_when_unreachable: bool = False) -> Archive:
        settings = StorageSettings(spool_when_unreachable=spool_when_unreachable)
        uploader = Uploader(store, tmp_path, ManualClock(), settings)
        made.append(archive_of(store, uploader, tmp_path, settings=settings))
        return made[-1]

    yield open_shipping
    for shipping in made:
        await shipping.close()


@pytest.mark.parametrize("code", ["store_unreachable", "store_throttled", "store_failed"])
async def test_a_store_that_does_not_answer_is_spooled_over_when_that_is_wanted(
    opened: Open, code: str
) -> None:
    store = MemoryStore()
    store.faults.outage = code
    await opened(store, spool_when_unreachable=True).check()
    with pytest.raises(BystanderError) as caught:
        await opened(store).check()
    assert caught.value.code == code


@pytest.mark.parametrize("code", ["store_denied", "bucket_missing"])
async def test_a_store_that_will_never_take_it_is_not_spooled_over(opened: Open, code: str) -> None:
    store = MemoryStore()
    store.faults.outage = code
    with pytest.raises(BystanderError) as caught:
        await opened(store, spool_when_unreachable=True).check()
    assert caught.value.code == code


async def test_how_a_stored_recording_ended_is_known_from_its_receipt(opened: Open, tmp_path: Path) -> None:
    facts = SpoolFacts(
        recording=RECORDING,
        conversation="conv_1",
        key=f"conv_1/{RECORDING}.mp4",
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    writer = SpoolWriter.create(tmp_path, facts)
    writer.append(Fragment(kind=FragmentKind.INIT, data=b"init"))
    writer.append(Fragment(kind=FragmentKind.MEDIA, data=b"media", duration_us=1))
    writer.end(EndReason.ABORT_TIMEOUT, "no_media", 1)
    writer.close()
    shipping = opened(MemoryStore())
    assert await shipping.finish(RECORDING, facts.key) is not None
    assert not (tmp_path / RECORDING / "media").exists()
    ending = await shipping.ending(RECORDING)
    assert ending is not None
    assert (ending.reason, ending.failure) == (EndReason.ABORT_TIMEOUT, "no_media")
    await shipping.forget(RECORDING)
    assert await shipping.ending(RECORDING) is None


async def test_a_missing_spool_is_not_believed_before_the_bucket_was_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.archive.archive.FIRST_LOOK_INTERVAL_S", 0.01)
    store, clock = MemoryStore(), ManualClock()
    lease = NodeLease(store, clock, installation="ours", node="this", takeover_after_s=900.0)
    shipping = archive_of(store, Uploader(store, tmp_path, clock, StorageSettings(), lease=lease), tmp_path)
    left: list[str] = []

    async def told(recordings: Sequence[str]) -> None:
        left.extend(recordings)

    store.faults.outage = "store_unreachable"
    assert await shipping.take_up(told) == []
    sealing = asyncio.create_task(shipping.seal(RECORDING, None, "worker_died"))
    done, _ = await asyncio.wait([sealing], timeout=0.1)  # several looks
    assert not done
    store.faults.outage = None
    async with asyncio.timeout(5):
        assert await sealing is None
    assert await shipping.seal(RECORDING, None, "worker_died") is None
    assert left == []
    await shipping.close()


async def test_a_defect_while_looking_for_what_lost_nodes_left_ends_no_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.archive.archive.FIRST_LOOK_INTERVAL_S", 0.01)
    monkeypatch.setattr("recorder.archive.archive.TAKE_UP_INTERVAL_S", 0.01)
    monkeypatch.setattr("recorder.node.background_task.RESTART_DELAY_S_FIRST", 0.2)
    shipping = archive_of(
        MemoryStore(), Uploader(MemoryStore(), tmp_path, ManualClock(), StorageSettings()), tmp_path
    )
    looks, again, stopped = 0, asyncio.Event(), asyncio.Event()

    async def told(_: Sequence[str]) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            stopped.set()
            raise RuntimeError("a defect")
        again.set()

    await shipping.check_looking()  # nobody was asked to
    await shipping.take_up(told)
    async with asyncio.timeout(10):
        await stopped.wait()
        await asyncio.sleep(0)  # the defect is out of the task by now
        with pytest.raises(BystanderError, match="task_stopped"):
            await shipping.check_looking()
        await again.wait()
    await shipping.check_looking()
    await shipping.close()
