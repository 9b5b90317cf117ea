"""Real worker processes around a media engine that does what a test tells it, by names.

Imported by the forkserver. `main` is a worker; `garbage` is a process that only looks like one.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.media import Fragment, FragmentKind, IceServer, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan, RecordingState, Statistics
from recorder.worker.main import run
from tests.support.attempts import ATTEMPTS, outcome

FRAGMENT_BYTES = 1000
FRAGMENT_US = 1_000_000


@dataclass(frozen=True)
class FakeSummary:
    duration_us: int


@dataclass(frozen=True)
class FakeEnding:
    reason: EndReason
    failure: str | None


class FakeEngine:
    """`plan.bind_host` names what goes wrong at the start, a publisher's name what it brings about."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        write: Callable[[Fragment], None],
        on_event: Callable[[MediaEvent], None],
        clock: Clock,
    ) -> None:
        self._trouble = plan.bind_host or ""
        self._write = write
        self._on_event = on_event
        self._ended: asyncio.Future[FakeEnding] = asyncio.get_running_loop().create_future()
        self._zero_ns = plan.zero_ns
        self._goes_on = plan.written is not None
        self._written = 0 if plan.written is None else 1 + plan.written.fragments
        self._stuck = False

    async def start(self) -> None:
        trouble = self._trouble
        if trouble == "refuses":
            raise BystanderError("engine_failed", "No codec.", fault=Fault.RESOURCE, status=503)
        if trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "hangs":
            await asyncio.Event().wait()
        if trouble == "dies-once" and not await asyncio.to_thread(_seen_before, Path("seen")):
            os.kill(os.getpid(), signal.SIGKILL)

    async def publish(self, session: str, publisher: Publisher, offer: str) -> tuple[str, str]:
        if publisher.name in ATTEMPTS:
            return outcome(publisher.name, offer), ""
        match publisher.name:
            case "refused":
                raise caller_error("unusable_offer", "Nothing in it can be recorded.", status=422)
            case "defect":
                raise RuntimeError("a defect")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                await asyncio.Event().wait()
            case "freeze":
                time.sleep(600)  # noqa: ASYNC251 - what a loop that is stuck in native code looks like
            case "ends":
                await self._media()
                self._ended.set_result(FakeEnding(EndReason.ABORT_TIMEOUT, "no_media"))
            case "joins" | "leaves" as name:
                await self._media()
                for kind in ("joined", "left")[: 1 if name == "joins" else 2]:
                    who = publisher.participant
                    self._on_event(MediaEvent(kind=kind, at_s=0.0, participant=who, name=name))
            case "full disk":
                await self._media()
                self._ended.set_result(FakeEnding(EndReason.ABORT_SYSTEM, "disk_full"))
            case "stuck":
                self._stuck = True
        await self._media()
        return f"answer to {offer}", "etag-1"

    async def receive_rtp(self, session: str, publisher: Publisher, source: object, address: str) -> None:
        await self._media()

    async def offer(self, session: str, publisher: Publisher) -> str:
        return "offer"

    async def answered(self, session: str, answer: str) -> None:
        await self._media()

    async def renegotiate(self, session: str, offer: str) -> tuple[str, str]:
        return f"another answer to {offer}", "etag-1"

    async def trickle(self, session: str, fragment: str, etag: str | None) -> tuple[str, str] | None:
        return ("restarted", "etag-2") if etag == "*" else None

    def use_ice_servers(self, servers: list[IceServer]) -> None:
        pass

    async def session_state(self, session: str, other_than: str) -> tuple[str, str | None]:
        return "connected", None

    async def unpublish(self, session: str) -> None:
        await self._media()

    async def stop(self) -> FakeSummary:
        if self._stuck:
            await asyncio.Event().wait()
        return FakeSummary(self._duration_us)

    async def wait_ended(self) -> FakeEnding:
        return await asyncio.shield(self._ended)

    def statistics(self) -> Statistics:
        return Statistics(state=RecordingState.RECORDING if self._written else RecordingState.READY)

    def clock_s(self) -> float:
        return self._duration_us / 1e6

    def zero_ns(self) -> int | None:
        return self._zero_ns

    @property
    def _duration_us(self) -> int:
        return max(0, self._written - 1) * FRAGMENT_US

    async def _media(self) -> None:
        """One fragment more, and before the first one the init segment."""
        if self._goes_on:
            self._goes_on = False
            await asyncio.to_thread(self._write, Fragment(kind=FragmentKind.INIT, data=_box(b"ftyp")))
            self._on_event(MediaEvent(kind="gap", at_s=self.clock_s(), detail={"length_s": 0.5}))
        if self._written == 0:
            self._zero_ns = time.monotonic_ns() - FRAGMENT_US * 1000  # the first fragment was captured by now
            await asyncio.to_thread(self._write, Fragment(kind=FragmentKind.INIT, data=_box(b"ftyp")))
            self._written = 1
            self._on_event(MediaEvent(kind="recording_started", at_s=0.0))
        fragment = Fragment(
            kind=FragmentKind.MEDIA,
            data=_box(b"moof"),
            start_us=self._duration_us,
            duration_us=FRAGMENT_US,
        )
        self._written += 1
        await asyncio.to_thread(self._write, fragment)


def main(order: bytes, listener: socket.socket) -> None:
    """A worker whose engine is the fake one."""
    run(order, listener, FakeEngine)


def garbage(order: bytes, listener: socket.socket) -> None:
    """Accepts, and says what is no message."""
    listener.setblocking(True)
    connection, _ = listener.accept()
    connection.sendall(b"\x00\x00\x00\x05hello")
    time.sleep(600)


def _seen_before(file: Path) -> bool:
    seen = file.exists()
    file.touch()
    return seen


def _box(kind: bytes) -> bytes:
    return FRAGMENT_BYTES.to_bytes(4, "big") + kind + bytes(FRAGMENT_BYTES - 8)
