"""A link between an uploader and a real store, which breaks off, delays, repeats and lies: by chance, from a
seed. One for HTTP, which knows requests, and one for any other protocol, which knows bytes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.support.loopback import serving

PAGE = b"<html><body>Please log in to the network</body></html>"
DELAY_S_MAX, SLOW_PIECES = 0.05, 4
BODY_BYTES_MAX = 64 * 1024 * 1024
_OF_THE_CONNECTION = ("transfer-encoding", "connection", "content-length", "expect")
_READING = ("GET", "HEAD")


@dataclass(slots=True)
class LinkFaults:
    """Chances, from 0 to 1, of each fault for each request; over other protocols only of the first two."""

    dropped: float = 0.0  # the connection ends: before the request, or instead of its answer
    delayed: float = 0.0
    doubled: float = 0.0  # the request is sent on twice, as by a proxy that tries again
    page: float = 0.0  # a gateway's page, with status 200, in place of the request or of its answer
    refused: float = 0.0  # 500, 503 or 429 in place of the request
    aged: float = 0.0  # what the same question was answered before
    cut: float = 0.0  # the answer's body ends early
    slow: float = 0.0  # the answer's body comes in pieces


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes


class Link:
    """What both links have. `faults` may be exchanged at any time."""

    def __init__(self) -> None:
        self.faults = LinkFaults()
        self.endpoint = ""
        self.chance = random.Random(0)

    def begin(self, seed: str) -> None:
        """A new world begins: nothing is broken, and chance begins anew."""
        self.faults = LinkFaults()
        self.chance = random.Random(seed)

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.chance.random() < chance

    async def pause(self) -> None:
        if self.happens(self.faults.delayed):
            await asyncio.sleep(self.chance.uniform(0, DELAY_S_MAX))


class HttpLink(Link):
    """Before an HTTP server."""

    def __init__(self, behind: str, http: aiohttp.ClientSession) -> None:
        super().__init__()
        self._behind = behind
        self._http = http
        self._before: dict[str, _Answer] = {}

    def begin(self, seed: str) -> None:
        super().begin(seed)
        self._before.clear()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self.pause()
        faults = self.faults
        if self.happens(faults.dropped / 2):
            return _broken_off(request)
        if self.happens(faults.refused):
            return web.Response(status=self.chance.choice((500, 503, 429)))
        if self.happens(faults.page / 2):
            return web.Response(body=PAGE, content_type="text/html")
        answer = await self._asked(request, body)
        if self.happens(faults.doubled):
            answer = await self._asked(request, body)
        if self.happens(faults.dropped / 2):
            return _broken_off(request)
        if self.happens(faults.page / 2):
            return web.Response(body=PAGE, content_type="text/html")
        return await self._answered(request, self._aged(request, answer))

    async def _asked(self, request: web.Request, body: bytes) -> _Answer:
        async with self._http.request(
            request.method,
            URL(self._behind + request.raw_path, encoded=True),
            headers=_kept(request.headers),
            data=body,
            skip_auto_headers=("Content-Type", "User-Agent"),  # which signatures may speak of
            allow_redirects=False,
        ) as answer:
            headers = _kept(answer.headers)
            if request.method == "HEAD":
                headers["Content-Length"] = answer.headers.get("Content-Length", "0")
            return _Answer(answer.status, headers, await answer.read())

    def _aged(self, request: web.Request, answer: _Answer) -> _Answer:
        if request.method not in _READING:
            return answer
        question = f"{request.method} {request.raw_path} {request.headers.get('Range')}"
        before = self._before.get(question, answer)
        self._before[question] = answer
        return before if self.happens(self.faults.aged) else answer

    async def _answered(self, request: web.Request, answer: _Answer) -> web.StreamResponse:
        cut, slow = self.happens(self.faults.cut), self.happens(self.faults.slow)
        if request.method == "HEAD" or len(answer.body) < 2 or not (cut or slow):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        headers = CIMultiDict(answer.headers)
        headers["Content-Length"] = str(len(answer.body))
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        length = self.chance.randrange(len(answer.body)) if cut else len(answer.body)
        piece = max(1, length // SLOW_PIECES if slow else length)
        for start in range(0, length, piece):
            await response.write(answer.body[start : min(start + piece, length)])
            await asyncio.sleep(DELAY_S_MAX / SLOW_PIECES if slow else 0)
        return _broken_off(request) if cut else response


def _broken_off(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # which nobody gets


def _kept(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((n, v) for n, v in headers.items() if n.lower() not in _OF_THE_CONNECTION)


@asynccontextmanager
async def http_link(behind: str) -> AsyncIterator[HttpLink]:
    """A link to the server at `behind`, at its `endpoint`."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        link = HttpLink(behind, http)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", link.pass_on)
        async with serving(app, access_log=None) as link.endpoint:
            yield link


class TcpLink(Link):
    """Before any server: it carries bytes, until it breaks."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        ways = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, back):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.pause()
                if self.happens(self.faults.dropped / 4):  # a request is several pieces
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def tcp_link(port: int) -> AsyncIterator[TcpLink]:
    """A link to a server on this port, at its `endpoint`: `127.0.0.1:port`."""
    link = TcpLink(port)
    server = await asyncio.start_server(link.carry, "127.0.0.1", 0)
    link.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield link
    finally:
        server.close()
        await server.wait_closed()


def drawn(chance: random.Random) -> LinkFaults:
    """One to three faults, each with a chance of its own."""
    names = chance.sample(LinkFaults.__slots__, chance.randrange(1, 4))
    return replace(LinkFaults(), **{name: chance.choice((0.05, 0.2, 0.5)) for name in names})


def told(faults: LinkFaults) -> set[str]:
    """What a store behind such a link is taken to have told, among the lies of a store."""
    return {"stale"} if faults.aged else set()
