"""A long recording on a store that joins parts as they come, and holds in memory what it cannot join yet."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from recorder.kernel.limits import MIB
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import ObjectStore
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.stores import s3_settings
from tests.support import footage
from tests.support.s3_servers import rclone
from tests.support.uploading import uploader_of

pytestmark = pytest.mark.stores

RECORDED_BYTES = 400 * MIB  # twice what rclone is willing to hold
MEMORY_BYTES_MAX = 500 * MIB  # it held 235 MiB of parts, and 311 in all
FINISH_S_MAX = 180.0  # it keeps a part that it has no room for waiting for a minute, then refuses it
QUICK = StorageSettings(retry_delay_initial_s=0.1, retry_delay_max_s=2.0)


class Memory:
    """The most that a process has had in memory, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak_bytes = 0

    async def watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
            await asyncio.sleep(0.1)


async def test_more_than_rclone_holds_in_memory_becomes_one_object(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its first part comes last: until then rclone joins nothing, and refuses what is too much for it."""
    source = footage.make(width=640, height=360, noise=255)
    with rclone(tmp_path / "rclone" / "data") as server:
        store = open_store(s3_settings(server.endpoint))
        uploader = uploader_of(store, tmp_path / "spool", QUICK)
        memory = Memory(server.pid)
        watching = asyncio.create_task(memory.watch())
        writer = SpoolWriter.create(tmp_path / "spool", facts())
        uploader.begin(RECORDING)
        recorded_bytes, number = 0, 0
        while recorded_bytes < RECORDED_BYTES:
            fragment = source.fragment(number)
            await asyncio.to_thread(writer.append, fragment)
            uploader.grew(RECORDING)
            recorded_bytes, number = recorded_bytes + len(fragment.data), number + 1
        async with asyncio.timeout(FINISH_S_MAX):
            while not has_asked_for_patience(uploader):  # noqa: ASYNC110 - it takes rclone a minute
                await asyncio.sleep(0.05)
        before_the_end = await part_bytes(store)
        writer.end(EndReason.NORMAL, None, footage.FRAGMENT_US * (number - 1))
        writer.close()
        began = time.monotonic()
        async with asyncio.timeout(FINISH_S_MAX):
            stored = await uploader.finish(RECORDING)
        took_s = time.monotonic() - began
        watching.cancel()
        assert stored.size == recorded_bytes
        tail = hashlib.md5(usedforsecurity=False)
        async for chunk in store.read(facts().key, len(source.init), stored.size):
            tail.update(chunk)
        await uploader.close()
        await store.close()
    expected = hashlib.md5(usedforsecurity=False)
    for each in range(1, number):
        expected.update(source.fragment(each).data)
    assert tail.digest() == expected.digest()
    record_property("mib_before_the_end", before_the_end // MIB)
    record_property("seconds_to_finish", round(took_s, 1))
    record_property("mib_in_memory", memory.peak_bytes // MIB)
    assert before_the_end < recorded_bytes
    assert memory.peak_bytes < MEMORY_BYTES_MAX


def has_asked_for_patience(uploader: Uploader) -> bool:
    """Whether rclone holds all that it is willing to hold."""
    return [trouble.code for trouble in uploader.troubles().values()] == ["store_throttled"]


async def part_bytes(store: ObjectStore) -> int:
    """What the store has of uploads that are not complete."""
    uploads = store.uploads
    listed = [await uploads.list_parts(upload) async for upload in uploads.list_uploads()]
    return sum(part.size for parts in listed for part in parts)
