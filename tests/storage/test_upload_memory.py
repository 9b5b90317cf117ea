"""However slow the store and however fast the writers: a recording has at most two parts in memory."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import KIB
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import MultipartUpload, Part
from storage.stores.memory import MemoryStore, MemoryUploads
from storage.upload.uploader import Uploader
from tests.storage.conftest import facts
from tests.storage.fragments import init, media

RECORDINGS = 6
PARTS = 10  # of each recording
PART_BYTES = 512 * KIB
FRAGMENT_BYTES = 64 * KIB
BESIDES_BYTES = 32 * KIB  # for each recording: its index, its state, its task
LONGEST_PART_BYTES = PART_BYTES + FRAGMENT_BYTES


class SlowUploads(MemoryUploads):
    """Holds each part until it is let go, and then keeps nothing of it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, int, asyncio.Event]] = []
        self.begun = 0
        self.sent = 0

    async def begin(self, key: str, properties: object) -> MultipartUpload:
        self.begun += 1
        return MultipartUpload(key, f"upload-{self.begun}")

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        gate = asyncio.Event()
        self.waiting.append((upload.id, len(data), gate))
        await gate.wait()
        self.sent += 1
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Part(number=number, offset=offset, size=len(data), etag=digest, md5=digest)

    def let_go(self) -> None:
        """The oldest of what is held has arrived."""
        self.waiting.pop(0)[2].set()


class SlowStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.slow = SlowUploads()

    @property
    def uploads(self) -> SlowUploads:
        return self.slow


@pytest.fixture
def spools(root: Path) -> Iterator[list[str]]:
    """So many recordings that run, each as long as all its parts."""
    writers = {}
    for number in range(RECORDINGS):
        name = f"rec_{number:026d}"
        writer = writers[name] = SpoolWriter.create(root, facts(name))
        writer.append(init())
        for fragment in range(1, PARTS * PART_BYTES // FRAGMENT_BYTES + 1):
            writer.append(media(fragment, FRAGMENT_BYTES))
    yield list(writers)
    for writer in writers.values():
        writer.close()


@pytest.mark.parametrize("slots", [2, RECORDINGS])
async def test_at_most_two_parts_of_a_recording_are_in_memory(
    root: Path, spools: list[str], slots: int
) -> None:
    settings = msgspec.structs.replace(
        StorageSettings(), part_size_bytes=PART_BYTES, parts_in_flight_max=slots, tail_interval_s=0
    )
    store = SlowStore()
    uploader = Uploader(store, root, SystemClock(), settings, finalise_init=lambda data, _: data)
    tracemalloc.start()
    try:
        for name in spools:
            uploader.begin(name)
        wanted = RECORDINGS * (PARTS - 2)  # the first is held back, and the last may not be full
        async with asyncio.timeout(30):
            while store.slow.sent < wanted:
                in_flight = min(slots, wanted - store.slow.sent)
                while len(store.slow.waiting) < in_flight:  # noqa: ASYNC110 - read in threads
                    await asyncio.sleep(0.001)
                held = [upload for upload, _, _ in store.slow.waiting]
                assert len(held) == len(set(held)) <= slots
                store.slow.let_go()
                await asyncio.sleep(0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await uploader.close()
    assert peak >= slots * PART_BYTES  # as many as may be were there
    assert peak <= slots * 2 * LONGEST_PART_BYTES + RECORDINGS * BESIDES_BYTES
