"""One media section followed over SSRCs, layers, retransmissions and losses; and how packets find it."""

import struct

from media.handover.encoded_frame import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from media.rtp.receiver import KEYFRAME_REPEAT_NS, KEYFRAME_REQUEST_NS_MIN, RtpReceiver
from media.rtp.router import LEARNED_SOURCES_MAX, Router
from media.rtp.simulcast_layers import DECISION_NS
from media.rtp.ssrc_receiver import SEQUENCE_JUMP_MAX, SsrcCounters
from media.rtp.wire.packet import RtpPacket
from media.rtp.wire.rtcp import SenderInfo
from media.rtp.wire.rtx import unwrap_rtx
from tests.support.recording_sink import RecordingSink
from tests.support.rtp import h264_frame, one_byte_extension, packet, vp8_frame

WAIT_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
VP8 = PayloadFormat(96, Codec.VP8, nack=True, pli=True, retransmission=97)
OPUS = PayloadFormat(111, Codec.OPUS)
MID, RID, REPAIRED = 4, 10, 11


def video_format(mid: str = "1", **fields: object) -> MediaFormat:
    return MediaFormat(mid, True, {96: VP8}, mid_extension=MID, **fields)  # type: ignore[arg-type]


class Section:
    """An RtpReceiver with its sink; frames are sent by number, one packet each."""

    def __init__(self, media: MediaFormat | None = None) -> None:
        self.sink = RecordingSink()
        self.counters = SsrcCounters()
        self.stream = RtpReceiver(
            "key",
            media or video_format(),
            wait_ns=WAIT_NS,
            sink=self.sink,
            counters=self.counters,
            feedback_due=lambda stream: None,
        )

    def send(
        self,
        number: int,
        *,
        ssrc: int = 1,
        at_ns: int = 0,
        keyframe: bool = False,
        rid: str | None = None,
        sequence: int | None = None,
        size: int = 0,
    ) -> None:
        payload = vp8_frame(number, 1, keyframe=keyframe)[0] + bytes(size)
        sent = packet(
            payload=payload,
            sequence=number if sequence is None else sequence,
            timestamp=3000 * number,
            ssrc=ssrc,
            marker=True,
            arrival_ns=at_ns,
        )
        self.stream.receive(sent, VP8, rid)

    def feedback(self, now_ns: int) -> list[tuple[str, int]]:
        """(what, about which SSRC) of the feedback that is due."""
        data = self.stream.feedback(now_ns, 50 * MILLISECOND_NS, 99)
        found = []
        while data:
            first, kind, words, _, media = struct.unpack_from("!BBHII", data)
            found.append(({(205, 1): "nack", (206, 1): "pli"}[kind, first & 31], media))
            data = data[4 + 4 * words :]
        return found


