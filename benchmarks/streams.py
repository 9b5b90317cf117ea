"""What publishers send in a benchmark, coded once: the same bytes go to the worker and to the C pipeline.

Pictures as browsers send them (H.264, no B-frames, key frames at 0 and 2 s), sound as Opus of 20 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from benchmarks.clips import film, page, scrolled, widescreen
from media.video.scaler import Picture, from_rgba
from recorder.demo.voice import SAMPLE_RATE, Voice

SECONDS = 30  # the publishers start over after it
OPUS_BITRATE = 32_000
OPUS_SAMPLES = 960
SECOND_KEYFRAME_S = 2  # the first may come before the connection stands, and a file cannot be asked again
SCREEN = (1920, 1080)


@dataclass(frozen=True)
class Stream:
    """One participant's files: `pictures` is MPEG-TS (Annex B), `sound` Ogg Opus; either may be missing."""

    name: str
    source: str
    pictures: Path | None
    sound: Path | None


def talking(directory: Path, *, width: int, height: int, fps: int, bitrate: int) -> list[Stream]:
    """Two people: carphone, from two places of the film, with two voices."""
    head = film("carphone_pristine")
    if width * 9 == height * 16:
        head = [widescreen(picture) for picture in head]
    streams = []
    for turn, begin in enumerate((0, len(head) // 3)):
        scaler = VideoReformatter()
        played = islice(cycle(head[begin:] + head[-2:begin:-1]), 0, None, max(1, 25 // fps))
        pictures = (scaler.reformat(picture, width, height, "yuv420p") for picture in played)
        name = f"person{turn}-{width}x{height}"
        path = directory / f"{name}.ts"
        code_pictures(path, islice(pictures, SECONDS * fps), (width, height), fps, bitrate)
        streams.append(Stream(name, "camera", path, voice(directory, turn)))
    return streams


def screen(directory: Path, *, moving: bool, fps: int, bitrate: int) -> Stream:
    """A page of text and figures at 1920x1080, at rest or scrolled for one second in three, with sound."""
    name = "moving" if moving else "still"
    path = directory / f"{name}.ts"
    code_pictures(path, _screen(moving, fps), SCREEN, fps, bitrate)
    return Stream(name, "screen_share", path, voice(directory, 0))


def voice(directory: Path, turn: int) -> Path:
    """One person's words as Ogg Opus."""
    path = directory / f"voice{turn}.ogg"
    if not path.exists():
        samples = Voice(pitch_hz=(205.0, 112.0)[turn], turn=turn, seed=turn, beeps=False).render(SECONDS)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
            stream.bit_rate = OPUS_BITRATE
            for start in range(0, samples.size, OPUS_SAMPLES):
                block = samples[start : start + OPUS_SAMPLES].reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.pts = SAMPLE_RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def code_pictures(
    path: Path, pictures: Iterator[Picture], size: tuple[int, int], fps: int, bitrate: int
) -> None:
    """Code pictures the way a browser's real-time encoder does, into MPEG-TS."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.bit_rate = bitrate
        stream.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "g": str(SECONDS * fps),
            "maxrate": str(bitrate),
            "bufsize": str(bitrate),
            "x264-params": "scenecut=0:sliced-threads=0:threads=1",
        }
        for number, picture in enumerate(pictures):
            picture.pts, picture.time_base = number, Fraction(1, fps)
            picture.pict_type = 1 if number in (0, SECOND_KEYFRAME_S * fps) else 0
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _screen(moving: bool, fps: int) -> Iterator[Picture]:
    width, height = SCREEN
    sheet = page(width, height)
    views: dict[int, bytes] = {}
    for number in range(SECONDS * fps):
        top = scrolled(number * 25 // fps) % (sheet.height - height) if moving else 0
        if top not in views:
            views = {top: sheet.crop((0, top, width, top + height)).tobytes()}
        yield from_rgba(views[top], width, height)
