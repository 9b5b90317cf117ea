"""Frame numbers of H.264 as real encoders write them: padding that is lost is told from pictures that are."""

from fractions import Fraction

import av
import pytest

from media.rtp.depacketizers.h264 import SLICE_BYTES
from media.rtp.depacketizers.h264_numbers import FrameNumbers
from tests.support.encoded_source import plain

SIZE, PICTURES = (320, 240), 60


def units(options: dict[str, str]) -> list[list[bytes]]:
    """The NAL units of each picture that x264 makes of a moving bar."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    encoder.options = {"tune": "zerolatency", **options}
    made = []
    for number in range(PICTURES):
        frame = plain(SIZE, 40, bar=number * 4)
        frame.pts = number
        data = b"".join(bytes(packet) for packet in encoder.encode(frame))
        made.append([unit for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit])
    return made


def slice_of(picture: list[bytes]) -> bytes:
    return next(unit for unit in picture if unit[0] & 0x1F in (1, 5))[:SLICE_BYTES]


@pytest.mark.parametrize(
    "options", [{"profile": "baseline"}, {"profile": "high"}, {"profile": "main", "g": "20"}]
)
def test_the_next_picture_follows_and_the_one_after_it_does_not(options: dict[str, str]) -> None:
    numbers, pictures = FrameNumbers(), units(options)
    for index, picture in enumerate(pictures[:-2]):
        for unit in picture:
            if unit[0] & 0x1F == 7:
                numbers.parameters(unit)
        numbers.seen(slice_of(picture))
        following, skipping = slice_of(pictures[index + 1]), slice_of(pictures[index + 2])
        if following[0] & 0x1F == 1:
            assert numbers.follows(following, 2)
            assert not numbers.follows(following, 1 << 16)
        if 5 not in (following[0] & 0x1F, skipping[0] & 0x1F):
            assert not numbers.follows(skipping, 2)


@pytest.mark.parametrize("unit", [b"", b"\x41", b"\x41\0\0\0", b"\x67", b"\x67\x42\xe0\x1f"])
def test_what_cannot_be_read_follows_nothing(unit: bytes) -> None:
    numbers = FrameNumbers()
    numbers.parameters(unit or b"\x67")
    numbers.seen(unit)
    assert not numbers.follows(unit, 1)


def test_another_parameter_set_says_nothing_about_pictures_before_it() -> None:
    numbers, (first, second, *_) = FrameNumbers(), units({"profile": "baseline"})
    for unit in first:
        if unit[0] & 0x1F == 7:
            numbers.parameters(unit)
            numbers.parameters(unit)
    numbers.seen(slice_of(first))
    numbers.parameters(next(unit for unit in first if unit[0] & 0x1F == 7))
    assert numbers.follows(slice_of(second), 1)
    (other,) = (unit for unit in units({"profile": "high"})[0] if unit[0] & 0x1F == 7)
    numbers.parameters(other)
    assert not numbers.follows(slice_of(second), 1)
