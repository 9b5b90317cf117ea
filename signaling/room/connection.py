"""One client's socket, seen from the room: what waits for it is bounded, in messages and in bytes."""

import asyncio
import logging
from collections import deque

from aiohttp import web

from signaling.room.core.limits import (
    MESSAGES_BURST_MAX,
    MESSAGES_PER_S_MAX,
    SEND_QUEUE_BYTES_MAX,
    SEND_QUEUE_MESSAGES_MAX,
    SEND_TIMEOUT_S,
)
from signaling.room.core.messages import CloseCode, ServerMessage, encode

_log = logging.getLogger(__name__)


class Allowance:
    """A token bucket over what a client may send: `take` at a monotonic time, False when it is empty."""

    def __init__(self, now_ns: int) -> None:
        self._left = float(MESSAGES_BURST_MAX)
        self._as_of_ns = now_ns

    def take(self, now_ns: int) -> bool:
        refilled = (now_ns - self._as_of_ns) / 1e9 * MESSAGES_PER_S_MAX
        self._left = min(float(MESSAGES_BURST_MAX), self._left + refilled)
        self._as_of_ns = now_ns
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Connection:
    """Sends in order and never waits: a client that does not take what it is sent is cut off.

    Such a client finds its seat kept and comes back to a whole `welcome`, so nothing is lost by the cut;
    holding messages for it without end would cost everybody else.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._socket = socket
        self._transport = transport
        self._queue: deque[str] = deque()
        self._queued_bytes = 0
        self._closing: CloseCode | None = None
        self._wake = asyncio.Event()

    def send(self, message: ServerMessage) -> None:
        """Queue one message; after `close` nothing is taken any more."""
        if self._closing is not None:
            return
        text = encode(message)
        size = len(text.encode())
        full = len(self._queue) >= SEND_QUEUE_MESSAGES_MAX or self._queued_bytes + size > SEND_QUEUE_BYTES_MAX
        if full:
            self._cut("its queue is full")
            return
        self._queue.append(text)
        self._queued_bytes += size
        self._wake.set()

    def close(self, code: CloseCode) -> None:
        """Close with this code once everything queued is sent."""
        if self._closing is None:
            self._closing = code
            self._wake.set()

    async def write(self) -> None:
        """Send what is queued until the connection closes; run as the connection's one writing task."""
        try:
            while not (self._closing is not None and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                await self._drain()
        except (TimeoutError, ConnectionError) as error:
            self._cut(f"sending failed ({type(error).__name__})")
            return
        await self._socket.close(code=self._closing, message=self._closing.name.lower().encode())

    async def _drain(self) -> None:
        while self._queue:
            text = self._queue.popleft()
            self._queued_bytes -= len(text.encode())
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_str(text)

    def _cut(self, why: str) -> None:
        """End the connection without a closing handshake: nobody would answer it."""
        _log.info("A room's client is cut off: %s.", why)
        self._closing = CloseCode.UNAVAILABLE
        self._queue.clear()
        self._queued_bytes = 0
        if self._transport is not None:
            self._transport.abort()
