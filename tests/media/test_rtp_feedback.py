"""What we tell senders: RTCP as bytes, read back by aiortc; reception reports; transport-wide feedback."""

import random
import struct

from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.reception_report import Reception
from media.rtp.wire.rtcp import (
    Bye,
    SenderInfo,
    full_intra_request,
    nack,
    parse_rtcp,
    picture_loss_indication,
    receiver_report,
    source_description,
)
from media.rtp.wire.sequence import Unwrapper
from media.rtp.wire.transport_cc import PENDING_PACKETS_MAX, TransportFeedback

SECOND_NS = 1_000_000_000


class TestRtcp:
    @given(st.sets(st.integers(70000, 70400), min_size=1, max_size=100))
    def test_a_nack_names_exactly_what_is_missing(self, missing: set[int]) -> None:
        (read,) = RtcpPacket.parse(nack(1, 2, sorted(missing)))
        assert isinstance(read, RtcpRtpfbPacket)
        assert (read.ssrc, read.media_ssrc, read.fmt) == (1, 2, 1)
        assert read.lost == [number & 0xFFFF for number in sorted(missing)]

    def test_key_frame_requests(self) -> None:
        pli, fir = RtcpPacket.parse(picture_loss_indication(1, 2) + full_intra_request(1, 2, 257))
        assert pli == RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=2)
        assert fir == RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=struct.pack("!IB3x", 2, 1))

    @given(st.text(min_size=1, max_size=20))
    def test_a_compound_begins_with_a_report_and_a_name(self, name: str) -> None:
        report, description = RtcpPacket.parse(receiver_report(9) + source_description(9, name))
        assert report == RtcpRrPacket(ssrc=9)
        assert isinstance(description, RtcpSdesPacket)
        assert description.chunks[0].items == [(1, name.encode())]

    def test_sender_reports_and_byes_are_read(self) -> None:
        info = RtcpSenderInfo(ntp_timestamp=2**63, rtp_timestamp=7, packet_count=8, octet_count=9)
        sent = bytes(RtcpSrPacket(ssrc=5, sender_info=info)) + b"\x82\xcb\x00\x02" + struct.pack("!II", 5, 6)
        assert list(parse_rtcp(sent)) == [SenderInfo(5, 2**63, 7, 8, 9), Bye((5, 6))]

    @given(st.binary(max_size=100))
    def test_garbage_never_raises(self, data: bytes) -> None:
        for item in parse_rtcp(data):
            assert isinstance(item, SenderInfo | Bye)


class TestReception:
    def test_loss_and_highest_sequence(self) -> None:
        unwrapper = Unwrapper(16, 65530)
        reception = Reception(1, 90_000, unwrapper.newest)
        for number in range(65530, 65530 + 20):
            if number % 4:
                reception.packet(unwrapper.unwrap(number & 0xFFFF), 0, 0)
        block = reception.report(0)
        assert (block.packets_lost, block.highest_sequence) == (5, 65549)
        assert block.fraction_lost == 5 * 256 // 20
        assert reception.report(0).fraction_lost == 0, "it is told since the last report"

    def test_jitter_is_none_when_packets_keep_their_distance(self) -> None:
        steady, shaky = Reception(1, 90_000, 0), Reception(1, 90_000, 0)
        for number in range(100):
            steady.packet(number, 2**32 - 90_000 + number * 900, number * 10_000_000)
            shaky.packet(number, number * 900, number * 10_000_000 + number % 2 * 5_000_000)
        assert steady.report(0).jitter == 0
        assert 400 < shaky.report(0).jitter <= 450

    def test_the_sender_can_take_the_round_trip_time(self) -> None:
        reception = Reception(1, 90_000, 0)
        assert reception.report(SECOND_NS).last_sr == 0
        reception.sender_report(SenderInfo(1, 0x1234_5678_9ABC_DEF0, 0, 0, 0), SECOND_NS)
        block = reception.report(3 * SECOND_NS // 2)
        assert (block.last_sr, block.delay_since_last_sr) == (0x5678_9ABC, 65536 // 2)


class TestTransportFeedback:
    @given(
        st.integers(0, 65535),
        st.lists(st.tuples(st.integers(1, 30), st.integers(0, 20_000_000_000)), min_size=1, max_size=120),
    )
    def test_every_arrival_is_told_with_its_time(self, first: int, steps: list[tuple[int, int]]) -> None:
        feedback = TransportFeedback()
        true: dict[int, int] = {}
        number, now_ns = first, 5 * SECOND_NS
        for step, wait_ns in steps:
            true[number & 0xFFFF] = now_ns
            feedback.arrived(number & 0xFFFF, 2, now_ns)
            number += step
            now_ns += wait_ns
        told: dict[int, int] = {}
        for packet in feedback.feedback(1):
            assert len(packet) % 4 == 0
            told |= _arrivals(packet)
        assert told.keys() == true.keys()
        assert all(0 <= true[key] - told[key] * 250_000 < 250_000 for key in true)
        assert not feedback.pending

    @given(st.randoms(use_true_random=False))
    def test_overtaking_inside_and_between_reports(self, chance: random.Random) -> None:
        feedback = TransportFeedback()
        order = sorted(range(200), key=lambda number: number + chance.uniform(0, 20))
        told: dict[int, int] = {}
        for place, number in enumerate(order):
            feedback.arrived(number, 2, SECOND_NS + place * 1_000_000)
            if place % 50 == 49:
                for packet in feedback.feedback(1):
                    told |= _arrivals(packet)
        assert {number: (1000 + place) * 4 for place, number in enumerate(order)} == told

    def test_what_is_not_fetched_is_bounded(self) -> None:
        feedback = TransportFeedback()
        for number in range(2 * PENDING_PACKETS_MAX):
            feedback.arrived(number & 0xFFFF, 2, number)
        assert sum(len(_arrivals(packet)) for packet in feedback.feedback(1)) == PENDING_PACKETS_MAX


def _arrivals(packet: bytes) -> dict[int, int]:
    """Read a feedback packet: sequence number -> arrival in ticks of 250 us."""
    first, kind, words, _, _, base, count, reference = struct.unpack_from("!BBHIIHHI", packet)
    assert (first & 31, kind, 4 * words + 4) == (15, 205, len(packet))
    position = 20
    statuses: list[int] = []
    while len(statuses) < count:
        (chunk,) = struct.unpack_from("!H", packet, position)
        position += 2
        if chunk & 0x8000:
            assert chunk & 0x4000, "one-bit vectors are not written"
            statuses += [chunk >> (12 - 2 * place) & 3 for place in range(7)]
        else:
            statuses += [chunk >> 13] * (chunk & 0x1FFF)
    tick = (reference >> 8) * 256
    found = {}
    for place, status in enumerate(statuses[:count]):
        if status == 1:
            tick += packet[position]
            position += 1
        elif status == 2:
            tick += struct.unpack_from("!h", packet, position)[0]
            position += 2
        if status:
            found[base + place & 0xFFFF] = tick
    return found
