"""A bad network: a UDP relay in front of every candidate, seeded, so that a run can be repeated.

Use `LossyLink.through(answer)` on what the publisher is told, and `without_candidates(offer)` on what the
receiver is told; or ICE finds the way around it.
"""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ \S+ \d+ )(\S+) (\d+)( typ .*)$", re.MULTILINE)
_CANDIDATE_LINE = re.compile(r"^a=(candidate:.*|end-of-candidates)\r?\n", re.MULTILINE)


@dataclass(slots=True)
class Impairment:
    """What happens to media in one direction; `jitter_s` is added at random to `delay_s`: packets overtake.

    `bits_s`: what the link carries; what waits for it longer than `queue_s` is lost.

    STUN and DTLS are late by `delay_s` too, and neither lost nor overtaken, so that set-up is repeatable.
    """

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    duplicate: float = 0.0
    bits_s: float = 0.0
    queue_s: float = 0.3
    idle_at_s: float = 0.0  # when all that waits is through


class LossyLink:
    """`to_receiver` and `to_publisher` impair media; `cut` loses everything, STUN too."""

    def __init__(
        self, *, seed: int, to_receiver: Impairment | None = None, to_publisher: Impairment | None = None
    ) -> None:
        self.to_receiver = to_receiver or Impairment()
        self.to_publisher = to_publisher or Impairment()
        self.cut = False
        self.passed = 0
        self.lost = 0
        self._random_to_receiver = random.Random(seed)
        self._random_to_publisher = random.Random(seed + 1)
        self._transports: list[asyncio.DatagramTransport] = []

    async def __aenter__(self) -> "LossyLink":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._transports:
            transport.close()

    async def through(self, sdp: str) -> str:
        """The same SDP with a relay's address in every IPv4 candidate, and no other candidates."""
        relayed: dict[tuple[str, int], int] = {}
        for match in _CANDIDATE.finditer(sdp):
            target = (match[2], int(match[3]))
            if ":" not in target[0] and target not in relayed:
                relayed[target] = await self._relay(target)
        return _CANDIDATE.sub(
            lambda m: f"{m[1]}127.0.0.1 {relayed[(m[2], int(m[3]))]}{m[4]}" if ":" not in m[2] else "a=x-v6",
            sdp,
        )

    async def _relay(self, target: tuple[str, int]) -> int:
        loop = asyncio.get_running_loop()
        front, front_protocol = await loop.create_datagram_endpoint(_Side, local_addr=("127.0.0.1", 0))
        back, back_protocol = await loop.create_datagram_endpoint(_Side, local_addr=("127.0.0.1", 0))
        self._transports += [front, back]
        publisher: list[tuple[str, int]] = []

        def from_publisher(data: bytes, address: tuple[str, int]) -> None:
            publisher[:] = [address]
            self._pass(data, self.to_receiver, self._random_to_receiver, lambda: _send(back, data, target))

        def from_receiver(data: bytes, address: tuple[str, int]) -> None:
            if publisher:
                to = publisher[0]
                self._pass(data, self.to_publisher, self._random_to_publisher, lambda: _send(front, data, to))

        front_protocol.received = from_publisher
        back_protocol.received = from_receiver
        port: int = front.get_extra_info("sockname")[1]
        return port

    def _pass(self, data: bytes, how: Impairment, chance: random.Random, send: Callable[[], None]) -> None:
        if self.cut:
            self.lost += 1
            return
        if not 128 <= data[0] <= 191:
            _after(how.delay_s, send)
            return
        lost, delay, twice = chance.random() < how.loss, chance.random(), chance.random() < how.duplicate
        if lost:
            self.lost += 1
            return
        waits_s = _queued(how, len(data))
        if waits_s is None:
            self.lost += 1
            return
        self.passed += 1
        for _ in range(1 + twice):
            _after(waits_s + how.delay_s + how.jitter_s * delay, send)


def _queued(how: Impairment, size: int) -> float | None:
    """How long a datagram waits for the link; None where its queue is full."""
    if not how.bits_s:
        return 0.0
    now_s = asyncio.get_running_loop().time()
    waits_s = max(0.0, how.idle_at_s - now_s)
    if waits_s > how.queue_s:
        return None
    how.idle_at_s = now_s + waits_s + 8 * size / how.bits_s
    return waits_s + 8 * size / how.bits_s


def _after(delay_s: float, send: Callable[[], None]) -> None:
    if delay_s:
        asyncio.get_running_loop().call_later(delay_s, send)
    else:
        send()


def _send(transport: asyncio.DatagramTransport, data: bytes, address: tuple[str, int]) -> None:
    """Send what was under way, unless the link is gone by now."""
    if not transport.is_closing():
        transport.sendto(data, address)


class _Side(asyncio.DatagramProtocol):
    received: Callable[[bytes, tuple[str, int]], None]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received(data, addr)


def without_candidates(sdp: str) -> str:
    """The same SDP, telling no address."""
    return _CANDIDATE_LINE.sub("", sdp)
