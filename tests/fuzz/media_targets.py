"""What reads a publisher's bytes behind the signalling: datagrams, payloads, headers of coded pictures."""

import asyncio
import struct
from collections import Counter
from contextlib import suppress
from functools import cache
from typing import Any

import aioice
from aioice import stun
from OpenSSL import SSL

from media.handover.encoded_frame import Codec, EncodedFrame
from media.hls.playlist import vod_playlist
from media.hls.seek_index import NoIndexError, header_bytes, read_places
from media.isobmff.box_reader import MalformedError
from media.rtp.depacketizers.assembler import FRAME_BYTES_MAX, assembler_for, starts_frame
from media.rtp.wire.packet import RtpPacket
from media.video.coded_size import coded_size
from media.video.headers.size import UnreadableHeaderError
from media.webrtc.dtls import Certificate, IceLink, has_plaintext_alert
from media.webrtc.ice import UNANSWERED_CHECKS_MAX, CheckAllowance, IceConnection
from recorder.kernel.clock import ManualClock
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork
from tests.fuzz.pieces import Pieces

CODECS = (Codec.H264, Codec.VP8, Codec.VP9, Codec.AV1)
PACKETS_MAX = 64
REMOTE = ("127.0.0.1", 40_000)


def payload_format(data: bytes) -> None:
    """The first byte is the codec; a piece's number says marker, a new timestamp, and how many were lost."""
    pieces = Pieces(data)
    codec = (*CODECS, Codec.OPUS)[pieces.number() % 5]
    frames: list[EncodedFrame] = []
    dropped: Counter[str] = Counter()
    assembler = assembler_for(codec, frames.append, lambda reason: dropped.update((reason,)))
    timestamp = sequence = 0
    for (how, payload), _ in zip(pieces, range(PACKETS_MAX), strict=False):
        timestamp += how >> 1 & 1
        lost = how >> 4
        sequence += 1 + lost
        starts_frame(codec, payload)
        packet = RtpPacket(96, bool(how & 1), sequence & 0xFFFF, timestamp, 1, payload, sequence)
        assembler.push(packet, timestamp, lost)
    assert all(0 < len(frame.data) <= 2 * FRAME_BYTES_MAX for frame in frames)


def codec_header(data: bytes) -> None:
    """The first byte is the codec."""
    with suppress(UnreadableHeaderError):
        size = coded_size(CODECS[data[0] % 4], data[1:]) if data else None
        assert size is None or (size.pictures <= 19 and size.decoder_bytes >= 0)


def playlist(data: bytes) -> None:
    """The head of a file in the store, as playlists are made of it."""
    header_bytes(data)
    with suppress(NoIndexError, MalformedError):
        placed = read_places(data)
        if placed is not None:
            vod_playlist("media", placed.header_bytes, placed.fragments, init_offset=placed.header_offset)


class _Wire:
    """Counts what would be sent, and where."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[str, int]] = Counter()

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        self.sent[address] += 1


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


async def _ice(wire: _Wire) -> tuple[IceConnection, Any]:
    connection = IceConnection(
        network=MediaNetwork(interfaces=["127.0.0.1"]),
        servers=(),
        policy=IceTransportPolicy.ALL,
        clock=ManualClock(),
        on_media=lambda media, arrival_ns: None,
        on_dtls=lambda records: None,
        on_consent=lambda round_trip_ns: None,
        drop=lambda reason: None,
        allowance=CheckAllowance(),
        controlling=False,
    )
    connection._local_username, connection._local_password = "ours", "o" * 22
    protocol = aioice.ice.StunProtocol(connection)
    protocol.local_candidate = aioice.Candidate.from_sdp("1 1 udp 1 127.0.0.1 30000 typ host")
    protocol.transport = wire  # type: ignore[assignment]
    connection._protocols.append(protocol)
    connection.set_remote("them", "t" * 22, lite=False)
    connection._early_checks_done = True
    return connection, protocol


def stun_message(data: bytes) -> None:
    """A piece is a datagram; its number says from which port, and whether it is signed as the peer would."""
    asyncio.set_event_loop(_loop())
    _loop().run_until_complete(_stun(data))


async def _stun(data: bytes) -> None:
    wire = _Wire()
    connection, protocol = await _ice(wire)
    for (how, datagram), _ in zip(Pieces(data), range(PACKETS_MAX), strict=False):
        address = (REMOTE[0], REMOTE[1] + (how & 0x0F))
        connection._datagram_received(protocol.datagram_received, _signed(datagram, how), address, 1)
    await asyncio.sleep(0)
    for pair in connection._check_list:
        if pair.task is not None:
            pair.task.cancel()
    await asyncio.gather(*(p.task for p in connection._check_list if p.task), return_exceptions=True)
    assert sum(wire.sent.values()) <= 3 * PACKETS_MAX + UNANSWERED_CHECKS_MAX


def _signed(datagram: bytes, how: int) -> bytes:
    if not how & 0x80:
        return datagram
    with suppress(ValueError, KeyError, IndexError, AssertionError, OverflowError, struct.error):
        message = stun.parse_message(datagram)
        message.attributes["USERNAME"] = "ours:them"
        message.add_message_integrity(b"o" * 22)
        return bytes(message)
    return datagram


@cache
def _dtls_context() -> SSL.Context:
    from aiortc.rtcdtlstransport import SRTP_PROFILES

    certificate = Certificate.generateCertificate()
    return certificate._create_ssl_context(SRTP_PROFILES)


def dtls_records(data: bytes) -> None:
    """A piece is a datagram: to our queue, and to OpenSSL as a server or, by the first byte, as a client."""
    pieces = Pieces(data)
    server = pieces.number() & 1
    link = IceLink(lambda reason: None)
    connection = SSL.Connection(_dtls_context(), None)
    connection.set_accept_state() if server else connection.set_connect_state()
    for (_, datagram), _ in zip(pieces, range(PACKETS_MAX), strict=False):
        has_plaintext_alert(datagram)
        link.dtls_received(datagram)
        with suppress(SSL.Error):
            connection.bio_write(datagram)
            connection.do_handshake()