class TestKeyFrameRequests:
    def test_one_at_once_when_a_stream_begins_in_the_middle(self) -> None:
        section = Section()
        section.send(1)
        assert section.stream.feedback_in_ns(0) == 0
        assert section.feedback(0) == [("pli", 1)]

    def test_none_when_it_begins_with_a_key_frame(self) -> None:
        section = Section()
        section.send(1, keyframe=True)
        assert section.feedback(0) == []
        assert section.stream.feedback_in_ns(0) is None

    def test_again_only_when_the_first_must_be_lost_however_often_it_is_asked(self) -> None:
        section = Section()
        section.send(0)
        asked = []
        for now_ns in range(0, 4 * KEYFRAME_REPEAT_NS, 10 * MILLISECOND_NS):
            section.stream.request_keyframe()
            asked += [now_ns] * len(section.feedback(now_ns))
        assert asked == [0, KEYFRAME_REPEAT_NS, 2 * KEYFRAME_REPEAT_NS, 3 * KEYFRAME_REPEAT_NS]

    def test_at_most_one_per_interval_where_each_is_answered(self) -> None:
        section = Section()
        section.send(0)
        asked = []
        for number, now_ns in enumerate(range(0, 4 * KEYFRAME_REQUEST_NS_MIN, 10 * MILLISECOND_NS), 1):
            section.stream.request_keyframe()
            if section.feedback(now_ns):
                asked.append(now_ns)
                section.send(number, at_ns=now_ns, keyframe=True)
            else:
                section.send(number, at_ns=now_ns)
        assert asked == [number * KEYFRAME_REQUEST_NS_MIN for number in range(4)]

    def test_as_soon_as_a_loss_is_final(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(2, at_ns=MILLISECOND_NS)
        assert section.feedback(11 * MILLISECOND_NS) == [("nack", 1)]
        assert section.stream.blocked_since_ns == MILLISECOND_NS
        assert section.feedback(MILLISECOND_NS + WAIT_NS) == [("pli", 1)]
        assert [(frame.after_loss, frame.lost_packets) for frame in section.sink.video()] == [
            (False, 0),
            (True, 1),
        ]
        assert section.counters.lost == 1


class TestRetransmission:
    def test_rtx_fills_the_gap(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(2)
        assert section.feedback(20 * MILLISECOND_NS) == [("nack", 1)]
        section.stream.receive_retransmission(_repaired(1), VP8, 1)
        assert [frame.rtp_timestamp & 0xFFFFFFFF for frame in section.sink.video()] == [0, 3000, 6000]
        assert (section.counters.recovered, section.counters.lost) == (1, 0)

    def test_where_only_the_section_is_known_the_active_source_is_meant(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(2)
        section.stream.receive_retransmission(_repaired(1), VP8, None)
        assert len(section.sink.video()) == 3

    def test_what_nobody_misses_is_not_used_twice(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(1)
        section.stream.receive_retransmission(_repaired(1), VP8, 1)
        section.send(1)
        assert len(section.sink.video()) == 2
        assert section.counters.dropped == {"retransmission_unneeded": 1, "late_or_duplicate": 1}

    def test_padding_on_rtx_is_nothing(self) -> None:
        assert unwrap_rtx(packet(payload_type=97, payload=b""), 96, 1) is None
        assert unwrap_rtx(packet(payload_type=97, payload=b"\x01"), 96, 1) is None


class TestSourceChange:
    def test_a_new_ssrc_takes_over_on_the_same_stream(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(7, ssrc=2, keyframe=True)
        section.send(1)  # still on its way from the old one
        section.send(8, ssrc=2)
        assert section.sink.names() == ["stream_started", "source_changed"]
        assert len(section.sink.video()) == 3
        assert section.counters.dropped == {"inactive_source": 1}

    def test_what_the_old_source_still_held_comes_first(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.send(2)
        section.send(9, ssrc=2, keyframe=True)
        timestamps = [frame.rtp_timestamp & 0xFFFFFFFF for frame in section.sink.video()]
        assert timestamps == [0, 6000, 27000]

    def test_a_sender_that_restarts_its_numbers_is_followed(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        far = 2 * SEQUENCE_JUMP_MAX
        section.send(1, sequence=far)
        assert len(section.sink.video()) == 1
        section.send(2, sequence=far + 1, keyframe=True)
        section.send(3, sequence=far + 2)
        assert [frame.keyframe for frame in section.sink.video()] == [True, True, False]
        assert section.counters.dropped == {"sequence_jump": 1}
        assert section.counters.lost == 0

    def test_a_new_codec_begins_with_its_own_first_packet(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        for place, payload in enumerate(h264_frame(3, 1, keyframe=True)):
            sent = packet(
                payload_type=98, payload=payload, sequence=3 + place, timestamp=9000, ssrc=1, marker=place > 0
            )
            section.stream.receive(sent, PayloadFormat(98, Codec.H264, nack=True, pli=True), None)
        section.send(2)
        section.send(1)
        told = [(frame.codec, frame.keyframe, frame.after_loss) for frame in section.sink.video()]
        assert told == [
            (Codec.VP8, True, False),
            (Codec.VP8, False, False),
            (Codec.VP8, False, False),
            (Codec.H264, True, False),
        ]

    def test_a_sender_report_is_on_the_timeline_of_the_frames(self) -> None:
        section = Section()
        section.send(10, keyframe=True)
        section.stream.sender_report(SenderInfo(1, 5 << 32 | 1 << 31, 29_000, 0, 0), 7)
        (report,) = section.sink.reports["key"]
        (frame,) = section.sink.video()
        assert frame.rtp_timestamp - report.rtp_timestamp == 1000
        assert (report.ntp_ns, report.arrival_ns) == (5_500_000_000, 7)

    def test_bye_leaves_the_stream_silent_until_somebody_comes(self) -> None:
        section = Section()
        section.send(0, keyframe=True)
        section.stream.bye(1)
        assert section.stream.silent()
        section.send(0, ssrc=2, keyframe=True)
        assert not section.stream.silent()
        section.stream.end()
        section.stream.end()
        assert section.sink.names() == ["stream_started", "source_changed", "stream_ended"]


class TestSimulcast:
    def test_the_best_layer_takes_over_with_its_key_frame(self) -> None:
        section = Section(video_format(rids=("q", "f")))
        asked = []
        for number in range(60):
            at_ns = number * 40 * MILLISECOND_NS
            section.send(number, ssrc=1, rid="q", at_ns=at_ns, keyframe=number == 0)
            wanted = ("pli", 2) in asked
            section.send(number, ssrc=2, rid="f", at_ns=at_ns, keyframe=wanted, size=500)
            asked += section.feedback(at_ns)
        video = section.sink.video()
        change = next(place for place, frame in enumerate(video) if len(frame.data) > 500)
        assert DECISION_NS // (40 * MILLISECOND_NS) <= change < 40
        assert video[change].keyframe
        assert all(len(frame.data) > 500 for frame in video[change:])
        assert section.sink.names() == ["stream_started", "source_changed"]

    def test_a_layer_that_stops_is_replaced(self) -> None:
        section = Section(video_format(rids=("q", "f")))
        for number in range(120):
            at_ns = number * 40 * MILLISECOND_NS
            section.send(number, ssrc=1, rid="q", at_ns=at_ns, keyframe=number % 10 == 0)
            if number < 50:
                section.send(number, ssrc=2, rid="f", at_ns=at_ns, keyframe=number % 10 == 0, size=500)
            section.feedback(at_ns)
        assert section.sink.names() == ["stream_started", "source_changed", "source_changed"]
        assert len(section.sink.video()[-1].data) < 500


class TestRouter:
    def test_by_ssrc_then_mid_then_payload_type(self) -> None:
        audio = MediaFormat("0", False, {111: OPUS}, mid_extension=MID)
        router = Router((audio, video_format("1", ssrcs=(5,)), video_format("2")))
        assert _section(router, packet(payload_type=96, ssrc=5)) == 1
        assert _section(router, packet(payload_type=111, ssrc=6)) == 0
        assert _section(router, packet(payload_type=96, ssrc=7)) is None, "96 is of two sections"
        tagged = packet(payload_type=96, ssrc=7, extension=one_byte_extension({MID: b"2"}))
        assert _section(router, tagged) == 2
        assert _section(router, packet(payload_type=96, ssrc=7)) == 2, "it was learned"
        unknown = packet(payload_type=96, ssrc=8, extension=one_byte_extension({MID: b"9"}))
        assert _section(router, unknown) is None

    def test_retransmissions_find_what_they_repair(self) -> None:
        media = video_format(
            ssrcs=(5,),
            retransmission_ssrcs={6: 5},
            rids=(),
        )
        router = Router((media,))
        route = router.route(packet(payload_type=97, ssrc=6))
        assert route is not None
        assert route.repairs == 5
        assert [media.primary_of(number) for number in (96, 97, 98)] == [None, VP8, None]

    def test_layers_are_known_by_their_header_extensions(self) -> None:
        media = video_format(rids=("q", "f"), rid_extension=RID, repaired_rid_extension=REPAIRED)
        router = Router((media,))
        primary = router.route(packet(ssrc=5, extension=one_byte_extension({MID: b"1", RID: b"f"})))
        repair = router.route(packet(payload_type=97, ssrc=6, extension=one_byte_extension({REPAIRED: b"f"})))
        assert primary is not None
        assert repair is not None
        assert (primary.rid, repair.repaired_rid) == ("f", "f")

    def test_what_is_learned_is_bounded_and_the_most_silent_goes(self) -> None:
        router = Router((video_format(ssrcs=(5,)),))
        for number in range(3 * LEARNED_SOURCES_MAX):
            assert router.route(packet(ssrc=7, arrival_ns=2 * number)) is not None
            assert router.route(packet(ssrc=100 + number, arrival_ns=2 * number + 1)) is not None
        assert router.section_of(100) is None
        assert (router.section_of(7), router.section_of(5)) == (0, 0)
        known = sum(router.section_of(100 + n) is not None for n in range(3 * LEARNED_SOURCES_MAX))
        assert known == LEARNED_SOURCES_MAX - 1

    def test_who_says_bye_makes_room(self) -> None:
        router = Router((video_format(ssrcs=(5,)),))
        for ssrc in range(10 * LEARNED_SOURCES_MAX):
            assert router.route(packet(ssrc=ssrc)) is not None
            router.forget(ssrc)
            assert router.section_of(ssrc) == (0 if ssrc == 5 else None)


def _section(router: Router, received: RtpPacket) -> int | None:
    route = router.route(received)
    return None if route is None else route.section


def _repaired(number: int) -> RtpPacket:
    payload = struct.pack("!H", number) + vp8_frame(number, 1, keyframe=False)[0]
    received = packet(payload_type=97, payload=payload, timestamp=3000 * number, ssrc=50, marker=True)
    repaired = unwrap_rtx(received, 96, 1)
    assert repaired is not None
    return repaired
