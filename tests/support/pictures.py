"""What a recording shows at an instant, as ffmpeg decodes it."""

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media.video.layout import Rectangle
from recorder.kernel.media import Canvas

_TIMEOUT_S = 60


def picture_at(path: Path, time_s: float, canvas: Canvas | None = None) -> NDArray[np.uint8]:
    """The picture that a player shows at this time of the file: rgb24, height x width x 3."""
    canvas = canvas or Canvas()
    # After -i: everything is decoded and no seek index decides what is seen.
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"fps={canvas.fps},trim=start={time_s:.3f}"]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True).stdout
    if not raw:
        raise AssertionError(f"there is no picture at {time_s:.3f} s")
    return np.frombuffer(raw, np.uint8).reshape(canvas.height, canvas.width, 3)


def colour_in(picture: NDArray[np.uint8], where: Rectangle) -> tuple[int, int, int]:
    """The median colour of the middle of a rectangle, away from its edges and its label."""
    rows = slice(where.y + where.height // 4, where.y + where.height // 2)
    columns = slice(where.x + where.width // 4, where.x + where.width * 3 // 4)
    red, green, blue = np.median(picture[rows, columns].reshape(-1, 3), axis=0)
    return int(red), int(green), int(blue)
