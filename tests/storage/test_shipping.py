"""From a writing process through the uploader into real stores, with crashes and outages in between."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import MIB
from recorder.kernel.recording import EndReason
from storage.keys import events_key
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter
from storage.store import ObjectStore
from storage.stores.memory import MemoryStore
from storage.upload.files import UploadFiles
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import sequence
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ServerProcess, rclone

KEY = facts().key
QUICK = StorageSettings(retry_delay_initial_s=0.02, retry_delay_max_s=0.2)
SIZE = 2 * MIB + 1


@asynccontextmanager
async def writing(root: Path, count: int, pause_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.storage.writing_process", str(root), str(count), str(SIZE), str(pause_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def uploading(store: ObjectStore, root: Path) -> AsyncIterator[Uploader]:
    uploader = Uploader(store, root, SystemClock(), QUICK, finalise_init=filled)
    try:
        yield uploader
    finally:
        await uploader.close()


def filled(init: bytes, entries: object) -> bytes:
    return init[:-8] + b"duration"


def expected(count: int) -> bytes:
    init, *media = sequence(*[SIZE] * count)
    return filled(init.data, None) + b"".join(fragment.data for fragment in media)


async def adopts(store: ObjectStore, root: Path) -> bool:
    return store.adoption is not None and await store.adoption.can_adopt(root / RECORDING / "facts.json")


async def stored_bytes(store: ObjectStore) -> bytes:
    info = await store.head(KEY)
    return b"".join([chunk async for chunk in store.read(KEY, 0, info.size)])


async def acknowledged(process: asyncio.subprocess.Process, appends: int) -> AsyncIterator[int]:
    """What the writer said was safe, each time that it says so, until it waits for `let_end`."""
    assert process.stdout is not None
    for _ in range(appends):
        yield int(await process.stdout.readline())


async def let_end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    assert await process.wait() == 0


async def parts_in(store: ObjectStore) -> int:
    listed = [await store.uploads.list_parts(u) async for u in store.uploads.list_uploads(KEY)]
    return sum(len(parts) for parts in listed)


async def test_a_recording_is_shipped_while_another_process_writes_it(
    any_store: ObjectStore, root: Path
) -> None:
    async with writing(root, 14, 0) as process, uploading(any_store, root) as uploader:
        async for _bytes in acknowledged(process, 15):
            uploader.grew(RECORDING)
        if not await adopts(any_store, root):
            async with asyncio.timeout(30):
                while await parts_in(any_store) < 3:  # noqa: ASYNC110 - all but the head and the last
                    await asyncio.sleep(0.01)
        await let_end(process)
        stored = await uploader.finish(RECORDING)
    data = expected(14)
    assert (stored.key, stored.size, stored.damaged_fragments) == (KEY, len(data), 0)
    assert await stored_bytes(any_store) == data
    assert [u.id async for u in any_store.uploads.list_uploads()] == []
    assert (await any_store.head(events_key(KEY))).size == 0


async def test_a_recording_outlives_its_writer_and_its_uploader(
    moto_server: ServerProcess, root: Path
) -> None:
    """kill -9 of the writer in mid-append, of the uploader in mid-part; each at a seeded instant."""
    chance = random.Random(20)
    for turn in range(3):
        spool = root / str(turn)
        store = open_store(s3_settings(moto_server.endpoint, prefix=f"killed/{turn}"))
        async with writing(spool, 1000, 0) as process:
            safe, stop_at = 0, chance.randrange(3, 12) * SIZE
            async with uploading(store, spool) as uploader:
                async for safe in acknowledged(process, 1000):
                    uploader.grew(RECORDING)
                    if safe >= stop_at:
                        break
                await asyncio.sleep(chance.uniform(0, 0.05))
                process.kill()
                await process.wait()
        async with uploading(store, spool) as uploader:
            (found,) = await uploader.recover()
            assert found.ending is not None
            assert (found.ending.reason, found.ending.failure) == (EndReason.ABORT_UNEXPECTED, "worker_died")
            stored = await uploader.finish(RECORDING)
        data = await stored_bytes(store)
        assert stored.size == found.ending.bytes >= safe
        assert data == expected(found.ending.fragments - 1)
        assert [u.id async for u in store.uploads.list_uploads()] == []
        await store.close()


async def test_a_store_that_is_gone_in_between_gets_the_same_object(tmp_path: Path, root: Path) -> None:
    """rclone forgets its multipart uploads when it is killed: everything comes again from the spool."""
    with rclone(tmp_path / "data") as server:
        store = open_store(msgspec.structs.replace(s3_settings(server.endpoint), connect_timeout_s=1.0))
        async with writing(root, 14, 0) as process, uploading(store, root) as uploader:
            lines = 0
            async for _bytes in acknowledged(process, 15):
                uploader.grew(RECORDING)
                lines += 1
                if lines == 8:
                    server.kill()
            await let_end(process)
            await until(lambda: RECORDING in uploader.troubles())
            finishing = asyncio.create_task(uploader.finish(RECORDING))
            await until(lambda: uploader.troubles()[RECORDING].attempts > 3)
            assert uploader.troubles()[RECORDING].code == "store_unreachable"
            assert not finishing.done()
            server.start()
            stored = await finishing
            assert uploader.troubles() == {}
        assert await stored_bytes(store) == expected(14)
        assert stored.size == len(expected(14))
        await store.close()


async def test_a_store_that_hangs_for_a_while_is_waited_for(tmp_path: Path, root: Path) -> None:
    with rclone(tmp_path / "data") as server:
        store = open_store(s3_settings(server.endpoint))
        async with writing(root, 10, 0) as process, uploading(store, root) as uploader:
            lines = 0
            async for _bytes in acknowledged(process, 11):  # it goes on, whatever the store does
                uploader.grew(RECORDING)
                lines += 1
                if lines == 7:
                    server.pause()
            await let_end(process)
            server.resume()
            stored = await uploader.finish(RECORDING)
        assert await stored_bytes(store) == expected(10)
        assert stored.size == len(expected(10))
        await store.close()


async def test_two_servers_do_not_ship_one_spool(root: Path) -> None:
    writer = SpoolWriter.create(root, facts())
    for fragment in sequence(10, 20):
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    store = MemoryStore()
    other = UploadFiles(root / RECORDING)
    async with uploading(store, root) as uploader:
        with pytest.raises(BystanderError) as caught:
            await uploader.finish(RECORDING)
        assert caught.value.code == "upload_elsewhere"
        assert store.requests == []
        other.close()
        assert (await uploader.finish(RECORDING)).size == 1054


async def test_a_damaged_fragment_is_blank_in_the_object(any_store: ObjectStore, root: Path) -> None:
    writer = SpoolWriter.create(root, facts())
    fragments = sequence(1000, 2000, 3000)
    for fragment in fragments:
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    media = os.open(root / RECORDING / "media", os.O_WRONLY)
    os.pwrite(media, b"\xff\x00\xff", 1024 + 1000 + 500)
    os.close(media)
    if await adopts(any_store, root):
        return  # the file itself becomes the object: nothing of it is read again
    async with uploading(any_store, root) as uploader:
        stored = await uploader.finish(RECORDING)
    assert stored.damaged_fragments == 1
    data = await stored_bytes(any_store)
    assert data[2024:4024] == (2000).to_bytes(4, "big") + b"free" + bytes(1992)
    assert data[1024:2024] + data[4024:] == fragments[1].data + fragments[3].data


def with_damaged_init(root: Path, *names: str) -> None:
    """A finished spool, in which bytes of these copies of the init segment are others."""
    writer = SpoolWriter.create(root, facts())
    for fragment in sequence(1000):
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    for name in names:
        copy = os.open(root / RECORDING / name, os.O_WRONLY)
        os.pwrite(copy, b"\xff\x00\xff", 5)
        os.close(copy)


@pytest.mark.parametrize("name", ["media", "init"])
async def test_one_damaged_copy_of_the_init_segment_costs_nothing(
    any_store: ObjectStore, root: Path, name: str
) -> None:
    with_damaged_init(root, name)
    async with uploading(any_store, root) as uploader:
        stored = await uploader.finish(RECORDING)
    assert stored.damaged_fragments == 0
    init, media = sequence(1000)
    assert await stored_bytes(any_store) == filled(init.data, None) + media.data


async def test_without_any_init_segment_the_spool_stays(any_store: ObjectStore, root: Path) -> None:
    with_damaged_init(root, "media", "init")
    async with uploading(any_store, root) as uploader:
        with pytest.raises(BystanderError) as caught:
            await uploader.finish(RECORDING)
    assert caught.value.code == "spool_damaged"
    reader = SpoolReader.open(root, RECORDING)
    assert reader.size == 2024
    reader.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is in a server, or in another process
            await asyncio.sleep(0.005)
