"""Retransmissions (RFC 4588): the original sequence number before the original payload."""

from media.rtp.wire.packet import RtpPacket


def unwrap_rtx(packet: RtpPacket, payload_type: int, ssrc: int) -> RtpPacket | None:
    """The packet as it was first sent; None for padding, which some senders probe with."""
    payload = packet.payload
    if len(payload) < 2:
        return None
    return RtpPacket(
        payload_type,
        packet.marker,
        payload[0] << 8 | payload[1],
        packet.timestamp,
        ssrc,
        payload[2:],
        packet.arrival_ns,
    )
