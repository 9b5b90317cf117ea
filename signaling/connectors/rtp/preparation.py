"""What the recorder gives out for plain RTP: ports that are free, and a key for its reports."""

import secrets
import socket
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterator

import msgspec

from recorder.kernel.connectors.source import RtpCodec, RtpSource, RtpStream, SrtpKeys
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.network.media import PortRange
from signaling.connectors.targets import ConnectorTargets

ANY_PORTS = PortRange(20_000, 59_999)  # even ones with those after them
TRIES_MAX = 200


class RtpPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where this node receives plain RTP, and what others call that."""

    address: str  # of this machine
    announced: str
    ports: PortRange = ANY_PORTS


def check_rtp(source: RtpSource, targets: ConnectorTargets) -> None:
    """Raises BystanderError: 422 invalid_address, invalid_key, invalid_streams, 403 target_not_allowed."""
    for sender in source.senders:
        targets.check_address(sender)
    audio_is_audio = source.audio is None or source.audio.codec is RtpCodec.OPUS
    video_is_video = source.video is None or source.video.codec is not RtpCodec.OPUS
    types = [stream.payload_type for stream in source.streams]
    if not types or len(set(types)) < len(types) or not (audio_is_audio and video_is_video):
        detail = "Sound or pictures are needed, each in a codec of its kind, with its own payload type."
        raise caller_error("invalid_streams", detail, status=422)
    for key in () if source.srtp is None else (source.srtp.key, source.srtp.key_back):
        if key is not None and source.srtp is not None and not _is_key(key, source.srtp.suite.key_bytes):
            raise caller_error("invalid_key", "An SRTP key is the key and its salt in Base64.", status=422)


def prepared(source: RtpSource, place: RtpPlace, taken: set[int]) -> RtpSource:
    """The source with ports that are free now and not among those `taken`; 503 media_ports_exhausted."""
    ports = _free(source, place, taken)
    audio, video = source.audio, source.video
    if audio is not None:
        audio = _at(audio, ports)
    if video is not None:
        video = _at(video, ports)
    srtp = None if source.srtp is None else _with_key_back(source.srtp)
    return msgspec.structs.replace(source, audio=audio, video=video, srtp=srtp)


def ports_of(source: RtpSource) -> set[int]:
    """The RTP ports that it has."""
    return {stream.port for stream in source.streams if stream.port}


def _at(stream: RtpStream, ports: Iterator[int]) -> RtpStream:
    return msgspec.structs.replace(stream, port=stream.port or next(ports))


def _free(source: RtpSource, place: RtpPlace, taken: set[int]) -> Iterator[int]:
    taken = taken | ports_of(source)
    first, count = place.ports.first + place.ports.first % 2, (place.ports.last - place.ports.first + 1) // 2
    for _ in range(TRIES_MAX if count > 0 else 0):
        port = first + 2 * secrets.randbelow(count)
        if port not in taken and port + 1 <= place.ports.last and _is_free(place.address, port):
            taken.add(port)
            yield port
    detail = "No two ports beside each other are free for RTP (connectors.rtp_port_min to rtp_port_max)."
    raise BystanderError("media_ports_exhausted", detail, fault=Fault.RESOURCE, status=503)


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for number in (port, port + 1):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, number))
            except OSError:
                return False
    return True


def _with_key_back(keys: SrtpKeys) -> SrtpKeys:
    made = b64encode(secrets.token_bytes(keys.suite.key_bytes)).decode()
    return msgspec.structs.replace(keys, key_back=keys.key_back or made)


def _is_key(text: str, size: int) -> bool:
    try:
        return len(b64decode(text, validate=True)) == size
    except (Error, ValueError):
        return False
