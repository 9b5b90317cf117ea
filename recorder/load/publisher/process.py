"""A process that publishes one call's clips by WHIP, over and over in real time, without coding anything.

Run as `python -m recorder.load.publisher.process`, one JSON object (`Orders`) on standard input. It prints
one `Joined` as JSON a line for each feed, in their order, and leaves when standard input ends.
"""

import asyncio
import fractions
import random
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import av
import msgspec
from aiortc import MediaStreamTrack, RTCDtlsTransport

from recorder.demo.publisher import WhipPublisher, stay_on_loopback
from recorder.kernel.media import SourceKind
from recorder.load.publisher.clip import OPUS_SAMPLES, packets_of

_VIDEO_CLOCK, _AUDIO_CLOCK = 90_000, 48_000
_SEED = 1


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One feed: files as recorder.load.publisher.clip makes them."""

    participant: str
    source: SourceKind
    fps: int
    pictures: str | None
    sound: str | None
    stays_s: float | None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Where to publish what, over what link: `loss` from 0 to 1, `jitter_s` at most, made at the sender."""

    url: str
    token: str
    feeds: list[Sent]
    loss: float = 0.0
    jitter_s: float = 0.0
    loopback: bool = True


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """When a feed's connection stood, in seconds of Unix time, and how long that took from its offer."""

    participant: str
    at_s: float
    took_s: float


class Replay(MediaStreamTrack):
    """Coded packets over and over, one every `step` ticks of the RTP clock."""

    def __init__(self, kind: str, packets: list[bytes], step: int, clock_rate: int) -> None:
        self.kind = kind
        super().__init__()
        self._packets, self._step, self._clock_rate = packets, step, clock_rate
        self._count = 0
        self._started_at: float | None = None

    async def recv(self) -> Any:
        """The next packet, when its time has come."""
        loop = asyncio.get_running_loop()
        self._started_at = self._started_at or loop.time()
        due = self._started_at + self._count * self._step / self._clock_rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        packet = av.Packet(self._packets[self._count % len(self._packets)])
        packet.pts = self._count * self._step
        packet.time_base = fractions.Fraction(1, self._clock_rate)
        self._count += 1
        return packet


async def publish(orders: Orders) -> None:
    """Send everything until standard input ends."""
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), leaving.set)
    async with aiohttp.ClientSession() as http:
        here = [await _join(http, orders, feed) for feed in orders.feeds]
        coming = [
            asyncio.create_task(_come_and_go(http, orders, feed, publisher, leaving))
            for feed, publisher in zip(orders.feeds, here, strict=True)
        ]
        await leaving.wait()
        await asyncio.gather(*coming)


async def _come_and_go(
    http: aiohttp.ClientSession, orders: Orders, feed: Sent, here: WhipPublisher, leaving: asyncio.Event
) -> None:
    while feed.stays_s is not None:
        if await _within(leaving, feed.stays_s):
            break
        await here.leave()
        if await _within(leaving, feed.stays_s):
            return
        here = await _join(http, orders, feed)
    await leaving.wait()
    await here.leave()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _join(http: aiohttp.ClientSession, orders: Orders, feed: Sent) -> WhipPublisher:
    query = {"participant": feed.participant, "name": feed.participant, "source": feed.source.value}
    publisher = WhipPublisher(http, url=orders.url, token=orders.token, query=query)
    began = time.monotonic()
    await publisher.publish(*_tracks(feed))
    joined = Joined(participant=feed.participant, at_s=time.time(), took_s=time.monotonic() - began)
    print(msgspec.json.encode(joined).decode(), flush=True)
    return publisher


def _tracks(feed: Sent) -> list[MediaStreamTrack]:
    tracks: list[MediaStreamTrack] = []
    if feed.sound is not None:
        tracks.append(Replay("audio", packets_of(Path(feed.sound)), OPUS_SAMPLES, _AUDIO_CLOCK))
    if feed.pictures is not None:
        step = _VIDEO_CLOCK // feed.fps
        tracks.append(Replay("video", packets_of(Path(feed.pictures)), step, _VIDEO_CLOCK))
    return tracks


def spoil_links(loss: float, jitter_s: float) -> None:
    """Let every connection of this process lose and delay what it sends."""
    send = RTCDtlsTransport._send_rtp
    chance = random.Random(_SEED)
    late: set[asyncio.Task[None]] = set()

    async def send_later(transport: RTCDtlsTransport, data: bytes) -> None:
        await asyncio.sleep(chance.uniform(0, jitter_s))
        await send(transport, data)

    async def send_perhaps(transport: RTCDtlsTransport, data: bytes) -> None:
        if chance.random() < loss:
            return
        task = asyncio.create_task(send_later(transport, data))
        late.add(task)
        task.add_done_callback(late.discard)

    setattr(RTCDtlsTransport, "_send_rtp", send_perhaps)  # noqa: B010 - aiortc has no entrance for this


def main() -> None:
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    if orders.loopback:
        stay_on_loopback()
    if orders.loss or orders.jitter_s:
        spoil_links(orders.loss, orders.jitter_s)
    asyncio.run(publish(orders))


if __name__ == "__main__":
    main()
