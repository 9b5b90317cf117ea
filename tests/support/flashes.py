"""Finding flashes and beeps again in a recording's file: when each begins, in seconds of the file."""

import io
from dataclasses import dataclass
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt

LIT_LUMA = 128
HEARD_LEVEL = 0.1
QUIET_S = 0.2  # what a beep must be preceded by to be a new one


@dataclass(frozen=True)
class Found:
    """What stands in a file."""

    flashes: list[float]
    beeps: list[float]
    picture_times: list[float]
    keyframe_times: list[float]
    audio_seconds: float
    last_picture: npt.NDArray[np.uint8]  # luma


def examine(data: bytes, *, at: tuple[float, float] = (0.5, 0.5)) -> Found:
    """Decode everything; `at` is where on the canvas (0 to 1 across and down) flashes are looked for."""
    flashes: list[float] = []
    times: list[float] = []
    keys: list[float] = []
    blocks: list[npt.NDArray[np.float32]] = []
    sound_from_s = 0.0  # of a file's later part, sound begins in its middle
    lit = False
    luma: npt.NDArray[np.uint8] = np.zeros((1, 1), dtype=np.uint8)
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode():
            if isinstance(frame, av.AudioFrame):
                sound_from_s = sound_from_s if blocks else float(frame.time or 0.0)
                blocks.append(frame.to_ndarray()[0])
                continue
            luma = frame.to_ndarray()[: frame.height].astype(np.uint8)
            y, x = round(at[1] * frame.height), round(at[0] * frame.width)
            now_lit = float(luma[y - 8 : y + 8, x - 8 : x + 8].mean()) > LIT_LUMA
            seconds = float(frame.time or 0.0)
            times.append(seconds)
            keys += [seconds] if frame.key_frame else []
            flashes += [seconds] if now_lit and not lit else []
            lit = now_lit
    sound = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    beeps = [sound_from_s + at for at in _onsets(sound)]
    return Found(flashes, beeps, times, keys, sound.size / 48_000, luma)


def _onsets(sound: npt.NDArray[np.float32]) -> list[float]:
    loud = np.flatnonzero(np.abs(sound) > HEARD_LEVEL) / 48_000
    return [float(at) for before, at in pairwise([-1.0, *loud]) if at - before > QUIET_S]


def offsets_ms(flashes: list[float], beeps: list[float]) -> list[float]:
    """Flash minus nearest beep, for each flash that has a beep within half a second."""
    return [
        1000 * min((flash - beep for beep in beeps), key=abs)
        for flash in flashes
        if any(abs(flash - beep) < 0.5 for beep in beeps)
    ]
