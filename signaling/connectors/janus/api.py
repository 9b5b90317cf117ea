"""Janus' API over a WebSocket: a session, its handles, and requests that are matched with their answers.

A request to a plugin is acknowledged first and answered by an event later; both carry its transaction.
Events that nobody asked for go to the handle that they name.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from recorder.kernel.errors import BystanderError, Fault
from signaling.connectors.connector import connection_lost, not_understood, refused, unreachable
from signaling.connectors.http_client import TargetNotAllowedError, client_session
from signaling.connectors.targets import ConnectorTargets, not_allowed

SCHEMES = ("ws", "wss")
SUBPROTOCOL = "janus-protocol"
MESSAGE_BYTES_MAX = 1024 * 1024  # the offer of a large room, in JSON
ANSWER_S_MAX = 10.0
HEARTBEAT_S = 5.0  # a pong that takes half of it longer ends the connection: a dead Janus shows in 8 s
KEEPALIVE_S = 20.0  # Janus forgets a session after 60 s without a request
CLOSE_S_MAX = 1.0
REQUESTS_PENDING_MAX = 256

_UNAUTHORIZED = (403, 405)  # of the API itself: a wrong secret, a wrong token
Handle = int


class Description(msgspec.Struct, frozen=True):
    """A session description, as WebRTC has it."""

    type: str
    sdp: str


class PluginMessage(msgspec.Struct, frozen=True):
    data: dict[str, Any] = {}


class ApiError(msgspec.Struct, frozen=True):
    code: int
    reason: str = ""


class Created(msgspec.Struct, frozen=True):
    id: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever Janus says."""

    janus: str
    transaction: str | None = None
    sender: Handle | None = None
    data: Created | None = None
    plugindata: PluginMessage = PluginMessage()
    jsep: Description | None = None
    error: ApiError | None = None
    reason: str | None = None


Listener = Callable[[Message], None]
_decode = msgspec.json.Decoder(Message).decode


@asynccontextmanager
async def open_janus(
    url: str, targets: ConnectorTargets, *, token: str | None = None, secret: str | None = None
) -> AsyncIterator["JanusApi"]:
    """A session of Janus' API, and its end.

    Raises BystanderError: target_not_allowed, invalid_url, unreachable, unauthorized, protocol_error.
    """
    host = targets.check_url(url, SCHEMES)
    shown = {name: value for name, value in (("token", token), ("apisecret", secret)) if value is not None}
    proxy = targets.proxy_for(host)
    async with client_session(host, targets, carried=proxy is not None) as client:
        socket = await _connected(client, url, proxy)
        api = JanusApi(socket, shown)
        try:
            await api.create()
            yield api
        finally:
            await api.close()


async def _connected(
    client: aiohttp.ClientSession, url: str, proxy: str | None
) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await client.ws_connect(
                url,
                proxy=proxy,
                protocols=(SUBPROTOCOL,),
                heartbeat=HEARTBEAT_S,
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S_MAX),
            )
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, TargetNotAllowedError):
            raise not_allowed() from None
        raise unreachable("Janus cannot be reached.") from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise unreachable("Janus cannot be reached by WebSocket.") from None


