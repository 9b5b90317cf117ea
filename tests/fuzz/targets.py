"""What reads the bytes of strangers, each as a function of bytes that raises nothing but a refusal."""

import io
from collections.abc import Callable
from contextlib import suppress

import msgspec

from media.check.report import Problems
from media.check.structure import Structure
from media.rtp.wire.packet import parse_rtp
from media.rtp.wire.red import split_red
from media.rtp.wire.rtcp import parse_rtcp
from media.rtp.wire.rtx import unwrap_rtx
from media.sdp.offer import read_fragment, read_offer
from recorder.kernel.errors import BystanderError
from recorder.kernel.network.addresses import share_of
from signaling.api.conversation.conversations import CreateConversation, SearchQuery
from signaling.http.bodies import convert_query
from signaling.http.ranges import matches_weakly, parse_entity_tags, parse_range
from signaling.room.core.messages import decode_client, decode_hello
from signaling.whip.accept import accepts
from storage.spool.format import is_box_sequence, scan
from tests.fuzz.media_targets import codec_header, dtls_records, payload_format, playlist, stun_message
from tests.fuzz.whip_target import whip_sequence

Target = Callable[[bytes], None]


def sdp_offer(data: bytes) -> None:
    with suppress(BystanderError):
        read_offer(data.decode("utf-8", "replace"))


def sdp_fragment(data: bytes) -> None:
    with suppress(BystanderError):
        read_fragment(data.decode("utf-8", "replace"))


def rtp(data: bytes) -> None:
    packet = parse_rtp(bytearray(data), len(data), 0)
    if packet is not None:
        split_red(packet)
        unwrap_rtx(packet, 96, 1)


def rtcp(data: bytes) -> None:
    list(parse_rtcp(data))


def room_message(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for decode in (decode_hello, decode_client):
        with suppress(msgspec.DecodeError, RecursionError):
            decode(text)


def json_body(data: bytes) -> None:
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msgspec.json.decode(data, type=CreateConversation)


def query(data: bytes) -> None:
    parts = data.decode("utf-8", "replace").split("&")
    values = dict(part.partition("=")[::2] for part in parts)
    with suppress(BystanderError):
        convert_query(values, SearchQuery)


def headers(data: bytes) -> None:
    text = data.decode("latin-1")
    accepts(text, "application/sdp")
    parse_entity_tags(text)
    matches_weakly(text, '"a"')
    share_of(text)
    with suppress(BystanderError):
        parse_range(text, 1000)


def spool_index(data: bytes) -> None:
    scan(data, media_size=len(data))
    is_box_sequence(data)


def recorded_file(data: bytes) -> None:
    with suppress(BystanderError):
        Structure(io.BytesIO(data), Problems()).read()


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        sdp_offer,
        sdp_fragment,
        rtp,
        rtcp,
        room_message,
        json_body,
        query,
        headers,
        spool_index,
        recorded_file,
        playlist,
        payload_format,
        codec_header,
        stun_message,
        dtls_records,
        whip_sequence,
    )
}
