"""Redundant audio: packets that bring those before them along."""

from hypothesis import given
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from media.rtp.receiver import RtpReceiver
from media.rtp.ssrc_receiver import SsrcCounters
from media.rtp.wire.red import split_red
from tests.support.recording_sink import RecordingSink
from tests.support.rtp import packet

OPUS_TYPE, RED_TYPE, STEP = 111, 63, 960
RED = PayloadFormat(RED_TYPE, Codec.OPUS, repeats=OPUS_TYPE)
WAIT_NS = 1_000_000_000


def red(number: int, depth: int) -> bytes:
    """The payload of that number, and as many before it."""
    repeated = range(max(0, number - depth), number)
    heads = b"".join(
        bytes([0x80 | OPUS_TYPE]) + ((number - one) * STEP << 10 | len(sound(one))).to_bytes(3, "big")
        for one in repeated
    )
    return heads + bytes([OPUS_TYPE]) + b"".join(map(sound, repeated)) + sound(number)


def sound(number: int) -> bytes:
    return bytes([0x78, *number.to_bytes(2, "big")])


def received(numbers: list[int], depth: int) -> tuple[list[bytes], SsrcCounters]:
    """What comes out where only these packets come in."""
    sink, counters = RecordingSink(), SsrcCounters()
    stream = RtpReceiver(
        "key",
        MediaFormat("0", False, {RED_TYPE: RED}),
        wait_ns=WAIT_NS,
        sink=sink,
        counters=counters,
        feedback_due=lambda stream: None,
    )
    for number in numbers:
        sent = packet(payload=red(number, depth), sequence=65530 + number, timestamp=number * STEP)
        stream.receive(sent, RED, None)
    stream.end()
    return [frame.data for frame in sink.audio()], counters


def test_a_packet_is_split_into_itself_and_those_before_it() -> None:
    split = split_red(packet(payload=red(7, 2), sequence=7, timestamp=7 * STEP))
    assert split is not None
    primary, repeated = split
    assert (primary.payload, primary.sequence, primary.timestamp) == (sound(7), 7, 7 * STEP)
    assert [(one.payload, one.sequence, one.timestamp) for one in repeated] == [
        (sound(5), 5, 5 * STEP),
        (sound(6), 6, 6 * STEP),
    ]


@given(st.sets(st.integers(1, 40), max_size=12), st.integers(1, 3))
def test_whatever_a_later_packet_repeats_is_there_once_and_in_order(lost: set[int], depth: int) -> None:
    came = [number for number in range(45) if number not in lost]
    frames, counters = received(came, depth)
    had = sorted({one for number in came for one in range(max(0, number - depth), number + 1)})
    assert frames == [sound(number) for number in had]
    assert counters.recovered == len(had) - len(came)


@given(st.binary(max_size=40))
def test_nonsense_is_dropped(data: bytes) -> None:
    split = split_red(packet(payload=data))
    assert split is None or len(split[0].payload) <= len(data)
