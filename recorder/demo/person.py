"""A process that is one synthetic participant: joins, shows and says something, leaves when told to.

Run as `python -m recorder.demo.person`, one JSON object on standard input (see `Part`); it prints `joined`
when its media flows and leaves on SIGTERM or when standard input ends.
"""

import asyncio
import logging
import signal
import sys

import aiohttp
import msgspec
from aiortc import MediaStreamTrack

from recorder.demo.cast import CAST, shared_screen
from recorder.demo.publisher import Epoch, SceneTrack, VoiceTrack, WhipPublisher, stay_on_loopback
from recorder.kernel.media import SourceKind


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one person does in the call; times in seconds since joining."""

    person: str
    url: str
    token: str
    width: int = 640
    height: int = 360
    fps: int = 25
    codec: str = "video/H264"
    camera: bool = True
    microphone: bool = True
    share_screen_after_s: float | None = None
    share_screen_fps: int = 5
    loopback: bool = True  # offer 127.0.0.1 alone, as a server takes that is bound to it


async def play(part: Part) -> None:
    """Join as `part` says and stay until SIGTERM or the end of standard input."""
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    loop.add_reader(sys.stdin.fileno(), leaving.set)
    async with aiohttp.ClientSession() as http:
        staying: list[asyncio.Task[None]] = []
        publishers = [_publisher(http, part, SourceKind.CAMERA)]
        try:
            camera = _camera(part)
            await publishers[0].publish(*camera, codec=part.codec)
            staying += [asyncio.create_task(publishers[0].stay(*camera, codec=part.codec))]
            print("joined", flush=True)
            if part.share_screen_after_s is not None:
                if await _left_within(leaving, part.share_screen_after_s):
                    return
                publishers.append(_publisher(http, part, SourceKind.SCREEN_SHARE))
                screen = SceneTrack(shared_screen(), fps=part.share_screen_fps, epoch=Epoch())
                await publishers[1].publish(screen, codec=part.codec)
                staying.append(asyncio.create_task(publishers[1].stay(screen, codec=part.codec)))
            await leaving.wait()
        finally:
            for task in staying:
                task.cancel()
            if staying:
                await asyncio.wait(staying)
            for publisher in publishers:
                await publisher.leave()


def _publisher(http: aiohttp.ClientSession, part: Part, source: SourceKind) -> WhipPublisher:
    person = CAST[part.person]
    query = {"participant": person.participant, "name": person.name, "role": person.role.value}
    return WhipPublisher(http, url=part.url, token=part.token, query=query | {"source": source.value})


def _camera(part: Part) -> list[MediaStreamTrack]:
    person, epoch = CAST[part.person], Epoch()
    voice = person.voice()
    tracks: list[MediaStreamTrack] = []
    if part.microphone:
        tracks.append(VoiceTrack(voice, epoch=epoch))
    if part.camera:
        scene = person.scene(voice, width=part.width, height=part.height)
        tracks.append(SceneTrack(scene, fps=part.fps, epoch=epoch))
    return tracks


async def _left_within(leaving: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(leaving.wait(), seconds)
    except TimeoutError:
        return False
    return True


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    part = msgspec.json.decode(sys.stdin.readline(), type=Part)
    if part.loopback:
        stay_on_loopback()
    asyncio.run(play(part))


if __name__ == "__main__":
    main()
