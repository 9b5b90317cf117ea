"""Outgoing connections of a store: a body may take any time, as long as anything gets on.

What was written to a socket has not left the machine: the kernel takes megabytes at once, and a slow link
needs minutes for them. So progress is what the other side acknowledged, which TCP counts (Linux: TCP_INFO).
"""

import asyncio
import socket
import struct
import weakref
from collections.abc import Awaitable
from typing import Any, TypeVar

LOOK_S_MAX = 1.0
LOOKS_PER_QUIET_MIN = 4  # so that a short time-out is not overrun by a look
_BYTES_ACKED = struct.Struct("=Q")
_BYTES_ACKED_OFFSET = 120  # of tcpi_bytes_acked in struct tcp_info
_TCP_INFO_BYTES = 256

_Address = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
_Answer = TypeVar("_Answer")


class OutgoingSockets:
    """Of one store. `socket_of` is how its HTTP client makes them."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def socket_of(self, address: _Address) -> socket.socket:
        """A new one, not connected yet."""
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    def acknowledged(self) -> dict[int, int]:
        """How many bytes the other side acknowledged, by socket."""
        return {id(one): _acknowledged(one) for one in list(self._sockets) if one.fileno() >= 0}

    async def carry(self, request: Awaitable[_Answer], quiet_s: float) -> _Answer:
        """What the request answers. TimeoutError where for `quiet_s` it did not end and nothing got on.

        Whatever gets on counts, not only this request: on a slow link each has to wait for the others.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(request)
        seen, since_s = self.acknowledged(), loop.time()
        try:
            while not task.done():
                await asyncio.wait([task], timeout=min(LOOK_S_MAX, quiet_s / LOOKS_PER_QUIET_MIN))
                now = self.acknowledged()
                if any(count > seen.get(one, 0) for one, count in now.items()):
                    since_s = loop.time()
                elif loop.time() - since_s > quiet_s and not task.done():
                    raise TimeoutError
                seen = now
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


def _acknowledged(one: socket.socket) -> int:
    try:
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int(_BYTES_ACKED.unpack_from(info, _BYTES_ACKED_OFFSET)[0])
    except (OSError, struct.error):  # closed meanwhile, or no TCP
        return 0
