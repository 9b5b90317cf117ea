"""What waits for a client is bounded; a client that does not take it is cut off."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiohttp import web

from recorder.kernel.conversation import Role
from recorder.kernel.ids import new_id
from recorder.kernel.limits import CHAT_CHARS_MAX, TEXT_CHARS_MAX
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.recording import RecordingState
from signaling.room import connection
from signaling.room.connection import Allowance, Connection
from signaling.room.core.limits import (
    CHAT_MESSAGES_KEPT_MAX,
    INSTANCE_CHARS_MAX,
    MESSAGES_BURST_MAX,
    MESSAGES_PER_S_MAX,
    PARTICIPANTS_PER_ROOM_MAX,
    RECORDINGS_SHOWN_MAX,
    SEND_QUEUE_BYTES_MAX,
    SEND_QUEUE_MESSAGES_MAX,
)
from signaling.room.core.messages import (
    ChatLine,
    CloseCode,
    Error,
    Member,
    Pong,
    RecordingNotice,
    RecordingStatus,
    Welcome,
    encode,
)

ICE_SERVERS, ICE_URLS = 8, 4


class StuckSocket:
    """Takes a message only when `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sent: list[str] = []
        self.closed: int | None = None

    async def send_str(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed = code


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Line:
    def __init__(self) -> None:
        self.socket, self.transport = StuckSocket(), Transport()
        self.connection = Connection(cast(web.WebSocketResponse, self.socket), cast(Any, self.transport))


async def test_everything_queued_is_sent_in_order_before_closing() -> None:
    line = Line()
    errors = [Error(code=str(number), detail="") for number in range(5)]
    for error in errors:
        line.connection.send(error)
    line.connection.close(CloseCode.ENDED)
    line.connection.send(Pong())  # too late
    line.socket.open.set()
    await line.connection.write()
    assert line.socket.sent == [encode(error) for error in errors]
    assert line.socket.closed == CloseCode.ENDED


async def test_as_many_messages_as_the_limit_wait_and_one_more_cuts() -> None:
    line = Line()
    for _ in range(SEND_QUEUE_MESSAGES_MAX):
        line.connection.send(Pong())
    assert not line.transport.aborted
    line.connection.send(Pong())
    assert line.transport.aborted


async def test_as_many_bytes_as_the_limit_wait_and_one_more_cuts() -> None:
    line = Line()
    overhead = len(encode(Error(code="", detail="")))
    line.connection.send(Error(code="", detail="x" * (SEND_QUEUE_BYTES_MAX - overhead)))
    assert not line.transport.aborted
    line.connection.send(Pong())
    assert line.transport.aborted


def test_the_largest_welcome_fits_an_empty_queue() -> None:
    name = "\x01" * TEXT_CHARS_MAX  # what JSON writes in six bytes
    member = Member(id=new_id("part"), instance="i" * INSTANCE_CHARS_MAX, name=name, role=Role.VISITOR)
    said = ChatLine(sender=member.id, name=name, text="\x01" * CHAT_CHARS_MAX, at=datetime.now(UTC))
    recording = RecordingNotice(
        id=new_id("rec"),
        state=RecordingState.AVAILABLE,
        problem=name,
        filename="f" * 255,
        links=dict.fromkeys(("self", "media", "events", "page"), "l" * TEXT_CHARS_MAX),
    )
    server = IceServer(urls=["u" * TEXT_CHARS_MAX] * ICE_URLS, username=name, credential=name)
    welcome = Welcome(
        you=member,
        roster=[member] * PARTICIPANTS_PER_ROOM_MAX,
        resumed=True,
        ice_servers=[server] * ICE_SERVERS,
        ice_transport_policy=IceTransportPolicy.ALL,
        resume_timeout_s=1.0,
        status=RecordingStatus(text=name, recording=recording.id),
        publishing=[recording.id] * RECORDINGS_SHOWN_MAX,
        recordings=[recording] * RECORDINGS_SHOWN_MAX,
        chat=[said] * CHAT_MESSAGES_KEPT_MAX,
    )
    line = Line()
    line.connection.send(welcome)
    assert not line.transport.aborted


async def test_a_network_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.02)
    line = Line()
    line.connection.send(Pong())
    await line.connection.write()
    assert line.transport.aborted
    assert line.socket.closed is None


async def test_what_was_taken_makes_room() -> None:
    line = Line()
    line.socket.open.set()
    writing = asyncio.get_running_loop().create_task(line.connection.write())
    for number in range(2 * SEND_QUEUE_MESSAGES_MAX):
        line.connection.send(Pong())
        if number % 100 == 0:
            await asyncio.sleep(0)
    line.connection.close(CloseCode.LEFT)
    await writing
    assert len(line.socket.sent) == 2 * SEND_QUEUE_MESSAGES_MAX


class TestAllowance:
    def test_a_burst_and_no_more(self) -> None:
        allowance = Allowance(0)
        assert all(allowance.take(0) for _ in range(MESSAGES_BURST_MAX))
        assert not allowance.take(0)

    def test_a_second_brings_back_a_seconds_worth(self) -> None:
        allowance = Allowance(0)
        while allowance.take(0):
            pass
        second_ns = 1_000_000_000
        assert [allowance.take(second_ns) for _ in range(MESSAGES_PER_S_MAX + 1)].count(True) == (
            MESSAGES_PER_S_MAX
        )

    def test_silence_saves_up_one_burst_at_most(self) -> None:
        allowance = Allowance(0)
        hour_ns = 3_600_000_000_000
        assert all(allowance.take(hour_ns) for _ in range(MESSAGES_BURST_MAX))
        assert not allowance.take(hour_ns)
