"""Connections: so many of one address and of all, and not for long without a whole request.

aiohttp's protocol stands inside a Guard that counts it. Where a share is used up, whoever has been waiting
longest without a request makes way; only when everybody is being answered is the newest turned away. So
connections that say nothing cost nobody theirs, from however many addresses they come.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web

from recorder.kernel.errors import caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.network.addresses import share_of
from signaling.http.problems import MEDIA_TYPE, internal_error, problem_of
from signaling.network.clients import Clients

HEAD_S_MAX = 10.0  # from the connection to the end of its first request's head; a phone takes one or two
IDLE_S_MAX = 75.0  # between an answer and the next request: longer than proxies keep theirs
BACKLOG = 1024  # connections that the kernel holds while we are busy

_log = logging.getLogger(__name__)

AbstractTransport = asyncio.BaseTransport


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open: in all, and of one address that is no trusted proxy's."""

    total: int = 4_096
    per_address: int = 256

    def __post_init__(self) -> None:
        if self.total < 1 or self.per_address < 1:
            raise ValueError("a limit lets at least one connection in")


class Connections:
    """The book of open connections: whose each is, and which of them wait for a request."""

    def __init__(self, limits: ConnectionLimits, clients: Clients) -> None:
        self._limits = limits
        self._clients = clients
        self._shares: dict[AbstractTransport, str] = {}
        self._idle: OrderedDict[AbstractTransport, None] = OrderedDict()  # the longest waiting first
        self._fresh: set[AbstractTransport] = set()  # that have not brought one whole head yet
        self._counts: dict[str, int] = {}
        self._answering: dict[AbstractTransport, int] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._shares)

    def admit(self, transport: AbstractTransport) -> bool:
        """Take a new connection in, if need be in place of an idle one; False: there is no room."""
        address = _peer(transport)
        share = "" if self._clients.trusts(address) else share_of(address)
        full = share != "" and self._counts.get(share, 0) >= self._limits.per_address
        if full and not self._make_room(share):
            return self._refuse(share)
        if len(self._shares) >= self._limits.total and not self._make_room(None):
            return self._refuse(share)
        self._shares[transport] = share
        self._idle[transport] = None
        self._fresh.add(transport)
        self._counts[share] = self._counts.get(share, 0) + 1
        return True

    def forget(self, transport: AbstractTransport) -> None:
        """It is closed, or about to be."""
        share = self._shares.pop(transport, None)
        self._idle.pop(transport, None)
        self._fresh.discard(transport)
        self._answering.pop(transport, None)
        if share is None:
            return
        self._counts[share] -= 1
        if self._counts[share] == 0:
            del self._counts[share]

    def began(self, transport: AbstractTransport | None) -> None:
        """A whole head has come."""
        if transport in self._shares:
            self._idle.pop(transport, None)
            self._fresh.discard(transport)
            self._answering[transport] = self._answering.get(transport, 0) + 1

    def ended(self, transport: AbstractTransport | None) -> None:
        """Its answer is whole."""
        if transport in self._answering:
            self._answering[transport] -= 1
            if self._answering[transport] == 0:
                del self._answering[transport]
                self._idle[transport] = None

    def is_fresh(self, transport: AbstractTransport) -> bool:
        """Whether not one whole head has come by it."""
        return transport in self._fresh

    def _make_room(self, share: str | None) -> bool:
        """Cut the connection of this share, or of all, that has waited longest."""
        for transport in self._idle:
            if share is None or self._shares[transport] == share:
                self.forget(transport)
                _abort(transport)
                return True
        return False

    def _refuse(self, share: str) -> bool:
        self.refused += 1
        if self.refused.bit_count() == 1:  # the first, second, fourth, eighth ...
            _log.warning("connections are refused", extra={"address": share, "refused": self.refused})
        return False


class Guard(asyncio.Protocol):
    """Hands everything through to `inner` once its connection is admitted."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections, *, head_s: float) -> None:
        self._inner = inner
        self._connections = connections
        self._head_s = head_s
        self._transport: AbstractTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: AbstractTransport) -> None:
        if not self._connections.admit(transport):
            _abort(transport)
            return
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(self._head_s, self._too_late)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._connections.forget(self._transport)
        if self._deadline is not None:
            self._deadline.cancel()
        self._transport = None
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _too_late(self) -> None:
        self._deadline = None
        if self._transport is not None and self._connections.is_fresh(self._transport):
            _abort(self._transport)


class GuardedSite(web.BaseSite):
    """Listens on a bound socket as aiohttp's SockSite does, with a Guard around each connection."""

    def __init__(
        self,
        runner: web.AppRunner,
        sock: socket.socket,
        connections: Connections,
        *,
        head_s: float = HEAD_S_MAX,
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._app_runner = runner
        self._sock = sock
        self._connections = connections
        self._head_s = head_s

    @property
    def name(self) -> str:
        return f"http://{self._sock.getsockname()}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._guarded, sock=self._sock, backlog=BACKLOG)

    def _guarded(self) -> Guard:
        server = self._app_runner.server
        if server is None:
            raise RuntimeError("the runner was set up before the site was made")
        loop = asyncio.get_running_loop()
        inner = _Handler(server, loop=loop, keepalive_timeout=IDLE_S_MAX, access_log=None)  # type: ignore[arg-type]
        return Guard(inner, self._connections, head_s=self._head_s)


class _Handler(web.RequestHandler):
    """Answers what cannot be read as HTTP like any other problem.

    What a stranger sent may hold a secret and is theirs to choose: it is in no line of the log.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer is on its way already")
        identity = new_id("req")
        known = status < HTTPStatus.INTERNAL_SERVER_ERROR
        kind = type(exc).__name__
        _log.log(logging.INFO if known else logging.ERROR, "%s: %s before any route", identity, kind)
        error = (
            caller_error("bad_request", "The request cannot be understood.") if known else internal_error()
        )
        response = web.Response(
            status=error.status,
            body=msgspec.json.encode(problem_of(error, identity)),
            content_type=MEDIA_TYPE,
            headers={"Server": "Bystander", "X-Request-Id": identity, "Cache-Control": "no-store"},
        )
        response.force_close()
        return response


def _peer(transport: AbstractTransport) -> str:
    address = transport.get_extra_info("peername")
    return str(address[0]) if isinstance(address, tuple) else ""


def _abort(transport: AbstractTransport) -> None:
    if isinstance(transport, asyncio.Transport) or hasattr(transport, "abort"):
        transport.abort()
