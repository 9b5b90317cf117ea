"""The room's WebSocket: who are you, come in, and then messages until one side has enough."""

import asyncio
import logging

import msgspec
from aiohttp import WSMsgType, web

from recorder.kernel.audit.act import Act, Outcome
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import WEBSOCKET_MESSAGE_BYTES_MAX
from recorder.kernel.message import ConsentAnswer
from signaling.ports import Caller, Ports
from signaling.room.connection import Allowance, Connection
from signaling.room.core.limits import (
    HEARTBEAT_S,
    HELLO_TIMEOUT_S,
    UNKNOWN_SOCKETS_MAX,
    UNKNOWN_SOCKETS_PER_ADDRESS_MAX,
)
from signaling.room.core.messages import CloseCode, Error, Past, decode_client, decode_hello, encode
from signaling.room.open_room import OpenRoom
from signaling.room.past import kept_lines
from signaling.room.rooms import Rooms
from signaling.room.strangers import Strangers
from signaling.room.terms import Guest
from signaling.routes.acts import actor_of
from signaling.routes.admission import Door

ENTERED, LEFT = "enterRoom", "leaveRoom"  # in the audit log

_log = logging.getLogger(__name__)


class _RefusedError(Exception):
    """This socket is not let in, or not let go on."""

    def __init__(self, close: CloseCode, code: str, detail: str, past: Past | None = None) -> None:
        """`past`: what there is to read instead."""
        super().__init__(code)
        self.close = close
        self.error = Error(code=code, detail=detail)
        self.last_word = past or self.error


class RoomSocket:
    """Serves `GET /room/{conversation}/socket`.

    The token comes in the first message and not in the URL or a cookie: it is in no log, and a foreign page
    that opens this socket has nothing to say.
    """

    def __init__(self, ports: Ports, rooms: Rooms, clock: Clock, door: Door) -> None:
        self._ports = ports
        self._rooms = rooms
        self._clock = clock
        self._door = door
        self._strangers = Strangers(total=UNKNOWN_SOCKETS_MAX, per_address=UNKNOWN_SOCKETS_PER_ADDRESS_MAX)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One client, from the upgrade to the end of its socket."""
        refused_from = WEBSOCKET_MESSAGE_BYTES_MAX + 1  # aiohttp refuses what is as long as its limit
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=refused_from)
        await socket.prepare(request)
        address = self._door.clients.share(request)
        try:
            with self._strangers.waiting(address, lambda: _cut(request.transport)):
                guest = await self._introduce(socket, request.match_info["conversation"], address)
        except _RefusedError as refused:
            self._note(request, ENTERED, request.match_info["conversation"], code=refused.error.code)
            await _turn_away(socket, refused)
        except (TimeoutError, ConnectionError):
            await socket.close(code=CloseCode.HELLO_TIMEOUT, message=b"hello_timeout")
        else:
            who = Caller(guest.participant)
            self._note(request, ENTERED, guest.participant.conversation, who)
            try:
                await self._converse(socket, guest, request.transport)
            finally:
                self._note(request, LEFT, guest.participant.conversation, who)
        return socket

    def _note(
        self,
        request: web.Request,
        action: str,
        conversation: str,
        caller: Caller | None = None,
        **fields: str,
    ) -> None:
        """For the audit log; a refusal has a `code`."""
        actor = actor_of(caller, self._door.clients.address(request))
        outcome = Outcome.REFUSED if "code" in fields else Outcome.DONE
        act = Act(
            occurred_at=self._clock.utc_now(),
            action=action,
            actor=actor,
            outcome=outcome,
            code=fields.get("code"),
            conversation=conversation,
        )
        self._ports.audit.note(act, is_countable=outcome is Outcome.REFUSED)

    # --- before the door ---------------------------------------------------------------------------
    async def _introduce(self, socket: web.WebSocketResponse, conversation: str, address: str) -> Guest:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                raise _RefusedError(CloseCode.BAD_MESSAGE, "bad_message", "A hello was expected.")
            return await self._authenticate(message.data, conversation, address)

    async def _authenticate(self, text: str, conversation: str, address: str) -> Guest:
        try:
            hello = decode_hello(text)
            caller = await self._door.authenticate(self._ports.authority, hello.token, address)
            participant = caller.participant
            if participant is None or participant.conversation != conversation:
                raise _RefusedError(CloseCode.FORBIDDEN, "forbidden", "This token does not open this room.")
            counts = await self._ports.terms.of(conversation)
            if (await self._ports.conversations.get(conversation)).ended_at is not None:
                past = await self._rooms.past(participant, counts)
                raise _RefusedError(
                    CloseCode.ENDED, "conversation_ended", "The conversation has ended.", past
                )
            history = () if self._rooms.is_open(conversation) else await kept_lines(self._ports, conversation)
            answer = await self._answer_of(participant)
            services = await self._ports.files.services(caller, conversation)
            return Guest(participant, hello.instance, counts, answer, tuple(history), services)
        except msgspec.DecodeError as error:
            raise _bad_message(error) from error
        except BystanderError as error:
            raise _RefusedError(_close_code(error), error.code, error.detail) from error

    async def _answer_of(self, participant: Participant) -> ConsentAnswer | None:
        given = await self._ports.consents.list(participant.conversation)
        return next((one.answer for one in given if one.participant == participant.id), None)

    # --- inside ------------------------------------------------------------------------------------
    async def _converse(
        self, socket: web.WebSocketResponse, guest: Guest, transport: asyncio.Transport | None
    ) -> None:
        connection = Connection(socket, transport)
        room, number = self._rooms.enter(connection, guest)
        writer = asyncio.get_running_loop().create_task(connection.write())
        try:
            await self._listen(socket, room, number)
        except _RefusedError as refused:
            connection.send(refused.error)
            connection.close(refused.close)
        finally:
            room.lost(number)
            connection.close(CloseCode.LEFT)
            await writer

    async def _listen(self, socket: web.WebSocketResponse, room: OpenRoom, number: int) -> None:
        allowance = Allowance(self._clock.monotonic_ns())
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                raise _RefusedError(
                    CloseCode.BAD_MESSAGE, "bad_message", "Only text messages are understood."
                )
            if not allowance.take(self._clock.monotonic_ns()):
                raise _RefusedError(CloseCode.TOO_MANY_MESSAGES, "too_many_messages", "Too many messages.")
            try:
                said = decode_client(message.data)
            except msgspec.DecodeError as error:
                raise _bad_message(error) from error
            room.received(number, said)


def _cut(transport: asyncio.Transport | None) -> None:
    """Without a closing handshake: whoever has said nothing so far would not answer it."""
    if transport is not None:
        transport.abort()


def _bad_message(error: msgspec.DecodeError) -> _RefusedError:
    return _RefusedError(CloseCode.BAD_MESSAGE, "bad_message", str(error))


def _close_code(error: BystanderError) -> CloseCode:
    known = {401: CloseCode.UNAUTHORIZED, 403: CloseCode.FORBIDDEN, 404: CloseCode.NOT_FOUND}
    return known.get(error.status, CloseCode.UNAVAILABLE)


async def _turn_away(socket: web.WebSocketResponse, refused: _RefusedError) -> None:
    try:
        await socket.send_str(encode(refused.last_word))
    except ConnectionError:
        _log.debug("A refused client did not wait to hear why.")
    await socket.close(code=refused.close, message=refused.error.code.encode())
