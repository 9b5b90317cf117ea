"""Ten seconds of flash and beep as files that other programs read: raw, and coded without loss."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.flash_beep import FlashBeep

SECONDS = 10
WIDTH, HEIGHT, FPS, RATE = 320, 240, 25, 48_000
SCENE = FlashBeep(width=WIDTH, height=HEIGHT, fps=FPS, interval_s=1.0, first_s=0.52)


@dataclass(frozen=True)
class Clip:
    """Its files: I420 pictures, 16-bit samples of one channel, and both as Matroska."""

    pictures: Path
    sound: Path
    film: Path


def make_clip(directory: Path) -> Clip:
    """Write it."""
    made = Clip(directory / "clip.i420", directory / "clip.s16", directory / "clip.mkv")
    count = SECONDS * FPS
    frames = [SCENE.video_frame(number) for number in range(count)]
    made.pictures.write_bytes(b"".join(frame.to_ndarray().tobytes() for frame in frames))
    samples = (SCENE.sound(0, SECONDS * RATE) * 32_000).astype(np.int16)
    made.sound.write_bytes(samples.tobytes())
    with av.open(str(made.film), "w") as film:
        pictures = film.add_stream("mjpeg", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        sound = film.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number, frame in enumerate(frames):
            full = frame.reformat(format="yuvj420p")
            full.pts, full.time_base = number, Fraction(1, FPS)
            film.mux(pictures.encode(full))
            piece = samples[number * RATE // FPS : (number + 1) * RATE // FPS]
            audio = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout="mono")
            audio.sample_rate, audio.pts, audio.time_base = RATE, number * RATE // FPS, Fraction(1, RATE)
            film.mux(sound.encode(audio))
        film.mux(pictures.encode(None))
        film.mux(sound.encode(None))
    return made
