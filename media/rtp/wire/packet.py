"""The RTP header (RFC 3550 5.1) and its extensions (RFC 8285), read straight from the receive buffer."""

import struct
from collections.abc import Iterator
from typing import Protocol

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE = 0x1000  # the low four bits are "appbits"

HEADER_BYTES = _HEADER.size


class PacketBuffer(Protocol):
    """What a packet is read from: `bytes`, or the transport's own reusable buffer."""

    def __getitem__(self, index: slice, /) -> bytes: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...


class RtpPacket:
    """One RTP packet. `payload` has no padding; `sequence` and `timestamp` are as on the wire."""

    __slots__ = (
        "arrival_ns",
        "extension",
        "extension_profile",
        "marker",
        "payload",
        "payload_type",
        "sequence",
        "ssrc",
        "timestamp",
    )

    def __init__(
        self,
        payload_type: int,
        marker: bool,
        sequence: int,
        timestamp: int,
        ssrc: int,
        payload: bytes,
        arrival_ns: int,
        extension_profile: int = 0,
        extension: bytes = b"",
    ) -> None:
        self.payload_type = payload_type
        self.marker = marker
        self.sequence = sequence
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.payload = payload
        self.arrival_ns = arrival_ns
        self.extension_profile = extension_profile
        self.extension = extension

    def __repr__(self) -> str:
        return (
            f"RtpPacket(pt={self.payload_type} seq={self.sequence} ts={self.timestamp} ssrc={self.ssrc:08x} "
            f"{len(self.payload)} bytes{' M' if self.marker else ''})"
        )

    def header_extensions(self) -> Iterator[tuple[int, bytes]]:
        """The (id, value) elements, one-byte or two-byte form; a truncated element ends them."""
        if not self.extension:
            return iter(())
        if self.extension_profile == _ONE_BYTE_PROFILE:
            return _one_byte_elements(self.extension)
        if self.extension_profile & 0xFFF0 == _TWO_BYTE_PROFILE:
            return _two_byte_elements(self.extension)
        return iter(())


def parse_rtp(buffer: PacketBuffer, length: int, arrival_ns: int) -> RtpPacket | None:
    """Read the packet in the first `length` bytes of `buffer`; None when that is no RTP packet."""
    if length < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(buffer)
    if first >> 6 != 2:
        return None
    start = HEADER_BYTES + 4 * (first & 0x0F)
    profile = 0
    extension = b""
    if first & 0x10:
        if start + 4 > length:
            return None
        profile, words = _EXTENSION.unpack_from(buffer, start)
        start += 4
        extension = buffer[start : min(start + 4 * words, length)]
        start += 4 * words
    if start > length:
        return None
    if first & 0x20:
        if start == length:
            return None
        padding = buffer[length - 1 : length][0]
        if padding == 0 or start + padding > length:
            return None
        length -= padding
    return RtpPacket(
        second & 0x7F,
        second > 127,
        sequence,
        timestamp,
        ssrc,
        buffer[start:length],
        arrival_ns,
        profile,
        extension,
    )


def _one_byte_elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        identifier = data[position] >> 4
        if data[position] == 0:  # padding
            position += 1
            continue
        end = position + 2 + (data[position] & 0x0F)
        if identifier == 15 or end > len(data):  # RFC 8285 4.2: 15 ends the processing
            return
        yield identifier, data[position + 1 : end]
        position = end


def _two_byte_elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if data[position] == 0:
            position += 1
            continue
        if position + 2 > len(data) or position + 2 + data[position + 1] > len(data):
            return
        end = position + 2 + data[position + 1]
        yield data[position], data[position + 2 : end]
        position = end
