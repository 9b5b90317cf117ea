"""Twenty recordings wait for a link of 20 KiB/s: they get on, and nothing is sent twice."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import KIB
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.spool import SpoolWriter
from storage.upload.backlog import Backlog, BacklogMeter, Look
from storage.upload.uploader import Uploader
from tests.storage.conftest import facts
from tests.storage.stores import make_bucket, s3_settings
from tests.support.s3_servers import moto
from tests.support.slow_link import slow_link

pytestmark = pytest.mark.slow

LINK_BYTES_PER_S = 20 * KIB
RECORDINGS = 20
RECORDING_BYTES = 100 * KIB
FRAGMENT_BYTES = 10 * KIB
SENT_TWICE_MAX = 1.1  # times what was recorded: requests and signatures besides
QUIET_S_MAX = 60.0  # without anything that is stored; eight at once of 100 KiB each take 40 s


@dataclass
class Shipped:
    """What was seen: when each was stored, bytes on the link, what the backlog said in the middle."""

    recorded_bytes: int = 0
    carried_bytes: int = 0
    seconds: float = 0.0
    stored_s: list[float] = field(default_factory=list)
    backlogs: list[Backlog] = field(default_factory=list)

    @property
    def quiet_s(self) -> float:
        """The longest time in which nothing was stored."""
        times = [0.0, *sorted(self.stored_s)]
        return max(after - before for before, after in pairwise(times))


def spool(root: Path, number: int, size: int) -> str:
    """A recording of so many bytes that is over."""
    recording = f"rec_{number:026d}"
    writer = SpoolWriter.create(root, facts(recording))
    writer.append(Fragment(kind=FragmentKind.INIT, data=os.urandom(1000)))
    for _ in range(size // FRAGMENT_BYTES):
        data = os.urandom(FRAGMENT_BYTES)
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=data, duration_us=2_000_000))
    writer.end(EndReason.NORMAL, None, 2_000_000 * (size // FRAGMENT_BYTES))
    writer.close()
    return recording


async def ship(root: Path, sizes: Sequence[int], bytes_per_s: float) -> Shipped:
    """Ship them all at once to moto's S3 behind such a link, with the time-outs that are set by default."""
    seen = Shipped()
    with moto() as server:
        await asyncio.to_thread(make_bucket, server.endpoint)
        async with slow_link(urlsplit(server.endpoint).port or 0, bytes_per_s) as link:
            settings = s3_settings(link.endpoint)
            store = open_store(settings)
            uploader = Uploader(store, root, SystemClock(), settings)
            recordings = [spool(root, number, size) for number, size in enumerate(sizes)]
            seen.recorded_bytes = sum((root / one / "media").stat().st_size for one in recordings)
            began_s = time.monotonic()

            async def stored(recording: str) -> None:
                await uploader.finish(recording)
                seen.stored_s.append(time.monotonic() - began_s)

            watching = asyncio.create_task(watch(uploader, seen))
            await asyncio.gather(*(stored(recording) for recording in recordings))
            watching.cancel()
            seen.seconds, seen.carried_bytes = time.monotonic() - began_s, link.carried_bytes
            await uploader.close()
            await store.close()
    return seen


async def watch(uploader: Uploader, seen: Shipped) -> None:
    """What the backlog is said to be, every five seconds."""
    meter, clock = BacklogMeter(), SystemClock()
    while True:
        now_s = clock.monotonic_ns() / 1e9
        look = Look(now_s, uploader.backlog_bytes(), uploader.sent_bytes(), 2**40)
        seen.backlogs.append(meter.look(look))
        await asyncio.sleep(5.0)


async def test_twenty_recordings_get_on_over_a_slow_link(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seen = await ship(tmp_path / "spool", [RECORDING_BYTES] * RECORDINGS, LINK_BYTES_PER_S)
    for name in ("recorded_bytes", "carried_bytes", "seconds", "quiet_s"):
        record_property(name, getattr(seen, name))
    assert len(seen.stored_s) == RECORDINGS
    assert seen.carried_bytes <= SENT_TWICE_MAX * seen.recorded_bytes
    assert seen.quiet_s <= QUIET_S_MAX
    said = [backlog.drained_in_s for backlog in seen.backlogs if backlog.drained_in_s]
    assert said
    assert max(backlog.size_bytes for backlog in seen.backlogs) <= seen.recorded_bytes
