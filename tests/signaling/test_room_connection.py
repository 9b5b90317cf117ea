"""What waits for a client is bounded; a client that does not take it is cut off."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from signaling.room import connection
from signaling.room.connection import Allowance, Connection
from signaling.room.limits import (
    MESSAGES_BURST_MAX,
    MESSAGES_PER_S_MAX,
    SEND_QUEUE_BYTES_MAX,
    SEND_QUEUE_MESSAGES_MAX,
)
from signaling.room.messages import CloseCode, Error, Pong, encode


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
