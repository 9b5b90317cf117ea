"""The card that publishers show: a lamp, the picture's number in squares, and something that moves.

The number stands twice, the second time inverted: what is blurred or covered is told from what is wrong.
"""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from recorder.demo.voice import BEEP_S

Luma = NDArray[np.uint8]

BITS = 9  # pictures 0 to 511 of a clip
_LAMP = 0.3  # of the height: the side of the lamp in the upper left corner
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.35, 0.97, 0.06, 0.42  # of the card: where the squares are
_INSIDE = 0.25  # of a square, left out at each side: scaling blurs its edges
_CONTRAST_MIN = 60  # between a square and its inverse
_DARK, _LIGHT = 24, 228


def draw(number: int, *, width: int, height: int, fps: int, moving: bool, lamp: bool) -> Luma:
    """The luma of picture `number`, `height` x `width`."""
    step = number * 4 if moving else 0
    ramp = (np.arange(width)[None, :] + np.arange(height)[:, None] + step) % 128
    picture = (64 + ramp // 2).astype(np.uint8)
    if moving:
        x = step * 2 % width
        picture[height * 6 // 10 : height * 9 // 10, x : x + width // 8] = _LIGHT
    for row, inverted in enumerate((False, True)):
        for bit in range(BITS):
            lit = bool(number >> bit & 1) != inverted
            left, top, right, bottom = _square(bit, row, width, height)
            picture[top:bottom, left:right] = _LIGHT if lit else _DARK
    side = int(height * _LAMP)
    picture[:side, :side] = _LIGHT if lamp and number / fps % 1.0 < BEEP_S else _DARK
    return picture


def read(picture: Luma) -> int | None:
    """The number on a card, of any size; None where it cannot be read."""
    height, width = picture.shape
    rows = [[_mean(picture, bit, row, width, height) for bit in range(BITS)] for row in (0, 1)]
    differences = np.array(rows[0]) - np.array(rows[1])
    if np.min(np.abs(differences)) < _CONTRAST_MIN:
        return None
    return int(np.sum((differences > 0) * (1 << np.arange(BITS))))


def luma_of(picture: av.VideoFrame) -> Luma:
    """The luma of a planar YUV picture, as H.264 decodes to."""
    plane = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def lamp_side(height: int) -> int:
    """The side of the square in the upper left corner of a card of this height that is all lamp."""
    return int(height * _LAMP * 0.8)


def _square(bit: int, row: int, width: int, height: int) -> tuple[int, int, int, int]:
    across, down = (_RIGHT - _LEFT) / BITS, (_BOTTOM - _TOP) / 2
    left, top = _LEFT + bit * across, _TOP + row * down
    return int(left * width), int(top * height), int((left + across) * width), int((top + down) * height)


def _mean(picture: NDArray[Any], bit: int, row: int, width: int, height: int) -> float:
    left, top, right, bottom = _square(bit, row, width, height)
    aside, down = int((right - left) * _INSIDE) + 1, int((bottom - top) * _INSIDE) + 1
    return float(picture[top + down : bottom - down, left + aside : right - aside].mean())
