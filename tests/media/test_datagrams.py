"""Sockets read on a beat: what they hand over, when, and with which arrival times."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from media.webrtc.network.udp import BEAT_S, EARLY_S, SILENT_BEATS_MAX, SKB_BYTES, BatchedUdpSocket, next_beat
from recorder.kernel.clock import SystemClock

HELD_UP_S = 0.02
MEDIA = b"\x80media"
STUN = b"\x00\x01stun"
LOOPBACK = ("127.0.0.1", 0)


class Owner(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, int]] = []
        self.read_at: list[float] = []  # the loop's time
        self.came = asyncio.Event()
        self.lost = asyncio.Event()
        self.errors: list[Exception] = []

    def take(self, data: bytes, address: tuple[object, ...], arrival_ns: int) -> None:
        self.received.append((data, arrival_ns))
        self.read_at.append(asyncio.get_running_loop().time())
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.received) < count:
                self.came.clear()
                await self.came.wait()


class Ends:
    """A socket under test, and one that sends to it."""

    def __init__(self, udp: socket.socket) -> None:
        self.owner = Owner()
        self.clock = SystemClock()
        self.tried = BatchedUdpSocket(
            udp,
            receive=self.owner.take,
            owner=self.owner,
            monotonic_ns=self.clock.monotonic_ns,
            datagram_bytes_max=2048,
        )
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(udp.getsockname())

    def on_beat(self) -> bool:
        """Whether the socket is read on the beat, and not as datagrams come."""
        return self.tried._timer is not None


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr("media.webrtc.network.udp.BEGINNING_S", 0.0)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(LOOPBACK)
    made = Ends(udp)
    yield made
    made.tried.close()
    await made.owner.lost.wait()
    made.sender.close()


async def test_only_media_puts_it_on_the_beat(ends: Ends) -> None:
    ends.sender.send(STUN)
    await ends.owner.until(1)
    assert not ends.on_beat()
    ends.sender.send(MEDIA)
    await ends.owner.until(2)
    assert ends.on_beat()


async def test_many_are_read_at_once_and_each_keeps_its_own_arrival(ends: Ends) -> None:
    ends.sender.send(MEDIA)
    await ends.owner.until(1)
    loop = asyncio.get_running_loop()
    await asyncio.sleep(next_beat(loop.time()) + 0.001 - loop.time())
    sent_ns = []
    for _ in range(3):
        ends.sender.send(MEDIA)
        sent_ns.append(ends.clock.monotonic_ns())
        await asyncio.sleep(BEAT_S / 5)
    assert len(ends.owner.received) == 1
    await ends.owner.until(4)
    assert max(ends.owner.read_at[1:]) - min(ends.owner.read_at[1:]) < BEAT_S / 5
    for at_ns, (_, arrival_ns) in zip(sent_ns, ends.owner.received[1:], strict=True):
        assert abs(arrival_ns - at_ns) < 2_000_000


async def test_they_can_be_had_before_the_beat(ends: Ends) -> None:
    ends.sender.send(MEDIA)
    await ends.owner.until(1)
    ends.sender.send(MEDIA)
    assert ends.tried.read() == 1
    assert len(ends.owner.received) == 2


async def test_a_burst_is_read_as_it_comes(ends: Ends) -> None:
    ends.sender.send(MEDIA)
    await ends.owner.until(1)
    assert ends.on_beat()
    burst = ends.tried._burst + 1
    assert burst * SKB_BYTES < ends.tried._udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    for _ in range(burst):
        ends.sender.send(MEDIA)
    await ends.owner.until(1 + burst)
    assert not ends.on_beat()
    ends.sender.send(MEDIA)
    await ends.owner.until(2 + burst)
    assert not ends.on_beat()


async def test_silence_stops_the_beat(ends: Ends) -> None:
    ends.sender.send(MEDIA)
    await ends.owner.until(1)
    await asyncio.sleep((SILENT_BEATS_MAX + 3) * BEAT_S)
    assert not ends.on_beat()
    ends.sender.send(MEDIA)
    await ends.owner.until(2)


async def test_an_error_of_sending_is_told(ends: Ends) -> None:
    ends.tried.sendto(bytes(70_000), ends.sender.getsockname())
    assert [type(error) for error in ends.owner.errors] == [OSError]


async def test_a_datagram_that_is_too_long_shows(ends: Ends) -> None:
    for size in (2048, 2049, 5000):
        ends.sender.send(bytes(size))
    await ends.owner.until(3)
    assert [len(data) for data, _ in ends.owner.received] == [2048, 2049, 2049]


def test_a_timer_that_fires_a_little_early_waits_for_another_beat() -> None:
    at = 0.0
    for _ in range(10_000):
        following = next_beat(at)
        assert following - at == pytest.approx(BEAT_S)
        assert next_beat(following - EARLY_S / 2) == pytest.approx(following + BEAT_S)
        at = following


async def test_nothing_looks_early_when_we_are_held_up_between_two_clocks(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    civil = time.time_ns

    def held_up() -> int:
        time.sleep(HELD_UP_S)
        civil_ns = civil()
        time.sleep(HELD_UP_S)
        return civil_ns

    await asyncio.sleep(4 * HELD_UP_S)  # so that early is not before the socket was read last
    monkeypatch.setattr("media.webrtc.network.udp.time.time_ns", held_up)
    sent_ns = ends.clock.monotonic_ns()
    ends.sender.send(MEDIA)
    ends.tried.read()
    ((_, arrival_ns),) = ends.owner.received
    assert arrival_ns >= sent_ns
