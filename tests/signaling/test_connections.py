"""Connections that say nothing cost nobody else theirs: on a real listening socket."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from signaling.app import CONNECTIONS, build_app
from signaling.network.connections import ConnectionLimits, Connections, GuardedSite
from tests.support.fake_ports import FakeServer
from tests.support.http import LINK_SECRET

WAIT_S = 10.0
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /room/x/socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Listening:
    """A server on a port, and connections to it that are closed with it."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self._stack = AsyncExitStack()

    async def connect(self, *, host: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))
        self._stack.callback(writer.close)
        return reader, writer

    async def until_counted(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.connections) != count:  # noqa: ASYNC110 - the book is another's, and has no event
                await asyncio.sleep(0.005)

    async def status(self) -> int:
        """What a caller hears who comes now."""
        async with aiohttp.ClientSession() as session, session.get(self.url + "/healthz") as answer:
            return answer.status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def listening(limits: ConnectionLimits, *, head_s: float = WAIT_S) -> AsyncIterator[Listening]:
    app = build_app(
        FakeServer().ports,
        registry=CollectorRegistry(),
        link_secret=LINK_SECRET,
        version="0",
        connection_limits=limits,
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    site = GuardedSite(runner, sock, app[CONNECTIONS], head_s=head_s)
    await site.start()
    found = Listening(sock.getsockname()[1], app[CONNECTIONS])
    try:
        yield found
    finally:
        await found.close()
        await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server has cut this connection."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def test_a_head_that_never_ends_is_cut_off() -> None:
    async with listening(ConnectionLimits(), head_s=0.2) as server:
        silent, slow = await server.connect(), await server.connect()
        slow[1].write(ALIVE[:-2] + b"X-Slow: ")
        assert await ended(silent[0])
        assert await ended(slow[0])
        await server.until_counted(0)


async def test_whoever_is_answered_in_time_stays() -> None:
    async with listening(ConnectionLimits(), head_s=0.2) as server:
        reader, writer = await server.connect()
        writer.write(ALIVE)
        assert b"200 OK" in await reader.readline()
        await asyncio.sleep(0.3)  # longer than a head may take
        writer.write(ALIVE)
        async with asyncio.timeout(WAIT_S):
            assert b"200 OK" in await reader.readuntil(b"200 OK")


async def test_the_longest_silent_makes_way_for_the_newest_of_its_address() -> None:
    async with listening(ConnectionLimits(total=100, per_address=3)) as server:
        silent = [await server.connect() for _ in range(3)]
        await server.until_counted(3)
        assert await server.status() == 200
        assert await ended(silent[0][0])


async def test_silence_from_everywhere_costs_nobody_an_answer() -> None:
    async with listening(ConnectionLimits(total=10, per_address=100)) as server:
        for number in range(30):
            await server.connect(host=f"127.0.0.{number % 5 + 2}")
        await server.until_counted(10)
        for _ in range(5):
            assert await server.status() == 200


async def test_whoever_is_being_answered_is_never_cut_for_somebody_else() -> None:
    async with listening(ConnectionLimits(total=100, per_address=2)) as server:
        busy = [await server.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(UPGRADE)
        for reader, _ in busy:
            assert b"101" in await reader.readline()
        with pytest.raises(aiohttp.ClientError):
            await server.status()
        assert server.connections.refused >= 1  # a client may try again by itself
        busy[0][1].close()
        await server.until_counted(1)
        assert await server.status() == 200


@pytest.mark.parametrize(
    "line",
    [
        b"GET /whip/a-secret\x00 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01 a-secret\r\n\r\n",
        b"GET /a-secret HTTP/9.9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\na-secret\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_leaves_no_trace(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(ConnectionLimits()) as server:
        reader, writer = await server.connect()
        writer.write(line)
        async with asyncio.timeout(WAIT_S):
            answer = (await reader.read()).decode()
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.0 400")), answer
    assert "Server: Bystander" in answer
    assert "aiohttp" not in answer
    assert "bad_request" in answer
    assert "a-secret" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_no_line_of_the_log_holds_what_stands_in_a_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(ConnectionLimits()) as server, aiohttp.ClientSession() as session:
        for path in ("/whip/of-somebody?name=hidden", "/v1/recordings/rec/media?signature=hidden"):
            async with session.get(server.url + path) as answer:
                assert answer.status in (401, 403, 404)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")]
    assert len(ours) >= 2
    assert not [line for line in ours if "somebody" in line or "hidden" in line]
