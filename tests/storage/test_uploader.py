"""The uploader over the store in memory: the object is the spool, whatever the store does meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import MIB
from recorder.kernel.media import Fragment
from recorder.kernel.recording import EndReason
from storage.keys import events_key
from storage.settings import StorageSettings
from storage.spool import SpoolWriter, spooled_recordings
from storage.store import MultipartUpload, ObjectProperties, ObjectStore
from storage.stores.memory import MemoryStore
from storage.takeover.lease import LEASE_RENEWAL_S, NodeLease
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import media, sequence

KEY = facts().key
Create = Callable[..., SpoolWriter]
FOUR_PARTS = sequence(*[2 * MIB] * 9, 100)  # 6 + 6 + 6 MiB and 100 bytes; the first has the init segment


async def stored_bytes(store: ObjectStore, key: str = KEY) -> bytes:
    info = await store.head(key)
    return b"".join([chunk async for chunk in store.read(key, 0, info.size)])


def joined(fragments: list[Fragment]) -> bytes:
    return b"".join(fragment.data for fragment in fragments)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(seed=1)


@pytest.fixture
async def uploader(store: MemoryStore, root: Path) -> AsyncIterator[Uploader]:
    uploader = Uploader(store, root, ManualClock(), StorageSettings(), sleep=at_once, seed=1)
    yield uploader
    await uploader.close()


def write(writer: SpoolWriter, fragments: list[Fragment]) -> None:
    for fragment in fragments:
        writer.append(fragment)
    writer.append_event('{"kind":"ended","at_s":1.0}')
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is in a server, or in another process
            await asyncio.sleep(0.005)


async def test_a_small_recording_is_one_request_and_its_sidecar(
    uploader: Uploader, store: MemoryStore, create: Create, root: Path
) -> None:
    fragments = sequence(1000, 2000)
    writer = create()
    uploader.begin(RECORDING)
    write(writer, fragments)
    stored = await uploader.finish(RECORDING)
    assert (stored.key, stored.size) == (KEY, 1024 + 3000)
    assert await stored_bytes(store) == joined(fragments)
    assert await stored_bytes(store, events_key(KEY)) == b'{"kind":"ended","at_s":1.0}\n'
    assert store.requests[:6] == ["put", "head", "put", "head", "head", "list_uploads"]
    assert sorted(path.name for path in (root / RECORDING).iterdir()) == [
        "end.copy",
        "end.json",
        "facts.copy",
        "facts.json",
        "upload.copy",
        "upload.json",
        "upload.lock",
    ]


async def test_parts_leave_while_the_recording_runs(
    uploader: Uploader, store: MemoryStore, create: Create
) -> None:
    writer = create()
    uploader.begin(RECORDING)
    for fragment in FOUR_PARTS[:8]:
        writer.append(fragment)
    uploader.grew(RECORDING)
    await until(lambda: store.requests.count("put_part") == 2)
    assert KEY not in [info.key async for info in store.list_objects()]
    write(writer, FOUR_PARTS[8:])
    stored = await uploader.finish(RECORDING)
    assert stored.size == len(joined(FOUR_PARTS))
    assert await stored_bytes(store) == joined(FOUR_PARTS)
    assert store.requests.count("put_part") == 4


async def test_finishing_twice_is_the_same_and_forgetting_removes_the_receipt(
    uploader: Uploader, create: Create, root: Path
) -> None:
    write(create(), sequence(10))
    first = await uploader.finish(RECORDING)
    assert await uploader.finish(RECORDING) == first
    await uploader.forget(RECORDING)
    assert not (root / RECORDING).exists()
    with pytest.raises(BystanderError) as caught:
        await uploader.finish(RECORDING)
    assert caught.value.code == "spool_missing"


async def test_a_recording_without_media_is_no_object(
    uploader: Uploader, store: MemoryStore, create: Create
) -> None:
    write(create(), sequence())
    with pytest.raises(BystanderError) as caught:
        await uploader.finish(RECORDING)
    assert caught.value.code == "recording_empty"
    assert [info async for info in store.list_objects()] == []


async def test_a_living_writer_is_not_finished(uploader: Uploader, create: Create) -> None:
    writer = create()
    writer.append(sequence()[0])
    with pytest.raises(BystanderError) as caught:
        await uploader.finish(RECORDING)
    assert caught.value.code == "recording_running"
    writer.append(media(1, 10))
    writer.close()
    assert (await uploader.finish(RECORDING)).size == 1034


async def test_who_waits_for_the_end_hears_that_the_uploader_closes(
    uploader: Uploader, store: MemoryStore, create: Create
) -> None:
    write(create(), sequence(10))
    store.faults.outage = "store_unreachable"
    finishing = asyncio.create_task(uploader.finish(RECORDING))
    await until(lambda: RECORDING in uploader.troubles())
    assert uploader.troubles()[RECORDING].code == "store_unreachable"
    with pytest.raises(BystanderError) as caught:
        await uploader.forget(RECORDING)
    assert caught.value.code == "recording_running"
    await uploader.close()
    with pytest.raises(BystanderError) as caught:
        await finishing
    assert caught.value.code == "uploader_closed"
    store.faults.outage = None
    assert (await uploader.finish(RECORDING)).size == 1034


async def test_waiting_for_the_end_can_be_cancelled_without_harm(
    uploader: Uploader, store: MemoryStore, create: Create
) -> None:
    write(create(), sequence(10))
    store.faults.outage = "store_throttled"
    finishing = asyncio.create_task(uploader.finish(RECORDING))
    await until(lambda: RECORDING in uploader.troubles())
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    store.faults.outage = None
    assert (await uploader.finish(RECORDING)).size == 1034
    assert store.requests.count("head") == 3


async def test_trouble_is_over_when_nothing_waits_for_the_store_any_more(
    store: MemoryStore, root: Path, create: Create
) -> None:
    """Sound alone fills no part for minutes: who waits for media does not wait for the store."""
    settings, clock, waits = StorageSettings(), ManualClock(), list[float]()

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    lease = NodeLease(store, clock, installation="ours", node="n", takeover_after_s=3600)
    uploader = Uploader(store, root, clock, settings, lease=lease, sleep=noted, seed=1)
    writer = create()
    writer.append(sequence()[0])
    store.faults.outage = "store_unreachable"
    uploader.begin(RECORDING)
    await until(lambda: len(waits) > 6)
    assert RECORDING in uploader.troubles()
    store.faults.outage = None
    await until(lambda: uploader.troubles() == {})

    store.faults.outage, before = "store_unreachable", len(waits)
    clock.advance(2 * LEASE_RENEWAL_S)  # the next sign of life is due, and is the next that fails
    uploader.grew(RECORDING)
    await until(lambda: len(waits) > before)
    assert waits[before] <= settings.retry_delay_initial_s
    await uploader.close()


async def test_receipts_that_nobody_wants_are_bounded(
    uploader: Uploader, create: Create, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.upload.uploader.RECEIPTS_MAX", 2)
    for number in range(4):
        write(create(f"rec_{number}"), sequence(10))
        await uploader.finish(f"rec_{number}")
    assert spooled_recordings(root) == ["rec_2", "rec_3"]


async def test_an_upload_whose_beginning_was_not_written_down_does_not_dangle(
    uploader: Uploader, store: MemoryStore, create: Create, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the store's answer and the state on disk: the next server begins another one."""
    write(create(), FOUR_PARTS)
    begin = store.uploads.begin

    async def killed(key: str, properties: ObjectProperties) -> MultipartUpload:
        await begin(key, properties)
        raise RuntimeError("killed")

    monkeypatch.setattr(store.uploads, "begin", killed)
    with pytest.raises(BystanderError, match="upload_defect"):
        await uploader.finish(RECORDING)
    monkeypatch.undo()
    again = Uploader(store, root, ManualClock(), StorageSettings(), sleep=at_once, seed=1)
    await again.finish(RECORDING)
    await again.close()
    assert await stored_bytes(store) == joined(FOUR_PARTS)
    assert [upload.id async for upload in store.uploads.list_uploads()] == []


async def test_the_backlog_is_as_old_as_what_waits_longest(
    store: MemoryStore, create: Create, root: Path
) -> None:
    clock = ManualClock()
    uploader = Uploader(store, root, clock, StorageSettings(), sleep=at_once, seed=1)
    store.faults.outage = "store_unreachable"
    write(create(), sequence(1000, 2000))
    uploader.begin(RECORDING)
    await until(lambda: uploader.backlog_bytes() == 1024 + 3000)
    clock.advance(100)
    now_s = clock.monotonic_ns() / 1e9
    assert (uploader.backlog_age_s(now_s), uploader.sent_bytes()) == (100, 0)
    store.faults.outage = None
    await uploader.finish(RECORDING)
    assert (uploader.backlog_bytes(), uploader.backlog_age_s(now_s)) == (0, 0.0)
    assert uploader.sent_bytes() == 1024 + 3000
    await uploader.close()
