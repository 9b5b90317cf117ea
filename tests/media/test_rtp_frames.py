"""From payloads to frames: VP8, H.264 and Opus, with and without losses."""

import itertools
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec, EncodedFrame
from media.rtp.depacketizers.assembler import FRAME_BYTES_MAX, Assembler, assembler_for
from media.rtp.depacketizers.h264 import PARAMETER_SETS_MAX, H264Depacketizer
from media.rtp.depacketizers.vp8 import parse_vp8, vp8_size
from media.rtp.ssrc_receiver import SsrcCounters, SsrcReceiver
from media.rtp.wire.packet import RtpPacket
from tests.support.rtp import h264_frame, packet, vp8_frame

WAIT_NS = 1_000_000_000


@dataclass
class Line:
    """An assembler with what it gave out."""

    assembler: Assembler
    frames: list[EncodedFrame]
    drops: list[str]

    @classmethod
    def of(cls, codec: Codec) -> "Line":
        frames: list[EncodedFrame] = []
        drops: list[str] = []
        return cls(assembler_for(codec, frames.append, drops.append), frames, drops)

    def push(self, payloads: list[bytes], timestamp: int, *, lost: int = 0, marker: bool = True) -> None:
        for place, payload in enumerate(payloads):
            last = marker and place == len(payloads) - 1
            self.assembler.push(packet(payload=payload, marker=last), timestamp, lost)
            lost = 0


def payloads_of(codec: Codec, number: int, parts: int, *, keyframe: bool) -> list[bytes]:
    if codec is Codec.VP8:
        return vp8_frame(number, parts, keyframe=keyframe, picture_id=number)
    return h264_frame(number, parts, keyframe=keyframe)


video = pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])