class JanusApi:
    """One session. Every call raises connection_lost once the WebSocket is gone."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, shown: dict[str, str]) -> None:
        self._socket = socket
        self._shown = shown  # token and secret, with every request
        self._session = 0
        self._pending: dict[str, asyncio.Future[Message]] = {}
        self._listeners: dict[Handle, Listener] = {}
        loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[BystanderError] = loop.create_future()
        self._reader = loop.create_task(self._read(), name="reading from Janus")
        self._keeper = loop.create_task(self._keep_alive(), name="keeping a session of Janus alive")

    def __repr__(self) -> str:
        return f"<JanusApi {self._session}>"

    # --- sessions and handles ------------------------------------------------------------------------
    async def create(self) -> None:
        """Begin the session."""
        answer = await self._ask({"janus": "create"})
        if answer.data is None:
            raise not_understood("Janus gave its session no id.")
        self._session = answer.data.id

    async def attach(self, plugin: str, listener: Listener) -> Handle:
        """A handle of a plugin; its events go to `listener`, on this loop."""
        answer = await self._ask({"janus": "attach", "plugin": plugin})
        if answer.data is None:
            raise not_understood("Janus gave its handle no id.")
        self._listeners[answer.data.id] = listener
        return answer.data.id

    async def detach(self, handle: Handle) -> None:
        """Give a handle back; whatever hung on it ends."""
        self._listeners.pop(handle, None)
        await self._ask({"janus": "detach", "handle_id": handle})

    async def message(self, handle: Handle, body: dict[str, Any], jsep: Description | None = None) -> Message:
        """Ask a plugin, and give what it answers in the end."""
        request: dict[str, Any] = {"janus": "message", "handle_id": handle, "body": body}
        if jsep is not None:
            request["jsep"] = msgspec.to_builtins(jsep)
        return await self._ask(request)

    async def wait_lost(self, timeout_s: float) -> None:
        """Wait so long; raises connection_lost as soon as the session is gone."""
        done, _ = await asyncio.wait([self._lost], timeout=timeout_s)
        if done:
            raise self._lost.result()

    async def close(self) -> None:
        """End the session, and say so to Janus if it is still there."""
        if not self._lost.done():
            try:
                async with asyncio.timeout(CLOSE_S_MAX):
                    await self._ask({"janus": "destroy"})
            except (BystanderError, TimeoutError):
                pass  # it ends by itself, a minute later
        for task in (self._reader, self._keeper):
            task.cancel()
        await asyncio.wait([self._reader, self._keeper])
        await self._socket.close()
        self._lose("This end closed the session.")

    # --- requests and answers ------------------------------------------------------------------------
    async def _ask(self, request: dict[str, Any]) -> Message:
        if self._lost.done():
            raise self._lost.result()
        if len(self._pending) >= REQUESTS_PENDING_MAX:
            raise connection_lost("Janus answers nothing any more.")
        transaction = secrets.token_hex(8)
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[transaction] = answered
        session = {"session_id": self._session} if self._session else {}
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await self._send({**request, **session, "transaction": transaction})
                answer = await answered
        except TimeoutError:
            raise connection_lost("Janus does not answer.") from None
        except (ConnectionError, aiohttp.ClientError):
            raise connection_lost("The connection to Janus broke.") from None
        finally:
            self._pending.pop(transaction, None)
        if answer.error is not None:
            raise _failure(answer.error)
        return answer

    async def _send(self, request: dict[str, Any]) -> None:
        await self._socket.send_str(msgspec.json.encode({**request, **self._shown}).decode())

    async def _read(self) -> None:
        detail = "Janus closed the connection."
        try:
            async for received in self._socket:
                if received.type is aiohttp.WSMsgType.TEXT:
                    self._take(_decode(received.data))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            detail = "Janus said something that is none of its messages."
        finally:
            self._lose(detail)

    def _take(self, message: Message) -> None:
        if message.janus in ("ack", "keepalive"):
            return  # what was asked for is answered by an event that follows
        waiting = self._pending.get(message.transaction or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
            return
        if message.janus == "timeout":
            self._lose("Janus gave the session up.")
            return
        listener = self._listeners.get(message.sender or 0)
        if listener is not None:
            listener(message)

    async def _keep_alive(self) -> None:
        while not self._lost.done():
            await asyncio.sleep(KEEPALIVE_S)
            alive = {"janus": "keepalive", "session_id": self._session, "transaction": "alive"}
            try:
                await self._send(alive)
            except (ConnectionError, aiohttp.ClientError):
                self._lose("The connection to Janus broke.")

    def _lose(self, detail: str) -> None:
        error = connection_lost(detail)
        if not self._lost.done():
            self._lost.set_result(error)
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(error)


def _failure(error: ApiError) -> BystanderError:
    if error.code in _UNAUTHORIZED:
        return refused("unauthorized", "Janus does not know this token or secret.")
    return BystanderError("request_failed", f"Janus: {error.code}.", fault=Fault.PEER, status=502)
