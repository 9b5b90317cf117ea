"""Clips: what publishers send, coded once, so that sending it costs little."""

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from recorder.demo.voice import SAMPLE_RATE, Voice
from recorder.load.publisher.card import draw
from recorder.load.publisher.profile import Feed

CLIP_S = 16  # publishers start over after it
KEY_FRAME_S = 4
OPUS_SAMPLES = 960
OPUS_BITRATE = 32_000
_VOICES = (205.0, 112.0, 180.0, 130.0)
_coding = threading.Lock()  # one clip at a time; later calls find it made


def pictures(directory: Path, feed: Feed, *, lamp: bool) -> Path | None:
    """The file with a feed's pictures (H.264 in MPEG-TS), made unless it is there; None: it has none."""
    if feed.size is None:
        return None
    width, height = feed.size
    path = directory / f"{width}x{height}-{feed.fps}-{'moving' if feed.moving else 'still'}-{lamp:d}.ts"
    with _coding:
        if not path.exists():
            _code_pictures(path, feed, width, height, lamp=lamp)
    return path


def sound(directory: Path, feed: Feed, *, turn: int) -> Path | None:
    """The file with the words of participant `turn` (Ogg Opus); the first one's have the beeps."""
    if not feed.sound:
        return None
    path = directory / f"voice{turn % len(_VOICES)}-{turn == 0:d}.ogg"
    with _coding:
        if not path.exists():
            _code_sound(path, turn)
    return path


def packets_of(path: Path) -> list[bytes]:
    """The packets of the one stream in a file."""
    with av.open(str(path), "r") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def _code_pictures(path: Path, feed: Feed, width: int, height: int, *, lamp: bool) -> None:
    partial = path.with_suffix(".part")
    with av.open(str(partial), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=feed.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, feed.fps)
        stream.bit_rate = feed.bitrate
        stream.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "g": str(KEY_FRAME_S * feed.fps),
            "maxrate": str(feed.bitrate),
            "bufsize": str(feed.bitrate),
            "x264-params": "scenecut=0:sliced-threads=0:threads=1",
        }
        colour = np.full((height // 2, width), 128, np.uint8)
        for number in range(CLIP_S * feed.fps):
            luma = draw(number, width=width, height=height, fps=feed.fps, moving=feed.moving, lamp=lamp)
            frame = av.VideoFrame.from_ndarray(np.vstack((luma, colour)), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, feed.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    partial.rename(path)


def _code_sound(path: Path, turn: int) -> None:
    voice = Voice(pitch_hz=_VOICES[turn % len(_VOICES)], turn=turn % 2, seed=turn, beeps=turn == 0)
    samples = voice.render(CLIP_S)
    partial = path.with_suffix(".part")
    with av.open(str(partial), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = OPUS_BITRATE
        for start in range(0, samples.size, OPUS_SAMPLES):
            block = samples[start : start + OPUS_SAMPLES].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    partial.rename(path)
