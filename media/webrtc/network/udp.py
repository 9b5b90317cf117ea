"""A UDP socket that is read many datagrams at a time, each with the time at which the kernel got it.

Waking up for a packet costs far more than the packet, because caches are cold by then (docs/how/cost.md). A
recording is in no hurry, so while media flows its sockets are read on a common beat, all in one wake-up.
What that could harm is seen to: arrival times are the kernel's, so neither congestion control nor
lip-sync notices; and a sender whose bursts might fill the socket's buffer within a beat is read as it sends.
"""

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

logger = logging.getLogger(__name__)

BEAT_S = 0.1  # as often as congestion control is answered; a tenth of the wait for retransmissions
EARLY_S = 0.002  # by so much a timer may fire early
DATAGRAMS_PER_READ_MAX = 256  # then others have their turn
BEGINNING_S = 2.0  # the first key frame tells how large this sender's bursts are
BURSTING_S = (
    30.0  # a sender that made a burst is read as it sends for this long: its next key frame is sooner
)
SILENT_BEATS_MAX = 10  # then the loop tells when something comes again
BUFFER_BYTES = 1024 * 1024  # asked for; the kernel gives up to net.core.rmem_max, twice
BURST_PART = 3  # of the buffer: more than one part within a beat is a burst
SKB_BYTES = 2304  # what the kernel counts for a datagram of Ethernet's size

_SO_TIMESTAMPNS = 35  # socket(7), asm-generic/socket.h; the socket module does not name it
_TIMESPEC = struct.Struct("@ll")
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)

Receive = Callable[[bytes, tuple[Any, ...], int | None], None]
"""Takes a datagram, who sent it, and when it arrived, where that is known better than now."""


def next_beat(at: float) -> float:
    """The first beat after `at` (the loop's time); all sockets of a process keep the same.

    A timer that fires a little early, as those of whole milliseconds do, has fired on the beat.
    """
    return (at // BEAT_S + 1 + (at % BEAT_S > BEAT_S - EARLY_S)) * BEAT_S


class Lost(Protocol):
    """Who is told that the socket is closed, or refused something; asyncio.DatagramProtocol is one."""

    def connection_lost(self, exc: Exception | None, /) -> None: ...
    def error_received(self, exc: Exception, /) -> None: ...


def open_socket(address: str, port: int, *, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket bound to an address of this machine; OSError where it cannot be."""
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        opened.setblocking(False)
        opened.bind((address, port))
    except BaseException:
        opened.close()
        raise
    return opened


class BatchedUdpSocket(asyncio.DatagramTransport):
    """Calls `receive(data, address, arrival_ns)` for each datagram; arrivals are as `monotonic_ns` counts."""

    def __init__(
        self,
        udp: socket.socket,
        *,
        receive: Receive,
        owner: Lost,
        monotonic_ns: Callable[[], int],
        datagram_bytes_max: int,
    ) -> None:
        super().__init__({"socket": udp, "sockname": udp.getsockname()})
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._udp = udp
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._owner = owner
        self._monotonic_ns = monotonic_ns
        self._bytes_max = datagram_bytes_max + 1  # so that a longer one shows
        room = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // SKB_BYTES
        self._burst = min(room // BURST_PART, DATAGRAMS_PER_READ_MAX - 1)
        self._drained_ns = monotonic_ns()
        self._on_beat_from: float | None = None  # None: no media yet
        self._window_end = 0.0
        self._in_window = 0
        self._silent_beats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(udp, self._readable)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram at once, or not at all: what matters is sent again by those above."""
        try:
            self._udp.sendto(data, addr)
        except BlockingIOError:
            logger.debug("no room to send to %s", addr)
        except OSError as error:
            self._owner.error_received(error)

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once; the owner is told a moment later."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._udp)
        if self._timer is not None:
            self._timer.cancel()
        self._udp.close()
        self._loop.call_soon(self._owner.connection_lost, None)

    # --- when to read ---------------------------------------------------------------------------------
    def read(self) -> int:
        """Hand over what is there, up to DATAGRAMS_PER_READ_MAX; return how many datagrams that was."""
        count = 0 if self._closed else self._read()
        now = self._loop.time()
        if now >= self._window_end:
            self._window_end, self._in_window = now + BEAT_S, 0
        self._in_window += count
        if self._in_window > self._burst:
            self._on_beat_from = now + BURSTING_S
        return count

    def _readable(self) -> None:
        """Something came while the loop watched."""
        self.read()
        now = self._loop.time()
        if not self._closed and self._on_beat_from is not None and now >= self._on_beat_from:
            self._loop.remove_reader(self._udp)
            self._timer = self._loop.call_at(next_beat(now), self._beat)

    def _beat(self) -> None:
        """Read, and wait for the next beat, or for what comes where that is better."""
        self._timer = None
        try:
            self._silent_beats = 0 if self.read() else self._silent_beats + 1
        finally:
            now = self._loop.time()
            if self._closed:
                pass
            elif self._silent_beats < SILENT_BEATS_MAX and now >= (self._on_beat_from or 0.0):
                self._timer = self._loop.call_at(next_beat(now), self._beat)
            else:
                self._silent_beats = 0
                self._loop.add_reader(self._udp, self._readable)

    # --- reading --------------------------------------------------------------------------------------
    def _read(self) -> int:
        recvmsg, receive, bytes_max = self._udp.recvmsg, self._receive, self._bytes_max
        civil_ns = time.time_ns()  # first: whoever keeps us from the second clock makes nothing look early
        now_ns = self._monotonic_ns()
        offset_ns = now_ns - civil_ns
        drained_ns = self._drained_ns
        for count in range(DATAGRAMS_PER_READ_MAX):
            try:
                data, control, _, address = recvmsg(bytes_max, _CONTROL_BYTES)
            except BlockingIOError:
                self._drained_ns = now_ns
                return count
            except OSError as error:
                self._owner.error_received(error)
                return count
            seconds, nanoseconds = _TIMESPEC.unpack(control[0][2])
            arrival_ns = seconds * 1_000_000_000 + nanoseconds + offset_ns
            if not drained_ns <= arrival_ns <= now_ns:
                arrival_ns = now_ns  # it came while we read, or the civil clock was set
            if self._on_beat_from is None and data[:1] >= b"\x80":
                self._on_beat_from = self._loop.time() + BEGINNING_S
            receive(data, address, arrival_ns)
        return DATAGRAMS_PER_READ_MAX
