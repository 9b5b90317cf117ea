"""What storing costs: the time to finalise by length, requests and bytes for a recorded minute, memory."""

import asyncio
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import storing_memory, storing_proofs
from media.isobmff.progressive.movie import ProgressiveMovie
from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.kernel.clock import ManualClock, SystemClock
from recorder.kernel.limits import MIB
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter, seal
from storage.spool.format import MEDIA
from storage.store import MultipartUpload, ObjectInfo, ObjectStore, Part
from storage.stores.local.store import LocalStore
from storage.stores.memory import MemoryStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.storage.stores import make_bucket, s3_settings
from tests.support import footage
from tests.support.s3_servers import moto

RECORDING = "rec_00000000000000000000000001"
LENGTHS_S = {"1 min": 60, "1 h": 3600, "8 h": 28_800, "24 h": 86_400}
STORES = ("s3", "directory", "elsewhere")
FRAGMENT_S, MINUTE_BYTES = 2.0, 4_200_000  # two people with video
MINUTES = 20
WITHHELD_BYTES_MAX = 2 * 6 * MIB  # the first part and less than another one


def _facts() -> SpoolFacts:
    return SpoolFacts(
        recording=RECORDING,
        conversation="conv_1",
        key=f"conv_1/{RECORDING}.mp4",
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _uploader(store: ObjectStore, root: Path, settings: StorageSettings) -> Uploader:
    return Uploader(
        store,
        root,
        SystemClock(),
        settings,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
        make_movie=ProgressiveMovie,
    )


async def measure() -> None:
    """Print one table after the other."""
    print(f"{'length':<8}{'store':<12}{'MB':>8}{'from end to verified object, s':>34}{'of it joining':>15}")
    thin = footage.make(width=64, height=36, noise=0)  # so that a day fits into the server's memory
    full = footage.make(width=256, height=144, noise=16)  # 250 MB an hour
    with moto() as server:
        make_bucket(server.endpoint)
        for name, length_s in LENGTHS_S.items():
            for kind in STORES:
                await _finalise(name, kind, server.endpoint, thin, length_s)
        for kind in STORES:
            await _finalise("1 h", kind, server.endpoint, full, 3600)
        await storing_memory.measure(server.endpoint, _facts())
        await storing_proofs.measure(server.endpoint, _facts())
    await _requests()


class _Elsewhere(LocalStore):
    """A directory that shares no file system with the spool: parts go to their offsets."""

    async def can_adopt(self, file: Path) -> bool:
        return False


def _store(kind: str, endpoint: str, directory: Path) -> ObjectStore:
    if kind == "s3":
        return open_store(s3_settings(endpoint, prefix=uuid.uuid4().hex))
    return (LocalStore if kind == "directory" else _Elsewhere)(directory)


async def _finalise(name: str, kind: str, endpoint: str, source: footage.Footage, length_s: int) -> None:
    """The recording is sent as far as it can be before its end; what follows is measured."""
    with tempfile.TemporaryDirectory() as directory:
        store = _store(kind, endpoint, Path(directory) / "objects")
        try:
            size, took_s, joining_s = await _ended(store, Path(directory) / "spool", source, length_s)
        finally:
            await store.close()
    print(f"{name:<8}{kind:<12}{size / 1e6:>8.1f}{took_s:>34.2f}{joining_s:>15.2f}")


async def _ended(
    store: ObjectStore, root: Path, source: footage.Footage, length_s: int
) -> tuple[int, float, float]:
    footage.spool_of(source, root, _facts(), length_s * 1_000_000 // footage.FRAGMENT_US)
    writer = SpoolWriter.resume(root, RECORDING)
    joining_s = _timed_joining(store)
    uploader = _uploader(store, root, StorageSettings())
    uploader.begin(RECORDING)
    size = writer.size
    if store.adoption is None or not await store.adoption.can_adopt(root / RECORDING / MEDIA):
        await _until_sent(store, size)
    writer.end(EndReason.NORMAL, None, writer.duration_us)
    writer.close()
    began_s = time.monotonic()
    await uploader.finish(RECORDING)
    took_s = time.monotonic() - began_s
    await uploader.close()
    return size, took_s, sum(joining_s)


def _timed_joining(store: ObjectStore) -> list[float]:
    """How long the store's own completing of uploads takes, in seconds: it is added to this list."""
    joining_s: list[float] = []
    complete = store.uploads.complete

    async def timed(upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        began_s = time.monotonic()
        try:
            return await complete(upload, parts)
        finally:
            joining_s.append(time.monotonic() - began_s)

    setattr(store.uploads, "complete", timed)  # noqa: B010 - a method in place of a method
    return joining_s


async def _until_sent(store: ObjectStore, size: int) -> None:
    """Wait until the store has all parts that can leave before the end: all but the first and the last."""
    while True:
        listed = [await store.uploads.list_parts(u) async for u in store.uploads.list_uploads()]
        if sum(part.size for parts in listed for part in parts) >= size - WITHHELD_BYTES_MAX:
            return
        await asyncio.sleep(0.05)


async def _requests() -> None:
    """Twenty minutes at 4.2 MB each in fast motion, with tails every ten seconds and without."""
    print(f"\n{'for a recorded minute':<26}{'requests':>10}{'bytes sent / recorded':>24}   by kind")
    for tail_s in (10.0, 0.0):
        with tempfile.TemporaryDirectory() as directory:
            store, recorded = await _in_fast_motion(Path(directory), tail_s)
        counts = Counter(store.requests)
        kinds = ", ".join(f"{kind} {count / MINUTES:.2f}" for kind, count in counts.most_common())
        ratio = store.bytes_received / recorded
        label = f"tail every {tail_s:.0f} s" if tail_s else "no tails"
        print(f"{label:<26}{len(store.requests) / MINUTES:>10.1f}{ratio:>24.2f}   {kinds}")


async def _in_fast_motion(root: Path, tail_s: float) -> tuple[MemoryStore, int]:
    store, clock = MemoryStore(), ManualClock()
    settings = StorageSettings(tail_interval_s=tail_s, part_size_bytes=5 * MIB)
    lease = NodeLease(store, clock, installation="ours", node="first", takeover_after_s=900.0)
    uploader = Uploader(store, root, clock, settings, lease=lease, finalise_init=lambda init, _: init)
    writer = SpoolWriter.create(root, _facts())
    writer.append(Fragment(kind=FragmentKind.INIT, data=bytes(65_536)))
    uploader.begin(RECORDING)
    size, us = round(MINUTE_BYTES * FRAGMENT_S / 60), round(FRAGMENT_S * 1e6)
    for number in range(round(MINUTES * 60 / FRAGMENT_S)):
        data = number.to_bytes(4, "big") + bytes(size - 4)
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=data, start_us=number * us, duration_us=us))
        clock.advance(FRAGMENT_S)
        before = -1
        while before != len(store.requests):
            before = len(store.requests)
            uploader.grew(RECORDING)
            await asyncio.sleep(0.02)
    recorded = writer.size
    writer.close()
    seal(root, RECORDING, EndReason.NORMAL, "worker_died")
    await uploader.finish(RECORDING)
    await uploader.close()
    return store, recorded
