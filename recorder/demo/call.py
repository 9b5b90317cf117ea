"""One synthetic call from beginning to end against a running server, and what it cost."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from recorder.demo.person import Part
from recorder.demo.server import ServerProcess
from recorder.kernel.recording import EntryPoint, Recording, RecordingState

_PROGRESS_EVERY_S = 1.0
_JOIN_S_MAX = 30.0
_AVAILABLE_S_MAX = 60.0
_LEAVE_S_MAX = 15.0
_ENDED = (RecordingState.AVAILABLE, RecordingState.FAILED)


@dataclass(frozen=True, slots=True)
class DemoCall:
    """Who takes part (a Part without its url and token each) and for how long they talk."""

    seconds: float
    parts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What became of a call."""

    recording: Recording
    path: Path
    start_latency_s: float  # from asking for a recording to its entry point
    cpu_s: dict[int, float]  # by process: the server's own id, and its workers'
    server_pid: int

    @property
    def server_cpu_s(self) -> float:
        return self.cpu_s.get(self.server_pid, 0.0)

    @property
    def worker_cpu_s(self) -> float:
        return max((cpu for pid, cpu in self.cpu_s.items() if pid != self.server_pid), default=0.0)


class Api:
    """The few calls of the REST surface that a call service makes."""

    def __init__(self, http: aiohttp.ClientSession, server: ServerProcess) -> None:
        self._http, self._url = http, server.url
        self._headers = {"Authorization": f"Bearer {server.api_key}"}

    async def create_conversation(self) -> str:
        body = await self._call("POST", "/v1/conversations", {"metadata": {"made_by": "bystander demo"}})
        return str(msgspec.json.decode(body)["id"])

    async def start_recording(self, conversation: str) -> tuple[Recording, EntryPoint]:
        body = await self._call("POST", f"/v1/conversations/{conversation}/recordings", {})
        recording = msgspec.json.decode(body, type=Recording)
        if recording.entry_point is None:
            raise RuntimeError("the recording has no entry point")
        return recording, recording.entry_point

    async def recording(self, recording: str) -> Recording:
        return msgspec.json.decode(await self._call("GET", f"/v1/recordings/{recording}"), type=Recording)

    async def stop(self, recording: str) -> None:
        await self._call("POST", f"/v1/recordings/{recording}/stop", {})

    async def settled(self, recording: str) -> Recording:
        """Follow the recording's server-sent events until it is AVAILABLE or FAILED."""
        url = f"{self._url}/v1/recordings/{recording}/events"
        async with self._http.get(url, headers=self._headers) as response:
            async for line in response.content:
                if not line.startswith(b"data:"):
                    continue
                now = msgspec.json.decode(line.removeprefix(b"data:"), type=Recording)
                if now.state in _ENDED:
                    return now
        raise RuntimeError("the events of the recording ended before it did")

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        async with self._http.request(method, self._url + path, json=body, headers=self._headers) as response:
            answer = await response.read()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
            return answer


async def hold(call: DemoCall, server: ServerProcess, progress: Callable[[Recording], None]) -> DemoResult:
    """Record the call through the real entry point and wait until its file is available."""
    async with aiohttp.ClientSession() as http:
        api = Api(http, server)
        conversation = await api.create_conversation()
        asked = time.monotonic()
        recording, entry_point = await api.start_recording(conversation)
        start_latency_s = time.monotonic() - asked
        cpu: dict[int, float] = {}
        async with contextlib.AsyncExitStack() as people:
            for part in call.parts:  # one after the other, so that everybody's place in the picture is known
                await people.enter_async_context(joined(part, entry_point))
            ends_at = time.monotonic() + call.seconds
            while (left := ends_at - time.monotonic()) > 0:
                await asyncio.sleep(min(left, _PROGRESS_EVERY_S))
                cpu |= server.cpu_seconds()
                progress(await api.recording(recording.id))
        cpu |= server.cpu_seconds()
        await api.stop(recording.id)
        recording = await asyncio.wait_for(api.settled(recording.id), _AVAILABLE_S_MAX)
    path = _path_of(recording, server.data_dir)
    return DemoResult(recording, path, start_latency_s, cpu, server.pid)


@contextlib.asynccontextmanager
async def joined(part: dict[str, Any], entry_point: EntryPoint) -> AsyncIterator[None]:
    """A participant's process: present inside the block, gone after it."""
    told = msgspec.convert({**part, "url": entry_point.url, "token": entry_point.token}, Part)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder.demo.person"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(told) + b"\n")
        said = await asyncio.wait_for(process.stdout.readline(), _JOIN_S_MAX)
        if said.strip() != b"joined":
            raise RuntimeError(f"{told.person} could not join")
        yield
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), _LEAVE_S_MAX)


def _path_of(recording: Recording, data_dir: Path) -> Path:
    if recording.state is not RecordingState.AVAILABLE:
        raise RuntimeError(f"the recording ended {recording.state}: {recording.failure}")
    found = list((data_dir / "recordings").rglob(f"*{recording.id}*.mp4"))
    if len(found) != 1:
        raise RuntimeError(f"the local store holds {len(found)} files of {recording.id}")
    return found[0].resolve()
