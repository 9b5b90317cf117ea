"""A proxy on loopback that notes what a client sends to a store, and may change what the store answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.support.loopback import serving

BODY_BYTES_MAX = 64 * 1024 * 1024
_OF_THE_CONNECTION = ("transfer-encoding", "connection", "content-length", "expect")


@dataclass(frozen=True)
class Sent:
    """One request: path with query, headers, and the body where it is short."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


Refusal = Callable[[Sent], web.Response | None]
Change = Callable[[Sent, bytes], bytes]


@dataclass
class Wire:
    """The running proxy. `refuse` may answer in the store's stead, `change` what the store answers."""

    behind: str
    endpoint: str = ""
    sent: list[Sent] = field(default_factory=list)
    refuse: Refusal = lambda _: None
    change: Change = lambda _, body: body

    def of(self, method: str, query: str = "") -> list[Sent]:
        """The requests of this method whose query begins so."""
        return [s for s in self.sent if s.method == method and s.path.partition("?")[2].startswith(query)]

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sent = Sent(request.method, request.raw_path, request.headers, body[:4096])
        self.sent.append(sent)
        if (refusal := self.refuse(sent)) is not None:
            return refusal
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method,
                URL(self.behind + request.raw_path, encoded=True),
                headers=_kept(request.headers),
                data=body,
            ) as answer,
        ):
            headers = _kept(answer.headers)
            if request.method == "HEAD":
                headers["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(
                status=answer.status, headers=headers, body=self.change(sent, await answer.read())
            )


@asynccontextmanager
async def wire(behind: str) -> AsyncIterator[Wire]:
    """A proxy before the server at `behind`."""
    proxy = Wire(behind)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_route("*", "/{path:.*}", proxy.pass_on)
    async with serving(app) as proxy.endpoint:
        yield proxy


def _kept(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION
    )
