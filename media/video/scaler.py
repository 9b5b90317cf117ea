"""Decoded pictures as planes of samples: looked at without copying, scaled by libswscale.

Every picture that leaves this module is 8-bit 4:2:0, BT.601, limited range: what WebRTC senders send unless
they say otherwise (an untagged picture is taken to be that), so that the common picture is never converted.
"""

from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

Picture = av.VideoFrame
Samples = npt.NDArray[np.uint8]

PIXEL_FORMAT = "yuv420p"
COMPARED_FORMATS = ("yuv420p", "yuvj420p")  # what every WebRTC decoder gives
CODING_NOISE_MAX = 2  # of 255; measured against what is painted, so it never adds up
ROWS_SAMPLED = 16  # one row in so many is compared before all of them
_SWSCALE_THREADS = 1  # a tile takes a quarter of a millisecond: waking a pool costs more
# ITU-T H.273 MatrixCoefficients as libav tags frames -> what swscale calls them; everything else is BT.601.
_MATRICES = {1: Colorspace.ITU709, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}


class Planes(NamedTuple):
    """Writable views of a picture's luma and its two chroma planes, [row, column], without padding."""

    y: Samples
    u: Samples
    v: Samples


def planes(picture: Picture) -> Planes:
    """Return views into the planes of a 4:2:0 picture: nothing is copied, the picture is kept alive."""
    y, u, v = _views(picture)
    return Planes(y, u, v)


def _views(picture: Picture) -> Iterator[Samples]:
    """The planes one after the other: who finds a difference in the first asks for no other."""
    for plane in picture.planes:
        samples = np.frombuffer(memoryview(plane), np.uint8)
        yield samples.reshape(plane.height, plane.line_size)[:, : plane.width]


def new_picture(width: int, height: int) -> Picture:
    """Return a picture with undefined contents."""
    return av.VideoFrame(width, height, PIXEL_FORMAT)


def same(one: Picture, other: Picture) -> bool:
    """Whether two pictures look the same; a moving picture is told apart by a few of its rows.

    A coder that is done with a still picture goes on changing samples by one or two: that is not seen.
    """
    if one.format.name not in COMPARED_FORMATS or _shape(one) != _shape(other):
        return False
    return _alike(one, other, rows=ROWS_SAMPLED) and _alike(one, other, rows=1)


def _alike(one: Picture, other: Picture, *, rows: int) -> bool:
    """Whether every `rows`-th row of each plane is."""
    return all(
        _difference(a[::rows], b[::rows]) <= CODING_NOISE_MAX
        for a, b in zip(_views(one), _views(other), strict=True)
    )


def _difference(one: Samples, other: Samples) -> int:
    difference = np.maximum(one, other)
    difference -= np.minimum(one, other)
    return int(difference.max())


def _shape(picture: Picture) -> tuple[object, ...]:
    """All that decides how samples are shown."""
    return (
        picture.width,
        picture.height,
        picture.format.name,
        picture.colorspace,
        picture.color_range,
        picture.rotation,
    )


def from_rgba(data: bytes, width: int, height: int) -> Picture:
    """Turn packed 8-bit sRGB rows into a picture; alpha is ignored."""
    rgb = av.VideoFrame.from_bytes(data, width, height, format="rgba")
    return rgb.reformat(
        format=PIXEL_FORMAT,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        threads=_SWSCALE_THREADS,
    )


class Scaler:
    """Brings the pictures of one stream to a size; keep one per stream, it remembers its tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def scale(self, picture: Picture, width: int, height: int) -> Picture:
        """Return the picture at this size in the canvas's format; itself when it already is so."""
        full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        return self._reformatter.reformat(
            picture,
            width,
            height,
            PIXEL_FORMAT,
            src_colorspace=_MATRICES.get(picture.colorspace, Colorspace.ITU601),
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
            threads=_SWSCALE_THREADS,
        )
