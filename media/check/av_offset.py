"""The offset of sound to picture: flashes and the beeps made with them, found again.

An offset is positive where the beep comes after its flash.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from media.check.file import Picture, Refused, Sound, decoded_frames
from media.check.onsets import beep_times, flash_times, paired_offsets

MEASURED_S_MAX = 900.0  # an hour of sound would take 700 MB; 900 pairs settle any question


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the picture in pixels, from its upper left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AvOffset:
    """Times in seconds on the file's clock; `offsets_s` has one entry for each flash that has a beep."""

    flashes_s: list[float]
    beeps_s: list[float]
    offsets_s: list[float]

    @property
    def median_s(self) -> float:
        """The middle of the signed offsets; NaN without pairs."""
        return float(np.median(self.offsets_s)) if self.offsets_s else float("nan")

    @property
    def p50_s(self) -> float:
        """Half of the pairs are closer together than this; NaN without pairs, as the next two."""
        return self._distance_s(50)

    @property
    def p95_s(self) -> float:
        return self._distance_s(95)

    @property
    def max_s(self) -> float:
        return self._distance_s(100)

    def _distance_s(self, percent: float) -> float:
        if not self.offsets_s:
            return float("nan")
        return float(np.percentile(np.abs(self.offsets_s), percent))


def measure(
    source: Path | BinaryIO,
    *,
    region: Region | None = None,
    hertz: float = 1000.0,
    between_s: tuple[float, float] = (0.0, MEASURED_S_MAX),
) -> AvOffset:
    """Find the flashes in a region of a file's pictures (all of them by default) and the tones in its sound.

    Only pictures of `between_s` count: where others stand in the region before and after, they are neither
    its dark nor its light. Reads the first MEASURED_S_MAX seconds. Raises OSError, or av.FFmpegError for a
    file that is no media.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return measure(file, region=region, hertz=hertz, between_s=between_s)
    shown_s, brightness, sound = _decoded(source, region)
    times_s = np.array(shown_s)
    counts = (times_s >= between_s[0]) & (times_s < between_s[1])
    flashes = flash_times(times_s[counts], np.array(brightness)[counts])
    beeps = [sound.start_s + at_s for at_s in beep_times(sound.joined(), sound.rate, hertz=hertz)]
    return AvOffset(flashes, beeps, paired_offsets(flashes, beeps))


class _SoundTrack:
    """Decoded sound laid end to end by its timestamps, silence where some is missing."""

    def __init__(self) -> None:
        self.start_s = 0.0
        self.rate = 0
        self._pieces: list[NDArray[np.float32]] = []
        self._length = 0

    def add(self, at_s: float, rate: int, samples: NDArray[np.float32]) -> None:
        if not self._pieces:
            self.start_s, self.rate = at_s, rate
        missing = round((at_s - self.start_s) * rate) - self._length
        if missing > 0:
            self._pieces.append(np.zeros(missing, np.float32))
        self._pieces.append(samples)
        self._length += max(missing, 0) + len(samples)

    def joined(self) -> NDArray[np.float32]:
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)


def _decoded(source: BinaryIO, region: Region | None) -> tuple[list[float], list[float], _SoundTrack]:
    """Return times and brightness of the pictures, and the sound, of the file's first MEASURED_S_MAX."""
    times_s: list[float] = []
    brightness: list[float] = []
    sound = _SoundTrack()
    for result in decoded_frames(source):
        if isinstance(result, Refused) or result.frame.time is None:
            continue
        if result.frame.time > MEASURED_S_MAX:
            break
        if isinstance(result, Picture):
            times_s.append(result.frame.time)
            brightness.append(_brightness(result, region))
        else:
            sound.add(result.frame.time, result.frame.sample_rate, _mono(result))
    return times_s, brightness, sound


def _brightness(picture: Picture, region: Region | None) -> float:
    """Return the mean luma of every second pixel in each direction: planar YUV, as H.264 decodes to."""
    plane = picture.frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    if region:
        luma = luma[region.top : region.top + region.height, region.left : region.left + region.width]
    return float(luma[::2, ::2].mean())


def _mono(sound: Sound) -> NDArray[np.float32]:
    """Return the mean of all channels: planar float, as AAC decodes to."""
    mixed: NDArray[np.float32] = sound.frame.to_ndarray().mean(axis=0, dtype=np.float32)
    return mixed
