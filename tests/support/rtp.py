"""RTP packets for tests, built byte by byte, and H.264 and VP8 payloads that say which frame they are of."""

import struct
from collections.abc import Iterable

from media.rtp.wire.packet import RtpPacket, parse_rtp


def rtp_bytes(
    *,
    payload_type: int = 96,
    sequence: int = 0,
    timestamp: int = 0,
    ssrc: int = 1,
    marker: bool = False,
    payload: bytes = b"",
    csrc: Iterable[int] = (),
    extension: tuple[int, bytes] | None = None,
    padding: int = 0,
) -> bytes:
    """One packet as on the wire; `extension` is (profile, elements), elements padded to whole words."""
    sources = list(csrc)
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension is not None else 0) | len(sources)
    second = (0x80 if marker else 0) | payload_type
    data = struct.pack("!BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    data += b"".join(struct.pack("!I", source) for source in sources)
    if extension is not None:
        profile, elements = extension
        elements += bytes(-len(elements) % 4)
        data += struct.pack("!HH", profile, len(elements) // 4) + elements
    data += payload
    if padding:
        data += bytes(padding - 1) + bytes([padding])
    return data


def one_byte_extension(elements: dict[int, bytes]) -> tuple[int, bytes]:
    """RFC 8285 4.2."""
    return 0xBEDE, b"".join(bytes([key << 4 | len(value) - 1]) + value for key, value in elements.items())


def two_byte_extension(elements: dict[int, bytes]) -> tuple[int, bytes]:
    """RFC 8285 4.3."""
    return 0x1000, b"".join(bytes([key, len(value)]) + value for key, value in elements.items())


def packet(*, arrival_ns: int = 0, **fields: object) -> RtpPacket:
    """The same, parsed."""
    data = rtp_bytes(**fields)  # type: ignore[arg-type]
    parsed = parse_rtp(data, len(data), arrival_ns)
    assert parsed is not None
    return parsed


def vp8_frame(number: int, parts: int, *, keyframe: bool, picture_id: int | None = None) -> list[bytes]:
    """The payloads of one frame, each telling the frame's number and its own place."""
    header = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00" if keyframe else b"\x11\x02\x00"
    payloads = []
    for part in range(parts):
        start = 0x10 if part == 0 else 0
        if picture_id is None:
            descriptor = bytes([start])
        else:
            descriptor = bytes([0x80 | start, 0x80]) + struct.pack("!H", 0x8000 | picture_id & 0x7FFF)
        payloads.append(descriptor + (header if part == 0 else b"") + struct.pack("!IB", number, part))
    return payloads


def h264_frame(number: int, parts: int, *, keyframe: bool) -> list[bytes]:
    """One access unit: SPS and PPS in a STAP-A before a key frame, its slice in one packet or in FU-A."""
    kind = 5 if keyframe else 1
    body = b"\x88" + struct.pack("!I", number)  # first_mb_in_slice is 0
    payloads = []
    if keyframe:
        sps, pps = b"\x67\x42\xe0\x1f\x8c\x8d", b"\x68\xce\x3c\x80"
        payloads.append(b"\x18" + struct.pack("!H", len(sps)) + sps + struct.pack("!H", len(pps)) + pps)
    if parts == 1:
        return [*payloads, bytes([0x60 | kind]) + body]
    for part in range(parts):
        flags = (0x80 if part == 0 else 0) | (0x40 if part == parts - 1 else 0)
        payloads.append(bytes([0x7C, flags | kind]) + (body if part == 0 else bytes([part])))
    return payloads
