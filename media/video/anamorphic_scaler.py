"""The anamorphic scaler: fewer columns of samples, for pictures that are coded narrower than they are shown.

A coder that cannot keep up gets half the columns, and the pixel aspect ratio in its parameter sets makes
players show them at the full width. Layouts stay those of the canvas; only where things are painted, and how
wide, goes through here.
"""

from functools import lru_cache

import numpy as np

from media.video.labels import NameTag, Weights
from media.video.layout import Rectangle

_TAGS_CACHED_MAX = 256  # a few KiB each: what labels keeps of them


def coded_width(canvas_width: int, divisor: int) -> int:
    """Return how many columns a picture has that is coded with every `divisor`-th: even, never fewer."""
    return -(-canvas_width // (2 * divisor)) * 2


class AnamorphicScaler:
    """From the canvas's pixels to the columns of a picture that has `width` of them, both even."""

    def __init__(self, canvas_width: int, width: int) -> None:
        self._canvas_width = canvas_width
        self._width = width

    def place(self, area: Rectangle) -> Rectangle:
        """Return where an area of the canvas is painted; areas that touch still do, and none overlap.

        At least two columns, even ones; rows stay as they are.
        """
        if self._width == self._canvas_width:
            return area
        left, right = self._column(area.x), self._column(area.x + area.width)
        return Rectangle(left, area.y, max(2, right - left), area.height)

    def tag(self, tag: NameTag) -> NameTag:
        """Return a name tag with as many columns as it may take."""
        step = round(self._canvas_width / self._width)
        return tag if step == 1 else _squeezed(tag, step)

    def _column(self, x: int) -> int:
        return x * self._width // self._canvas_width // 2 * 2


@lru_cache(_TAGS_CACHED_MAX)
def _squeezed(tag: NameTag, step: int) -> NameTag:
    half = tag.width // (2 * step)
    return NameTag(
        width=2 * half,
        height=tag.height,
        luma_keep=_means(tag.luma_keep, step, 2 * half),
        luma_add=_means(tag.luma_add, step, 2 * half),
        chroma_keep=_means(tag.chroma_keep, step, half),
        chroma_add=_means(tag.chroma_add, step, half),
    )


def _means(weights: Weights, step: int, width: int) -> Weights:
    """The means of `step` neighbours in each row; what is left at the right end goes."""
    whole = weights[:, : width * step].reshape(len(weights), width, step)
    means: Weights = whole.mean(axis=2).astype(np.uint16)
    return means