class TestVideo:
    @video
    @pytest.mark.parametrize("parts", [1, 2, 5])
    def test_a_frame_is_released_with_its_last_packet(self, codec: Codec, parts: int) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, parts, keyframe=True), 3000)
        assert len(line.frames) == 1
        line.push(payloads_of(codec, 1, parts, keyframe=False), 6000)
        first, second = line.frames
        assert (first.keyframe, first.after_loss, first.rtp_timestamp) == (True, False, 3000)
        assert (second.keyframe, second.after_loss, second.rtp_timestamp) == (False, False, 6000)
        assert line.drops == []

    @video
    def test_without_a_marker_the_next_timestamp_ends_it(self, codec: Codec) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, 3, keyframe=True), 0, marker=False)
        assert line.frames == []
        line.push(payloads_of(codec, 1, 1, keyframe=False), 3000, marker=False)
        assert [frame.keyframe for frame in line.frames] == [True]

    @video
    def test_a_loss_inside_a_frame_drops_it_and_marks_all_until_the_next_key_frame(
        self, codec: Codec
    ) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, 1, keyframe=True), 0)
        damaged = payloads_of(codec, 1, 3, keyframe=False)
        line.push(damaged[:1], 1, marker=False)
        line.push(damaged[2:], 1, lost=1)
        line.push(payloads_of(codec, 2, 1, keyframe=False), 2)
        line.push(payloads_of(codec, 3, 1, keyframe=False), 3)
        line.push(payloads_of(codec, 4, 1, keyframe=True), 4)
        line.push(payloads_of(codec, 5, 1, keyframe=False), 5)
        assert [(f.rtp_timestamp, f.after_loss, f.lost_packets) for f in line.frames] == [
            (0, False, 0),
            (2, True, 1),
            (3, True, 0),
            (4, False, 0),
            (5, False, 0),
        ]
        assert line.drops == ["incomplete_frame"]

    @video
    def test_a_frame_whose_beginning_is_missing_is_dropped(self, codec: Codec) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, 4, keyframe=False)[1:], 0)
        assert line.frames == []
        line.push(payloads_of(codec, 1, 1, keyframe=False), 1)
        assert line.frames[0].after_loss

    @video
    def test_frames_before_the_first_key_frame_say_so(self, codec: Codec) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, 1, keyframe=False), 0)
        line.push(payloads_of(codec, 1, 1, keyframe=True), 1)
        assert [frame.after_loss for frame in line.frames] == [True, False]

    @video
    def test_padding_is_no_frame(self, codec: Codec) -> None:
        line = Line.of(codec)
        line.push(payloads_of(codec, 0, 1, keyframe=True), 0)
        line.push([b""], 0)
        line.push(payloads_of(codec, 1, 1, keyframe=False), 1)
        assert [frame.after_loss for frame in line.frames] == [False, False]

    def test_lost_padding_is_no_lost_picture_where_pictures_are_numbered(self) -> None:
        line = Line.of(Codec.VP8)
        line.push(vp8_frame(0, 1, keyframe=True, picture_id=32767), 0)
        line.push(vp8_frame(1, 1, keyframe=False, picture_id=0), 1, lost=3)
        line.push(vp8_frame(2, 1, keyframe=False, picture_id=2), 2, lost=3)
        assert [(frame.after_loss, frame.lost_packets) for frame in line.frames] == [
            (False, 0),
            (False, 0),
            (True, 3),
        ]

    @video
    def test_the_size_of_a_frame_is_bounded(self, codec: Codec) -> None:
        line = Line.of(codec)
        start = payloads_of(codec, 0, 2, keyframe=False)[0]
        more = b"\x00" + bytes(2**20) if codec is Codec.VP8 else b"\x7c\x01" + bytes(2**20)
        line.push([start, *[more] * (FRAME_BYTES_MAX // 2**20 + 1)], 0)
        assert (line.frames, line.drops) == ([], ["frame_too_large"])

    @video
    @given(
        payloads=st.lists(st.tuples(st.binary(max_size=12), st.booleans(), st.integers(0, 3)), max_size=40)
    )
    def test_garbage_never_raises(self, codec: Codec, payloads: list[tuple[bytes, bool, int]]) -> None:
        line = Line.of(codec)
        for payload, marker, timestamp in payloads:
            line.push([payload], timestamp, marker=marker)
        assert len(line.frames) <= len(payloads)


class TestH264:
    def test_units_get_start_codes(self) -> None:
        line = Line.of(Codec.H264)
        line.push(h264_frame(7, 3, keyframe=True), 0)
        assert line.frames[0].data.split(b"\x00\x00\x00\x01") == [
            b"",
            b"\x67\x42\xe0\x1f\x8c\x8d",
            b"\x68\xce\x3c\x80",
            b"\x65\x88\x00\x00\x00\x07\x01\x02",
        ]

    def test_parameter_sets_of_their_own_time_come_before_the_key_frame_that_lacks_them(self) -> None:
        line = Line.of(Codec.H264)
        sets, idr = h264_frame(7, 1, keyframe=True)
        line.push([sets], 0)
        assert line.frames == []
        line.push([idr], 1)
        line.push([idr], 2)
        for frame in line.frames:
            assert [unit[0] & 31 for unit in frame.data.split(b"\x00\x00\x00\x01")[1:]] == [7, 8, 5]

    def test_kept_parameter_sets_are_bounded(self) -> None:
        depacketizer = H264Depacketizer()
        for number in range(200):
            depacketizer.add(bytes([0x68, number]))
        depacketizer.clear()
        depacketizer.add(b"\x65\x88")
        whole = depacketizer.finish()
        assert whole is not None
        assert whole[0].count(b"\x00\x00\x00\x01") == PARAMETER_SETS_MAX + 1


class TestVp8:
    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            (b"\x10A", (1, True, None)),
            (b"\x00A", (1, False, None)),
            (b"\x11A", (1, False, None)),  # another partition
            (b"\x90\x80\x05A", (3, True, 5)),
            (b"\x90\x80\x81\x02A", (4, True, 258)),
            (b"\x90\xe0\x05\x01\x02A", (5, True, 5)),
            (b"\x90\x10\x07A", (3, True, None)),
            (b"\x90\x80\x05", None),
            (b"\x90\x80", None),
            (b"\x90", None),
        ],
    )
    def test_descriptor(self, payload: bytes, expected: tuple[int, bool, int | None] | None) -> None:
        assert parse_vp8(payload) == expected

    def test_size(self) -> None:
        frame = vp8_frame(0, 1, keyframe=True)[0][1:]
        assert vp8_size(frame) == (320, 240)
        assert vp8_size(vp8_frame(0, 1, keyframe=False)[0][1:]) is None


def test_opus_tells_how_many_packets_are_to_be_concealed() -> None:
    line = Line.of(Codec.OPUS)
    line.push([b"a"], 0)
    line.push([b""], 960, lost=1)
    line.push([b"b"], 1920, lost=2)
    assert [(f.data, f.after_loss, f.lost_packets) for f in line.frames] == [
        (b"a", False, 0),
        (b"b", True, 3),
    ]


@video
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=12),
    chance=st.randoms(use_true_random=False),
    first=st.integers(0, 65535),
)
def test_the_order_of_arrival_inside_the_budget_does_not_show(
    codec: Codec, sizes: list[int], chance: random.Random, first: int
) -> None:
    wire: list[RtpPacket] = []
    for number, parts in enumerate(sizes):
        payloads = payloads_of(codec, number, parts, keyframe=number == 0)
        for place, payload in enumerate(payloads):
            wire.append(
                packet(
                    payload=payload,
                    sequence=first + len(wire),
                    timestamp=2**32 - 9000 + 3000 * number,
                    marker=place == len(payloads) - 1,
                )
            )
    shuffled = wire[1:]
    chance.shuffle(shuffled)
    assert _through_a_source(codec, [wire[0], *shuffled]) == _through_a_source(codec, wire)
    assert len(_through_a_source(codec, wire)) == len(sizes)


def _through_a_source(codec: Codec, packets: list[RtpPacket]) -> list[tuple[int, bytes, bool]]:
    frames: list[EncodedFrame] = []
    source = SsrcReceiver(
        packets[0],
        codec=codec,
        wait_ns=WAIT_NS,
        wants_retransmission=True,
        counters=SsrcCounters(),
        emit=lambda _, frame: frames.append(frame),
    )
    for received in packets:
        source.receive(received, codec)
    assert all(b.rtp_timestamp - a.rtp_timestamp == 3000 for a, b in itertools.pairwise(frames))
    return [(frame.rtp_timestamp, frame.data, frame.after_loss) for frame in frames]
