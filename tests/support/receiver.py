"""An HTTP receiver of webhooks on loopback, which does what a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from yarl import URL

from tests.support.loopback import serving

WAIT_S_MAX = 30.0


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    headers: dict[str, str]
    body: bytes
    status: int  # that it was answered with

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Receiver:
    """`answer` says the status of each request by what it carries; 0 hangs until `hangs` is set."""

    port: int = 0
    answer: Callable[[Any], int] = lambda told: 204
    received: list[Received] = field(default_factory=list)
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    in_flight_most: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Received]:
        """What was answered with success, in order."""
        return [one for one in self.received if one.taken]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; it is looked at after every request."""
        async with asyncio.timeout(WAIT_S_MAX):
            while not condition():
                self._more.clear()
                await self._more.wait()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight, self.in_flight_most)
        try:
            status = self.answer(json.loads(body))
            self.received.append(Received(dict(request.headers), body, status))
            self._more.set()
            if status == 0:
                await self.hangs.wait()
            moved = {"Location": "/elsewhere"} if 300 <= status < 400 else None
            return web.Response(status=status or 204, headers=moved)
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def receiver(answer: Callable[[Any], int] = lambda told: 204) -> AsyncIterator[Receiver]:
    """Receive for the length of the block."""
    one = Receiver(answer=answer)
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", one.handle)
    async with serving(app, access_log=None, shutdown_timeout=0.1) as origin:
        one.port = URL(origin).port or 0
        try:
            yield one
        finally:
            one.hangs.set()
