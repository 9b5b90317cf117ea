"""What a worker takes to record given streams: CPU, memory and size, through a real server."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import psutil

from benchmarks.publishing import Orders, Sent
from benchmarks.streams import Stream
from media.mux.fragmenter import INDEX_RESERVED_BYTES
from recorder.demo.call import Api
from recorder.demo.main import ON_LOOPBACK
from recorder.demo.server import ServerProcess, serving
from recorder.kernel.recording import EntryPoint

WARM_UP_S = 3.0  # joining, first key frames, settling clocks
JOIN_S_MAX = 30.0
AVAILABLE_S_MAX = 60.0


@dataclass(frozen=True)
class Scenario:
    """What is published, at how many pictures a second, and the server's settings beside the defaults."""

    streams: tuple[Stream, ...]
    fps: int
    settings: dict[str, str]


@dataclass(frozen=True)
class Cost:
    """Of one recording: cores that its worker took, its memory (PSS), bytes of media for each second.

    The room for the index, 64 KiB once in every file, is not counted.
    """

    cores: float
    pss_bytes: int
    bytes_per_second: float


async def record(scenario: Scenario, *, seconds: float, look: Callable[[Path], None] | None = None) -> Cost:
    """Record the streams; the worker's CPU is taken over the last `seconds`. `look` gets the whole file."""
    with tempfile.TemporaryDirectory() as scratch:
        async with (
            serving(Path(scratch), settings=ON_LOOPBACK | scenario.settings) as server,
            aiohttp.ClientSession() as http,
        ):
            api = Api(http, server)
            recording, entry_point = await api.start_recording(await api.create_conversation())
            async with _published(scenario, entry_point):
                await asyncio.sleep(WARM_UP_S)
                cores, pss = await _measured(server, seconds)
            await api.stop(recording.id)
            done = await asyncio.wait_for(api.settled(recording.id), AVAILABLE_S_MAX)
            if done.bytes is None or done.duration_s is None or done.filename is None:
                raise RuntimeError(f"nothing was recorded: {done.failure}")
            if look is not None:
                await asyncio.to_thread(look, await _download(http, server, recording.id, Path(scratch)))
            return Cost(cores, pss, (done.bytes - INDEX_RESERVED_BYTES) / done.duration_s)


async def _measured(server: ServerProcess, seconds: float) -> tuple[float, int]:
    before, began = server.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    after, took_s = server.cpu_seconds(), time.monotonic() - began
    used = {pid: after[pid] - before.get(pid, 0.0) for pid in after if pid != server.pid}
    worker = max(used, key=lambda pid: used[pid])
    return used[worker] / took_s, int(psutil.Process(worker).memory_full_info().pss)


@contextlib.asynccontextmanager
async def _published(scenario: Scenario, entry_point: EntryPoint) -> AsyncIterator[None]:
    """A process that publishes all streams inside the block."""
    sent = [
        Sent(
            name=stream.name,
            source=stream.source,
            pictures=None if stream.pictures is None else str(stream.pictures),
            sound=None if stream.sound is None else str(stream.sound),
        )
        for stream in scenario.streams
    ]
    orders = Orders(url=entry_point.url, token=entry_point.token, fps=scenario.fps, streams=sent)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.publishing"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the publisher has no pipes")
    try:
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        said = await asyncio.wait_for(process.stdout.readline(), JOIN_S_MAX)
        if said.strip() != b"joined":
            raise RuntimeError("the publisher could not join")
        yield
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), JOIN_S_MAX)


async def _download(
    http: aiohttp.ClientSession, server: ServerProcess, recording: str, scratch: Path
) -> Path:
    url = f"{server.url}/v1/recordings/{recording}/media"
    path = scratch / "watched.mp4"
    async with http.get(url, headers={"Authorization": f"Bearer {server.api_key}"}) as response:
        response.raise_for_status()
        path.write_bytes(await response.read())
    return path
