"""The RTP header and its extensions."""

import pytest
from aiortc.rtp import RtpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.wire.packet import parse_rtp
from tests.support.rtp import one_byte_extension, packet, rtp_bytes, two_byte_extension


@given(
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    marker=st.booleans(),
    payload=st.binary(max_size=64),
    csrc=st.lists(st.integers(0, 2**32 - 1), max_size=15),
    elements=st.none() | st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=4),
    padding=st.integers(0, 255),
)
def test_every_field_is_read_back(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    marker: bool,
    payload: bytes,
    csrc: list[int],
    elements: dict[int, bytes] | None,
    padding: int,
) -> None:
    data = rtp_bytes(
        payload_type=payload_type,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        marker=marker,
        payload=payload,
        csrc=csrc,
        extension=None if elements is None else one_byte_extension(elements),
        padding=padding,
    )
    # The buffer is longer than the packet, as the transport's own is.
    read = parse_rtp(data + b"\xff" * 8, len(data), 5)
    assert read is not None
    assert (read.payload_type, read.sequence, read.timestamp, read.ssrc, read.marker, read.payload) == (
        payload_type,
        sequence,
        timestamp,
        ssrc,
        marker,
        payload,
    )
    assert read.arrival_ns == 5
    assert dict(read.header_extensions()) == (elements or {})


@given(st.binary(max_size=80))
def test_garbage_is_refused_wherever_aiortc_refuses_it(data: bytes) -> None:
    read = parse_rtp(data, len(data), 0)
    try:
        expected = AiortcPacket.parse(data)
    except ValueError:
        expected = None
    if expected is None:
        assert read is None or read.extension, "only what is wrong inside an extension is let through"
    elif read is not None:
        assert read.payload == expected.payload
        list(read.header_extensions())


@given(st.binary(max_size=40), st.sampled_from([0xBEDE, 0x1000, 0x100F, 0x1234]))
def test_garbage_in_extensions_ends_them(elements: bytes, profile: int) -> None:
    found = list(packet(extension=(profile, elements)).header_extensions())
    assert sum(len(value) for _, value in found) <= len(elements) + 3, "with the padding to whole words"


def test_two_byte_extensions_are_read_too() -> None:
    elements = {1: b"", 20: b"a" * 40}
    assert dict(packet(extension=two_byte_extension(elements)).header_extensions()) == elements


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),  # version 0
        rtp_bytes()[:11],
        rtp_bytes(csrc=[1, 2])[:19],
        rtp_bytes(extension=(0xBEDE, b"abcd"))[:15],
        rtp_bytes(extension=(0xBEDE, b"abcd"))[:18],
        rtp_bytes(payload=b"abc", padding=4)[:-1] + b"\x00",
        rtp_bytes(payload=b"abc", padding=4)[:-1] + b"\x08",
    ],
)
def test_what_is_cut_short_is_no_packet(data: bytes) -> None:
    assert parse_rtp(data, len(data), 0) is None
