"""RTCP: what senders tell us (RFC 3550), and the feedback we give (RFC 4585, RFC 5104)."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
BYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

_HEADER = struct.Struct("!BBH")
_SENDER_INFO = struct.Struct("!IQIII")
_REPORT_BLOCK = struct.Struct("!IIIIII")
_FEEDBACK = struct.Struct("!II")
_NACK_ITEM = struct.Struct("!HH")
_FIR_ITEM = struct.Struct("!IB3x")

_NACK_FORMAT = 1
_PLI_FORMAT = 1
_FIR_FORMAT = 4
_CNAME = 1
REPORT_BLOCKS_MAX = 31  # five bits of count


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """A sender report: `ntp_timestamp` is 32.32 fixed point seconds since 1900."""

    ssrc: int
    ntp_timestamp: int
    rtp_timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Bye:
    """These sources stop sending."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """Reception of one source (RFC 3550 6.4.1); `fraction_lost` in 1/256, `jitter` in timestamp units."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_sr: int
    delay_since_last_sr: int  # 1/65536 s


def parse_rtcp(data: bytes) -> Iterator[SenderInfo | Bye]:
    """Yield what matters of a compound packet; whatever is malformed ends it, other types are skipped."""
    position = 0
    while position + 4 <= len(data):
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            return
        body = data[position + 4 : end]
        position = end
        if kind == SENDER_REPORT and len(body) >= _SENDER_INFO.size:
            yield SenderInfo(*_SENDER_INFO.unpack_from(body))
        elif kind == BYE:
            count = min(first & 31, len(body) // 4)
            yield Bye(struct.unpack_from(f"!{count}I", body))


def receiver_report(ssrc: int, blocks: Iterable[ReportBlock] = ()) -> bytes:
    """An RR; the first REPORT_BLOCKS_MAX blocks are told."""
    body = struct.pack("!I", ssrc)
    count = 0
    for block in blocks:
        if count == REPORT_BLOCKS_MAX:
            break
        count += 1
        lost = max(-0x800000, min(0x7FFFFF, block.packets_lost)) & 0xFFFFFF
        body += _REPORT_BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | lost,
            block.highest_sequence & 0xFFFFFFFF,
            min(block.jitter, 0xFFFFFFFF),
            block.last_sr,
            min(block.delay_since_last_sr, 0xFFFFFFFF),
        )
    return pack(RECEIVER_REPORT, count, body)


def source_description(ssrc: int, cname: str) -> bytes:
    """An SDES with the CNAME that every compound packet carries."""
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, _CNAME, len(name)) + name
    return pack(SOURCE_DESCRIPTION, 1, item + bytes(4 - len(item) % 4))


def nack(ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """A generic NACK (RFC 4585 6.2.1) for ascending, extended sequence numbers."""
    items: list[list[int]] = []
    for sequence in sequences:
        if items and 0 < sequence - items[-1][0] <= 16:
            items[-1][1] |= 1 << (sequence - items[-1][0] - 1)
        else:
            items.append([sequence, 0])
    body = b"".join(_NACK_ITEM.pack(first & 0xFFFF, mask) for first, mask in items)
    return pack(TRANSPORT_FEEDBACK, _NACK_FORMAT, _FEEDBACK.pack(ssrc, media_ssrc) + body)


def picture_loss_indication(ssrc: int, media_ssrc: int) -> bytes:
    """A PLI (RFC 4585 6.3.1): please send a key frame, a picture was lost."""
    return pack(PAYLOAD_FEEDBACK, _PLI_FORMAT, _FEEDBACK.pack(ssrc, media_ssrc))


def full_intra_request(ssrc: int, media_ssrc: int, command: int) -> bytes:
    """A FIR (RFC 5104 4.3.1); `command` counts the requests to this source."""
    item = _FIR_ITEM.pack(media_ssrc, command & 0xFF)
    return pack(PAYLOAD_FEEDBACK, _FIR_FORMAT, _FEEDBACK.pack(ssrc, 0) + item)


def pack(kind: int, count: int, body: bytes) -> bytes:
    """One RTCP packet; `body` is whole 32-bit words."""
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
