"""A process that publishes coded streams by WHIP, over and over in real time, without coding anything.

Run as `python -m benchmarks.publishing`, one JSON object on standard input (see `Orders`); it prints `joined`
when all streams flow and leaves when standard input ends.
"""

import asyncio
import sys

import aiohttp
import av
import msgspec
from aiortc import MediaStreamTrack

from recorder.demo.publisher import WhipPublisher, stay_on_loopback
from recorder.load.publisher.process import Replay

VIDEO_CLOCK, AUDIO_CLOCK = 90_000, 48_000
AUDIO_STEP = 960


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One participant's files, as benchmarks.streams.Stream names them."""

    name: str
    source: str
    pictures: str | None
    sound: str | None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Where to publish what; `fps` of all pictures."""

    url: str
    token: str
    fps: int
    streams: list[Sent]


def packets_of(path: str) -> list[bytes]:
    """The packets of the one stream in a file."""
    with av.open(path, "r") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


async def publish(orders: Orders) -> None:
    """Send everything until standard input ends."""
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), leaving.set)
    async with aiohttp.ClientSession() as http:
        publishers = []
        for sent in orders.streams:
            query = {"participant": sent.name, "name": sent.name, "source": sent.source}
            publisher = WhipPublisher(http, url=orders.url, token=orders.token, query=query)
            tracks: list[MediaStreamTrack] = []
            if sent.sound is not None:
                tracks.append(Replay("audio", packets_of(sent.sound), AUDIO_STEP, AUDIO_CLOCK))
            if sent.pictures is not None:
                step = VIDEO_CLOCK // orders.fps
                tracks.append(Replay("video", packets_of(sent.pictures), step, VIDEO_CLOCK))
            await publisher.publish(*tracks)
            publishers.append(publisher)
        print("joined", flush=True)
        await leaving.wait()
        for publisher in publishers:
            await publisher.leave()


def main() -> None:
    stay_on_loopback()
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    asyncio.run(publish(orders))


if __name__ == "__main__":
    main()
