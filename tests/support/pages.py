"""Recordings of pages: at rest, turned and scrolled, with a tone that tells the time. All parts are real.

Page n is painted in a gray of its own, so any picture says which page it shows; the tone rises with time.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import av
import numpy as np
import numpy.typing as npt

from media.audio.encoder import AAC_FRAME_SAMPLES, AudioEncoder
from media.isobmff import AudioTrack, FragmentPlace, VideoTrack, finalise
from media.mux.fragment_joiner import FragmentJoiner
from media.mux.fragmenter import AUDIO_TRACK, VIDEO_TRACK, Fragmenter
from media.video.encoder import VIDEO_TIMESCALE, VideoEncoder
from media.video.quality_control import Pacer
from media.video.scaler import new_picture, planes
from recorder.kernel.media import Canvas, Fragment

CANVAS = Canvas(width=320, height=180)
FRAGMENT_NS = 2_000_000_000
NS = 1_000_000_000
RATE = 48_000
GRAY_FIRST, GRAY_STEP = 20, 12
HERTZ_FIRST, HERTZ_PER_S = 400.0, 40.0
SCROLLING_FPS = 25


@dataclass(frozen=True)
class Page:
    """What is shown from `at_s` on: page number `gray`, at rest or with a bar that moves over it."""

    at_s: float
    gray: int
    scrolled: bool = False


@dataclass(frozen=True)
class Recorded:
    """A recording in its fragments, the init segment first."""

    fragments: list[Fragment]

    @property
    def init(self) -> bytes:
        return self.fragments[0].data

    @property
    def places(self) -> list[FragmentPlace]:
        offsets = accumulate((len(each.data) for each in self.fragments), initial=0)
        return [
            FragmentPlace(offset, len(each.data), each.start_us, each.duration_us)
            for offset, each in zip(offsets, self.fragments, strict=False)
        ][1:]

    @property
    def data(self) -> bytes:
        return b"".join(each.data for each in self.fragments)

    @property
    def finalised(self) -> bytes:
        return finalise(self.init, self.places) + self.data[len(self.init) :]


def page_at(pages: Sequence[Page], time_s: float) -> Page:
    """What is to be seen at that time."""
    return max((page for page in pages if page.at_s <= time_s), key=lambda page: page.at_s)


def page_of(luma: float) -> int:
    """Which page has that gray."""
    return round((luma - GRAY_FIRST) / GRAY_STEP)


def time_of(hertz: float) -> float:
    """When the tone has that pitch."""
    return (hertz - HERTZ_FIRST) / HERTZ_PER_S


def recorded(pages: Sequence[Page], seconds: float) -> Recorded:
    """Record the pages as a share: a picture a second at rest, 25 while it is scrolled."""
    written: list[Fragment] = []
    video = VideoEncoder(CANVAS, crf=30, bitrate_max=2_500_000)
    audio = AudioEncoder(channels=1, bitrate=64_000)
    made = Fragmenter(
        video=VideoTrack(VIDEO_TRACK, VIDEO_TIMESCALE, CANVAS.width, CANVAS.height, video.avcc),
        audio=AudioTrack(AUDIO_TRACK, RATE, 1, audio.asc),
        write=lambda fragment: None if fragment.provisional else written.append(fragment),
    )
    made.begin()
    pacer, lengthening = Pacer(fps=CANVAS.fps, fragment_ns=FRAGMENT_NS), FragmentJoiner(FRAGMENT_NS)
    picture = new_picture(CANVAS.width, CANVAS.height)
    planes(picture).u[:] = planes(picture).v[:] = 128
    while (closing := _closing(pages, pacer)) < seconds * NS:
        page = page_at(pages, closing / NS + 1e-6)
        _paint(planes(picture).y, page, closing / NS)
        at, cut = pacer.make(closing)
        opening, pts = at == 0, at * 9 // 100_000
        keyframe = lengthening.add(at, pts, cut=cut)
        coded = video.encode(picture, pts, force_keyframe=keyframe)
        lengthening.coded(coded)
        made.add_pictures(coded)
        if cut and not opening:
            made.cut(pts, provisional=not keyframe)
    made.add_pictures(video.flush())
    made.add_sounds(audio.encode(_rising_tone(seconds)) + audio.flush())
    made.finish(round(seconds * VIDEO_TIMESCALE))
    return Recorded(written)


def _closing(pages: Sequence[Page], pacer: Pacer) -> int:
    """When the next picture is made: at a turn of the page, for each step of a scrolled one, or for order."""
    last = pacer.last_ns
    if last < 0:
        return 0
    turns = [round(page.at_s * NS) for page in pages if page.at_s * NS > last]
    if page_at(pages, last / NS).scrolled:
        turns.append(last + NS // SCROLLING_FPS)
    return min([*turns, pacer.deadline()])


def _paint(luma: npt.NDArray[np.uint8], page: Page, time_s: float) -> None:
    luma[:] = GRAY_FIRST + page.gray * GRAY_STEP
    text = np.random.default_rng(page.gray).integers(0, 2, (10, 70), dtype=np.uint8)
    luma[20:60, 20:300] = 16 + 219 * text.repeat(4, 0).repeat(4, 1)
    if page.scrolled:
        left = round(time_s * SCROLLING_FPS) * 4 % 240
        luma[100:160, left : left + 60] = np.linspace(40, 230, 60).astype(np.uint8)


def _rising_tone(seconds: float) -> npt.NDArray[np.float32]:
    at = np.arange(round(seconds * RATE) // AAC_FRAME_SAMPLES * AAC_FRAME_SAMPLES) / RATE
    phase = 2 * np.pi * (HERTZ_FIRST * at + HERTZ_PER_S * at**2 / 2)
    return (0.3 * np.sin(phase)).astype(np.float32)[None]


def spans(made: Recorded) -> list[tuple[float, float]]:
    """When each media fragment begins, and how long it is, in seconds."""
    return [(place.start_us / 1e6, place.duration_us / 1e6) for place in made.places]


def pictures_of(data: bytes) -> list[tuple[float, float]]:
    """A time at which each picture of a file is shown, and the gray of its page."""
    with av.open(io.BytesIO(data), "r") as container:
        return [((frame.time or 0.0) + 1e-4, gray(frame)) for frame in container.decode(video=0)]


def gray(frame: av.VideoFrame) -> float:
    """The luma of the page, where nothing else is painted on it."""
    return float(planes(frame).y[80:95].mean())
