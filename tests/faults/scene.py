"""A recording process, a shipping process and a store, each of which can be broken at any instant."""

import asyncio
import io
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from media.check.file import check_file
from recorder.kernel.limits import MIB
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.upload.uploader import StoredObject
from tests.faults.recording_process import KEY
from tests.storage.stores import s3_settings
from tests.support.footage import Footage, load

DONE_S_MAX = 60.0


def quick_settings(endpoint: str, prefix: str, **others: object) -> StorageSettings:
    """S3 with short waits, so that an outage of a second is a long one."""
    usual = {
        "retry_delay_initial_s": 0.05,
        "retry_delay_max_s": 0.3,
        "connect_timeout_s": 1.0,
        "read_timeout_s": 2.0,
        "part_size_bytes": 5 * MIB,
    }
    return s3_settings(endpoint, prefix=prefix, **{**usual, **others})


@dataclass
class Recorder:
    """The recording process; `acknowledged` is the number of its last durable fragment."""

    process: asyncio.subprocess.Process
    acknowledged: int = -1
    began_s: float = 0.0
    _reading: asyncio.Task[None] | None = None

    async def first(self) -> None:
        """Wait for the init segment; then listen to the rest."""
        assert self.process.stdout is not None
        self.acknowledged = int(await self.process.stdout.readline())
        self.began_s = time.monotonic()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.acknowledged = int(line)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.over()

    async def over(self) -> None:
        """Wait for its end and its last words."""
        await self.process.wait()
        if self._reading is not None:
            await self._reading


@asynccontextmanager
async def recording(footage: Path, root: Path, count: int, pace_s: float) -> AsyncIterator[Recorder]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.faults.recording_process", str(footage), str(root), str(count), str(pace_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    recorder = Recorder(process)
    try:
        await recorder.first()
        yield recorder
    finally:
        await recorder.kill()


@dataclass
class Shipper:
    """The shipping process."""

    process: asyncio.subprocess.Process
    ready_s: float = field(default_factory=time.monotonic)

    async def stored(self) -> StoredObject:
        """Wait for the object."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DONE_S_MAX):
            line = await self.process.stdout.readline()
            await self.process.wait()
        assert self.process.returncode == 0
        return msgspec.json.decode(line, type=StoredObject)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def shipping(root: Path, settings: StorageSettings, node: str = "first") -> AsyncIterator[Shipper]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.faults.shipping_process", str(root), msgspec.json.encode(settings).decode(), node),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    shipper = Shipper(process)
    try:
        assert await process.stdout.readline() == b"ready\n"
        shipper.ready_s = time.monotonic()
        yield shipper
    finally:
        await shipper.kill()


async def kept(settings: StorageSettings, footage: Path, *, decode: bool = False) -> int:
    """How many media fragments the one object holds, each as it was recorded; nothing is left beside it."""
    store = open_store(settings)
    try:
        info = await store.head(KEY)
        data = b"".join([chunk async for chunk in store.read(KEY, 0, info.size)])
        assert await leftovers(store) == []
    finally:
        await store.close()
    source = load(footage)
    count = _media_fragments(source, data)
    if decode:
        report = await asyncio.to_thread(check_file, io.BytesIO(data))
        assert report.ok, report.problems
    return count


async def leftovers(store: ObjectStore) -> list[str]:
    """Uploads that dangle, and what lies beside uploads."""
    dangling = [upload.key async for upload in store.uploads.list_uploads()]
    return dangling + [info.key async for info in store.list_objects("_bystander/uploads/")]


def _media_fragments(source: Footage, data: bytes) -> int:
    size = len(source.fragment(1).data)
    count, rest = divmod(len(data) - len(source.init), size)
    assert rest == 0
    assert data[len(source.init) :] == b"".join(source.fragment(n).data for n in range(1, count + 1))
    assert b"sidx" in data[: len(source.init)]
    return count
