"""ICE-TCP, passive (RFC 6544): a listening socket that looks like one of datagrams.

Publishers in networks without UDP connect to it; each datagram has its length before it (RFC 4571).
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from media.webrtc.network.udp import Lost, Receive

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 8  # of one publisher; one that it makes too many takes the place of a silent one
WRITE_BUFFER_BYTES_MAX = 64 * 1024  # who does not read gets no more: what matters is sent again
BACKLOG = 8
_LENGTH = struct.Struct("!H")

Address = tuple[str, int]


class TcpCandidateSocket(asyncio.DatagramTransport):
    """Calls `receive(data, address, arrival_ns)` for each frame of each connection; use `open`.

    `validated` says whether a check has vouched for who is at an address.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        receive: Receive,
        owner: Lost,
        validated: Callable[[Address], bool],
        monotonic_ns: Callable[[], int],
        datagram_bytes_max: int,
    ) -> None:
        super().__init__({"socket": listener, "sockname": listener.getsockname()})
        self.receive = receive
        self.monotonic_ns = monotonic_ns
        self.datagram_bytes_max = datagram_bytes_max
        self._listener = listener
        self._owner = owner
        self._validated = validated
        self._streams: dict[Address, asyncio.Transport] = {}
        self._server: asyncio.Server | None = None
        self._closed = False

    async def open(self) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Stream(self), sock=self._listener, backlog=BACKLOG)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one frame, or nothing to who has gone or does not read."""
        stream = self._streams.get((addr[0], addr[1]))
        if stream is not None and stream.get_write_buffer_size() < WRITE_BUFFER_BYTES_MAX:
            stream.write(_LENGTH.pack(len(data)) + bytes(data))

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once, with every connection; the owner is told a moment later."""
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            self._server.close()
        else:
            self._listener.close()
        for stream in list(self._streams.values()):
            stream.abort()
        asyncio.get_running_loop().call_soon(self._owner.connection_lost, None)

    # --- what streams tell ------------------------------------------------------------------------------
    def joined(self, address: Address, stream: asyncio.Transport) -> bool:
        """Whether there is room for another connection."""
        if self._closed:
            return False
        if len(self._streams) >= CONNECTIONS_MAX:
            silent = next((known for known in self._streams if not self._validated(known)), None)
            if silent is None:
                return False
            self._streams.pop(silent).abort()
        self._streams[address] = stream
        return True

    def left(self, address: Address, stream: asyncio.Transport) -> None:
        """A connection has ended."""
        if self._streams.get(address) is stream:
            del self._streams[address]


class _Stream(asyncio.Protocol):
    """One connection: bytes in, frames out."""

    def __init__(self, candidate: TcpCandidateSocket) -> None:
        self._candidate = candidate
        self._buffer = bytearray()
        self._address: Address
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        self._address = (host, port)
        if not self._candidate.joined(self._address, self._transport):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._candidate.left(self._address, self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        arrival_ns = self._candidate.monotonic_ns()
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._candidate.datagram_bytes_max:
                logger.debug("a stream with frames that are too long was closed")
                self._transport.abort()
                return
            if len(self._buffer) < _LENGTH.size + length:
                return
            frame = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
            del self._buffer[: _LENGTH.size + length]
            self._candidate.receive(frame, self._address, arrival_ns)
