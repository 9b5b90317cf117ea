"""A link that bears so many bytes a second upwards, all connections together; answers come at once."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 1024
BUFFER_BYTES = 8 * 1024  # of a connection, so that who sends notices soon how slow it is


class SlowLink:
    """Counts what was carried upwards."""

    def __init__(self, host: str, port: int, bytes_per_s: float) -> None:
        self._host = host
        self._port = port
        self._bytes_per_s = bytes_per_s
        self._free_at_s = 0.0
        self.carried_bytes = 0
        self.endpoint = ""
        self._carrying: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        await asyncio.wait([task])

    async def close(self) -> None:
        """Cut all connections."""
        for task in list(self._carrying):
            task.cancel()
        if self._carrying:
            await asyncio.wait(self._carrying)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(self._host, self._port)
        both = (self._upwards(reader, onward), self._down(there, writer))
        try:
            with suppress(OSError):
                await asyncio.gather(*both)
        finally:
            for one in (writer, onward):
                one.close()

    async def _upwards(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE_BYTES):
            await self._turn(len(data))
            self.carried_bytes += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _turn(self, size: int) -> None:
        """One after the other, and each as long as it takes: what is fair to all connections."""
        now_s = time.monotonic()
        self._free_at_s = max(self._free_at_s, now_s) + size / self._bytes_per_s
        await asyncio.sleep(self._free_at_s - now_s)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def slow_link(port: int, bytes_per_s: float) -> AsyncIterator[SlowLink]:
    """To a server on this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    link = SlowLink("127.0.0.1", port, bytes_per_s)
    link.endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = await asyncio.start_server(link.carry, sock=listening, limit=BUFFER_BYTES)
    try:
        yield link
    finally:
        server.close()
        await link.close()
