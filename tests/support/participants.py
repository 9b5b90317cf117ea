"""People for whole calls: each is one colour and one tone, so that both are found again in a recording."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
from aiortc import MediaStreamTrack
from PIL import Image, ImageDraw

from recorder.demo.publisher import Epoch, SceneTrack, VoiceTrack, WhipPublisher
from recorder.demo.scene import Colour, Scene
from recorder.demo.voice import SAMPLE_RATE, Samples

TONE_LEVEL = 0.2  # of full scale; four of them do not reach the limiter


@dataclass
class Card:
    """A Scene of one colour, with a dark bar along the bottom that grows, so that something moves."""

    colour: Colour
    width: int = 320
    height: int = 180

    def picture(self, at_s: float) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height), self.colour)
        done = round(self.width * (at_s % 2) / 2)
        ImageDraw.Draw(image).rectangle((0, self.height * 9 // 10, done, self.height), fill=(16, 16, 16))
        return image


def tone(hertz: int) -> Samples:
    """A second of a sine; played in a loop it has no seam."""
    wave = TONE_LEVEL * np.sin(2 * np.pi * hertz / SAMPLE_RATE * np.arange(SAMPLE_RATE))
    samples: Samples = (wave * 32_767).astype(np.int16)
    return samples


def camera(scene: Scene, hertz: int, *, fps: int = 25) -> list[MediaStreamTrack]:
    """Picture and sound of one participant, on one clock."""
    epoch = Epoch()
    return [SceneTrack(scene, fps=fps, epoch=epoch), VoiceTrack(tone(hertz), epoch=epoch)]


def microphone(hertz: int) -> list[MediaStreamTrack]:
    """The sound of somebody without a camera."""
    return [VoiceTrack(tone(hertz), epoch=Epoch())]


def screen(scene: Scene, *, fps: int = 5) -> list[MediaStreamTrack]:
    """A shared screen."""
    return [SceneTrack(scene, fps=fps, epoch=Epoch())]


@asynccontextmanager
async def joined(
    entry_point: dict[str, Any], *tracks: MediaStreamTrack, codec: str = "video/H264", **who: str
) -> AsyncIterator[WhipPublisher]:
    """Publish for the length of the block; `who` is the entry point's query (participant, name, ...)."""
    async with aiohttp.ClientSession() as http:
        publisher = WhipPublisher(http, url=entry_point["url"], token=entry_point["token"], query=who)
        try:
            await publisher.publish(*tracks, codec=codec)
            yield publisher
        finally:
            with suppress(aiohttp.ClientConnectionError, asyncio.TimeoutError):  # the test ended the server
                await publisher.leave()
