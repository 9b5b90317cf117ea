"""VP9 and AV1: from packets as RFC 9628 and the AV1 payload format lay them out, to pictures."""

from contextlib import suppress
from fractions import Fraction
from functools import cache

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec, EncodedFrame
from media.rtp.depacketizers.assembler import assembler_for
from media.rtp.depacketizers.av1 import split_elements
from media.rtp.depacketizers.vp9 import parse_vp9
from media.video.coded_size import coded_size
from media.video.decoder import PictureDecoder
from media.video.decoder_limits import MemoryShare
from media.video.headers.size import UnreadableHeaderError
from recorder.kernel.limits import MIB
from tests.support.encoded_source import plain
from tests.support.rtp import packet

SIZE = (322, 182)
CODECS = [Codec.VP9, Codec.AV1]
ENCODERS = {
    Codec.VP9: ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    Codec.AV1: ("libsvtav1", {"preset": "12", "svtav1-params": "pred-struct=1:lookahead=0:rc=2"}),
}


@cache
def coded(codec: Codec) -> tuple[tuple[bytes, bool], ...]:
    """Ten pictures as their encoder makes them, and whether each is a key frame."""
    name, options = ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.bit_rate = "yuv420p", Fraction(1, 25), 300_000
    encoder.options = options
    packets = []
    for index in range(10):
        picture = plain(SIZE, 16, bar=index * 8)
        picture.pts, picture.time_base = index, Fraction(1, 25)
        packets += encoder.encode(picture)
    return tuple((bytes(p), bool(p.is_keyframe)) for p in packets + encoder.encode(None))


def payloads(codec: Codec, number: int, part_bytes: int) -> list[bytes]:
    data = coded(codec)[number][0]
    return vp9_payloads(data, number, part_bytes) if codec is Codec.VP9 else av1_payloads(data, part_bytes)


def vp9_payloads(data: bytes, number: int, part_bytes: int) -> list[bytes]:
    """Non-flexible mode, picture ids of 15 bits, one layer; the scalability structure with key frames."""
    parts = [data[at : at + part_bytes] for at in range(0, len(data), part_bytes)]
    found = []
    for index, part in enumerate(parts):
        begins, ends, key = index == 0, index == len(parts) - 1, number == 0
        flags = 0x80 | 0x20 | (0 if key else 0x40) | 8 * begins | 4 * ends | 2 * (key and begins)
        structure = b"\x18" + bytes(4) + b"\x01\x04\x01" if key and begins else b""
        found.append(bytes((flags, 0x80 | number >> 8, number & 255, 0, number & 255)) + structure + part)
    return found


def av1_payloads(unit: bytes, part_bytes: int) -> list[bytes]:
    """Units without sizes, each a packet where it fits and several where it does not; no delimiters."""
    units, position = [], 0
    while position < len(unit):
        header = unit[position]
        length = shift = 0
        position += 1
        while True:
            byte = unit[position]
            length |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if not byte & 0x80:
                break
        if header >> 3 & 15 != 2:
            units.append(bytes((header & ~2,)) + unit[position : position + length])
        position += length
    found = []
    for element in units:
        parts = [element[at : at + part_bytes] for at in range(0, len(element), part_bytes)]
        for index, part in enumerate(parts):
            continues, goes_on = 0x80 * (index > 0), 0x40 * (index < len(parts) - 1)
            found.append(bytes((continues | goes_on | 0x10,)) + part)
    return found


class Line:
    """An assembler and what came out of it."""

    def __init__(self, codec: Codec) -> None:
        self.frames: list[EncodedFrame] = []
        self.dropped: list[str] = []
        self._assembler = assembler_for(codec, self.frames.append, self.dropped.append)

    def push(self, parts: list[bytes], number: int, *, lost: int = 0, marked: bool = True) -> None:
        for index, part in enumerate(parts):
            last = marked and index == len(parts) - 1
            self._assembler.push(packet(payload=part, marker=last), 3600 * (number + 1), lost)
            lost = 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("part_bytes", [40, 1200])
def test_every_picture_arrives_and_is_decoded(codec: Codec, part_bytes: int) -> None:
    line = Line(codec)
    for number in range(10):
        line.push(payloads(codec, number, part_bytes), number)
    assert [frame.keyframe for frame in line.frames] == [True] + [False] * 9
    assert line.dropped == []
    decoder = PictureDecoder(MemoryShare(64 * MIB), pixels_max=SIZE[0] * SIZE[1])
    pictures = [decoder.decode(frame) for frame in line.frames]
    assert [(p.width, p.height, p.format.name) for p in pictures if p] == [(*SIZE, "yuv420p")] * 10


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_part_drops_its_picture_and_marks_the_next(codec: Codec) -> None:
    line = Line(codec)
    line.push(payloads(codec, 0, 200), 0)
    parts = payloads(codec, 1, 20)
    line.push(parts[:1], 1, marked=False)
    line.push(parts[2:], 1, lost=1)
    line.push(payloads(codec, 2, 200), 2)
    assert [frame.after_loss for frame in line.frames] == [False, True]
    assert line.dropped == ["incomplete_frame"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_whose_beginning_is_missing_is_never_shown(codec: Codec) -> None:
    line = Line(codec)
    line.push(payloads(codec, 0, 40)[1:], 0, lost=1)
    assert [frame for frame in line.frames if frame.keyframe or not frame.after_loss] == []


def test_of_several_spatial_layers_the_lowest_is_taken() -> None:
    line = Line(Codec.VP9)
    base = vp9_payloads(coded(Codec.VP9)[0][0], 0, 5000)[0]
    upper = bytes((0x80 | 0x20 | 8 | 4, 0x80, 0, 0x03, 0)) + b"another layer"
    line.push([base, upper], 0)
    assert [frame.data for frame in line.frames] == [coded(Codec.VP9)[0][0]]


@pytest.mark.parametrize("codec", CODECS)
def test_sizes_are_read_from_key_frames(codec: Codec) -> None:
    size = coded_size(codec, coded(codec)[0][0])
    assert size is not None
    assert (size.width, size.height) == SIZE
    assert coded_size(codec, coded(codec)[1][0]) is None


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_over_the_limit_never_reaches_a_decoder(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = EncodedFrame(codec, 0, 0, coded(codec)[0][0], keyframe=True)
    monkeypatch.setattr("av.CodecContext.create", None)
    decoder = PictureDecoder(MemoryShare(64 * MIB), pixels_max=SIZE[0] * SIZE[1] - 1)
    assert decoder.decode(frame) is None
    assert decoder.dropped == {"video_too_large": 1}


@given(st.sampled_from([Codec.H264, Codec.VP8, *CODECS]), st.binary(max_size=80))
def test_garbage_never_raises_anything_else(codec: Codec, data: bytes) -> None:
    for noise in (data, b"\0\0\1\x67" + data, b"\x82\x49\x83\x42" + data, b"\x0a\x20" + data):
        with suppress(UnreadableHeaderError):
            coded_size(codec, noise)
        if noise:
            parse_vp9(noise)
            split_elements(noise)


@pytest.mark.parametrize("codec", CODECS)
@given(st.lists(st.tuples(st.binary(max_size=30), st.booleans(), st.integers(0, 3)), max_size=12))
def test_garbage_payloads_never_raise(codec: Codec, noise: list[tuple[bytes, bool, int]]) -> None:
    line = Line(codec)
    for number, (data, marked, lost) in enumerate(noise):
        line.push([data], number // 3, lost=lost, marked=marked)
