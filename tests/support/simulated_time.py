"""An event loop whose clock jumps: real sockets, threads and crypto in a time that no busy machine delays.

`simulate(main())` runs a coroutine. While anything is left to do (a datagram in a socket, a call that is due,
work on a thread), time stands still; when nothing is, it jumps to the next timer. So whatever is sent leaves
at the very nanosecond that its schedule names, whoever else uses the machine, and a minute takes as long as
its computing does. What a slow machine does must be asked for: `SimulatedTimeLoop.stand_still` is a process
that gets no processor, and `threads_take_time` lets time pass while a thread works.
"""

import asyncio
import math
import selectors
import socket
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from unittest import mock

from media.handover.render_queue import Batch, RenderQueue
from media.webrtc import gathering
from media.webrtc.network.udp import open_socket
from recorder.kernel.clock import Clock, SystemClock

START_S = 1_000.0  # of the loop's clock: zero would hide who takes an absolute time for a difference
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PROBE_S_MAX = 5.0
_TIMESPEC = struct.Struct("@ll")

Result = TypeVar("Result")


def simulate(main: Coroutine[Any, Any, Result], *, threads_take_time: bool = False) -> Result:
    """Run a coroutine in simulated time, as asyncio.run does in the machine's."""

    def loop() -> SimulatedTimeLoop:
        return SimulatedTimeLoop(threads_take_time=threads_take_time)

    with mock.patch.object(gathering, "open_socket", _opened), asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main)


class SimulatedTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a clock that it moves itself; also the Clock of what runs on it."""

    def __init__(self, *, threads_take_time: bool = False) -> None:
        self._now_s = START_S
        self._moves = [(time.time_ns(), START_S)]  # the civil time at which the clock was moved, and to where
        self._working: set[object] = set()
        self._inboxes: list[WatchedInbox] = []
        self._jumping = _JumpingSelector(self, threads_take_time=threads_take_time)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._now_s

    def monotonic_ns(self) -> int:
        return round(self._now_s * 1e9)

    def utc_now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._now_s - START_S)

    def stand_still(self, seconds: float) -> None:
        """Let time pass during which nothing on this loop runs, though timers become due."""
        self._now_s += seconds
        self._moves.append((time.time_ns(), self._now_s))

    def time_at(self, civil_ns: int) -> float:
        """What this clock said at an instant of the machine's civil time."""
        return self._moves[max(0, bisect_right(self._moves, (civil_ns, math.inf)) - 1)][1]

    def inbox(self) -> "WatchedInbox":
        """An inbox for an engine: until it is `over`, time stands still while the render thread works."""
        self._inboxes.append(WatchedInbox(self._wake))
        return self._inboxes[-1]

    @property
    def busy(self) -> bool:
        """Whether a thread does something that this loop waits for."""
        self._inboxes = [inbox for inbox in self._inboxes if not inbox.over]
        return bool(self._working) or any(inbox.busy for inbox in self._inboxes)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = super().run_in_executor(executor, func, *args)
        self._working.add(future)
        future.add_done_callback(self._working.discard)
        return future

    def close(self) -> None:
        super().close()
        self._jumping.close()

    def _wake(self) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(lambda: None)


class _StampedSocket(socket.socket):
    """A UDP socket whose datagrams are stamped by the running loop's clock instead of the kernel's.

    The stamp is as old as the datagram is in simulated time, on the civil clock that the kernel stamps by.
    """

    def recvmsg(self, *arguments: Any) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        data, control, flags, address = super().recvmsg(*arguments)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedTimeLoop)
        ((level, kind, stamp),) = control
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        age_s = loop.time() - loop.time_at(seconds * 1_000_000_000 + nanoseconds)
        stamped_ns = time.time_ns() - round(age_s * 1e9)
        stamp = _TIMESPEC.pack(*divmod(stamped_ns, 1_000_000_000))
        return data, [(level, kind, stamp)], flags, address


def _opened(address: str, port: int, *, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    return _StampedSocket(fileno=open_socket(address, port, kind=kind).detach())


class WatchedInbox(RenderQueue):
    """Knows whether the render thread has done everything that was handed over."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self.over = False  # nobody takes any more
        self._wake = wake
        self._sent = 0
        self._asked = 0

    @property
    def busy(self) -> bool:
        """Whether a batch is waiting or being rendered, or the thread has not begun."""
        return self._asked <= self._sent

    def send(self, *arguments: Any, **options: Any) -> None:
        self._sent += 1
        super().send(*arguments, **options)

    def take(self) -> Batch:
        self._asked += 1
        self._wake()
        return super().take()

    def close(self) -> None:
        self.over = True
        super().close()


class _JumpingSelector(selectors.DefaultSelector):
    """Where asyncio would sleep until its next timer, move the clock there instead."""

    def __init__(self, loop: SimulatedTimeLoop, *, threads_take_time: bool) -> None:
        super().__init__()
        self._loop = loop
        self._threads_take_time = threads_take_time
        self._probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._probe.settimeout(PROBE_S_MAX)
        self._probe.bind(("127.0.0.1", 0))
        self._probe.connect(self._probe.getsockname())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        busy = self._loop.busy
        events = super().select(0)
        if events or timeout == 0:
            return events
        if busy or timeout is None:
            return self._wait(timeout) if busy and self._threads_take_time else super().select(None)
        self._deliver()
        events = super().select(0)
        if not events:
            self._loop.stand_still(timeout)
        return events

    def close(self) -> None:
        self._probe.close()
        super().close()

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for a thread, no longer than until the next timer, and let the time pass that it took."""
        began_s = time.monotonic()
        events = super().select(timeout)
        passed_s = time.monotonic() - began_s
        self._loop.stand_still(passed_s if timeout is None else min(passed_s, timeout))
        return events

    def _deliver(self) -> None:
        """Return when the kernel has put every sent datagram into its socket: it keeps their order."""
        self._probe.send(b"\0")
        self._probe.recv(1)


def watched_inbox() -> WatchedInbox | None:
    """An inbox for an engine whose rendering the running loop waits for; None where time is not simulated."""
    loop = asyncio.get_running_loop()
    return loop.inbox() if isinstance(loop, SimulatedTimeLoop) else None


def running_clock() -> Clock:
    """The clock of the running event loop: its own where that is simulated, the machine's otherwise."""
    loop = asyncio.get_running_loop()
    return loop if isinstance(loop, SimulatedTimeLoop) else SystemClock()
