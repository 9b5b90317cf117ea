"""Pictures that flash and sound that beeps at the same instants, to be found again in a recording.

A picture shows the light that falls into the camera while it is exposed (its whole duration), so a flash
that begins within a picture lights it partly, and its time can be measured finer than a picture.
"""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from aiortc import MediaStreamTrack
from numpy.typing import NDArray

from media.check.av_offset import AvOffset, Region, measure

AUDIO_RATE = 48_000
VIDEO_CLOCK = 90_000
AUDIO_FRAME = 960  # 20 ms, as Opus takes it
_RAMP_S = 0.001  # a beep that starts at once would click in all frequencies

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FlashBeep:
    """One participant: flashes of `colour` and beeps of `hertz`, `length_s` long, every `interval_s`.

    The n-th event begins at `first_s + n * interval_s` on the media's own clock; the beep `beep_delay_s`
    later. `region` is lit, all of the picture by default.
    """

    width: int = 320
    height: int = 240
    fps: int = 25
    colour: Colour = (255, 255, 255)
    hertz: float = 1000.0
    interval_s: float = 1.0
    length_s: float = 0.08
    first_s: float = 0.5
    beep_delay_s: float = 0.0
    region: Region | None = None

    def events_s(self, seconds: float) -> list[float]:
        """When the flashes of the first `seconds` begin."""
        count = max(0, int(np.ceil((seconds - self.first_s) / self.interval_s)))
        return [self.first_s + number * self.interval_s for number in range(count)]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """The picture of that number as rgb24: a dim scene with a walking bar, lit while the flash is on."""
        scene = np.full((self.height, self.width, 3), 40, np.uint8)
        left = number * 4 % self.width
        scene[self.height // 2 :, left : left + 8] = 90
        light = self._exposure(number / self.fps, 1 / self.fps)
        if light:
            where = self.region or Region(0, 0, self.width, self.height)
            lit = scene[where.top : where.top + where.height, where.left : where.left + where.width]
            lit[:] = lit + (light * (np.array(self.colour) - lit.astype(float))).round().astype(np.int16)
        return scene

    def _exposure(self, start_s: float, duration_s: float) -> float:
        """The part of an exposure during which the flash is on, 0 to 1."""
        number = np.floor((start_s + duration_s - self.first_s) / self.interval_s)
        begins_s = self.first_s + max(number, 0.0) * self.interval_s
        lit_s = min(start_s + duration_s, begins_s + self.length_s) - max(start_s, begins_s)
        return float(np.clip(lit_s / duration_s, 0.0, 1.0))

    def sound(self, start: int, count: int) -> NDArray[np.float32]:
        """Samples of mono sound at 48 kHz, from sample `start` on."""
        times_s = np.arange(start, start + count) / AUDIO_RATE - self.first_s - self.beep_delay_s
        since_s = np.where(times_s >= 0, times_s % self.interval_s, self.length_s)
        ramp = np.clip(np.minimum(since_s, self.length_s - since_s) / _RAMP_S, 0.0, 1.0)
        return (0.5 * ramp * np.sin(2 * np.pi * self.hertz * since_s)).astype(np.float32)

    def video_frame(self, number: int) -> av.VideoFrame:
        """The picture of that number with its timestamp, for an encoder or an aiortc sender."""
        frame = av.VideoFrame.from_ndarray(self.picture(number), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number * VIDEO_CLOCK // self.fps, Fraction(1, VIDEO_CLOCK)
        return frame

    def audio_frame(self, number: int) -> av.AudioFrame:
        """20 ms of sound as s16 with its timestamp, for an encoder or an aiortc sender."""
        start = number * AUDIO_FRAME
        samples = (self.sound(start, AUDIO_FRAME) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
        return frame


@dataclass
class LiveClock:
    """The instant that both tracks of one participant call zero: when the first of them is asked."""

    _start_s: float | None = field(default=None)

    async def until(self, time_s: float) -> None:
        """Wait until `time_s` after zero."""
        loop = asyncio.get_running_loop()
        if self._start_s is None:
            self._start_s = loop.time()
        await asyncio.sleep(max(0.0, self._start_s + time_s - loop.time()))


class FlashTrack(MediaStreamTrack):
    """The pictures of a FlashBeep in real time; a picture leaves when its exposure is over."""

    kind = "video"

    def __init__(self, source: FlashBeep, clock: LiveClock) -> None:
        super().__init__()
        self._source, self._clock, self._number = source, clock, 0

    async def recv(self) -> av.VideoFrame:
        number, self._number = self._number, self._number + 1
        await self._clock.until((number + 1) / self._source.fps)
        return self._source.video_frame(number)


class BeepTrack(MediaStreamTrack):
    """The sound of a FlashBeep in real time; 20 ms leave when they are over."""

    kind = "audio"

    def __init__(self, source: FlashBeep, clock: LiveClock) -> None:
        super().__init__()
        self._source, self._clock, self._number = source, clock, 0

    async def recv(self) -> av.AudioFrame:
        number, self._number = self._number, self._number + 1
        await self._clock.until((number + 1) * AUDIO_FRAME / AUDIO_RATE)
        return self._source.audio_frame(number)


def live_tracks(source: FlashBeep) -> tuple[FlashTrack, BeepTrack]:
    """Both tracks of one participant on one clock, for an aiortc RTCPeerConnection."""
    clock = LiveClock()
    return FlashTrack(source, clock), BeepTrack(source, clock)


def find(recording: Path | BinaryIO, *, region: Region | None = None, hertz: float = 1000.0) -> AvOffset:
    """Find flashes in a rectangle of a recording's pictures and beeps of one frequency in its sound."""
    return measure(recording, region=region, hertz=hertz)
