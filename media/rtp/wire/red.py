"""Redundant audio (RFC 2198): a packet that brings those before it along."""

from media.rtp.wire.packet import RtpPacket

_HEADER_BYTES = 4
REDUNDANT_BLOCKS_MAX = 8  # more are no sender's that anybody knows


def split_red(packet: RtpPacket) -> tuple[RtpPacket, list[RtpPacket]] | None:
    """The packet itself and, oldest first, those before it that it repeats; None when it is malformed.

    What is repeated are the packets that were sent directly before, so their sequence numbers are known.
    """
    payload, position = packet.payload, 0
    blocks: list[tuple[int, int, int]] = []  # payload type, how much older, length
    while position < len(payload) and payload[position] & 0x80:
        if position + _HEADER_BYTES > len(payload) or len(blocks) == REDUNDANT_BLOCKS_MAX:
            return None
        word = int.from_bytes(payload[position + 1 : position + _HEADER_BYTES], "big")
        blocks.append((payload[position] & 0x7F, word >> 10, word & 0x3FF))
        position += _HEADER_BYTES
    if position >= len(payload):
        return None
    primary_type, position = payload[position] & 0x7F, position + 1
    repeated = []
    for index, (payload_type, older, length) in enumerate(blocks):
        data = payload[position : position + length]
        if len(data) < length:
            return None
        position += length
        if data:
            repeated.append(_block(packet, payload_type, len(blocks) - index, older, data))
    return _block(packet, primary_type, 0, 0, payload[position:]), repeated


def _block(packet: RtpPacket, payload_type: int, before: int, older: int, data: bytes) -> RtpPacket:
    return RtpPacket(
        payload_type,
        packet.marker,
        (packet.sequence - before) & 0xFFFF,
        (packet.timestamp - older) & 0xFFFFFFFF,
        packet.ssrc,
        data,
        packet.arrival_ns,
    )
