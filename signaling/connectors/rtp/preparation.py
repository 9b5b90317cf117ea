"""What the recorder gives out for plain RTP: ports that are free, and a key for its reports."""

import secrets
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterator

import msgspec

from recorder.kernel.connectors.source import RtpCodec, RtpSource, RtpStream, SrtpKeys
from recorder.kernel.errors import caller_error
from signaling.connectors.rtp.ports import PortsHeld, RtpPlace, given_out
from signaling.connectors.targets import ConnectorTargets


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


def prepared(source: RtpSource, place: RtpPlace, held: PortsHeld) -> RtpSource:
    """The source with ports that are free now and nobody's; raises what `given_out` raises."""
    ports = given_out(source, place, held)
    audio, video = source.audio, source.video
    if audio is not None:
        audio = _at(audio, ports)
    if video is not None:
        video = _at(video, ports)
    srtp = None if source.srtp is None else _with_key_back(source.srtp)
    return msgspec.structs.replace(source, audio=audio, video=video, srtp=srtp)


def _at(stream: RtpStream, ports: Iterator[int]) -> RtpStream:
    return msgspec.structs.replace(stream, port=stream.port or next(ports))


def _with_key_back(keys: SrtpKeys) -> SrtpKeys:
    made = b64encode(secrets.token_bytes(keys.suite.key_bytes)).decode()
    return msgspec.structs.replace(keys, key_back=keys.key_back or made)


def _is_key(text: str, size: int) -> bool:
    try:
        return len(b64decode(text, validate=True)) == size
    except (Error, ValueError):
        return False
