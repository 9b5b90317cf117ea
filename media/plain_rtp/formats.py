"""Media formats of plain RTP: what was agreed on beforehand, without offer and answer. Pure."""

from media.handover.encoded_frame import Codec
from media.rtp.formats import MediaFormat, PayloadFormat
from recorder.kernel.connectors.source import RtpCodec, RtpSource, RtpStream

_CODECS = {
    RtpCodec.OPUS: Codec.OPUS,
    RtpCodec.VP8: Codec.VP8,
    RtpCodec.VP9: Codec.VP9,
    RtpCodec.H264: Codec.H264,
    RtpCodec.AV1: Codec.AV1,
}


def formats(source: RtpSource) -> tuple[MediaFormat, ...]:
    """One section for each stream; senders of plain RTP are asked for key frames, and not for packets."""
    return tuple(_format(stream) for stream in source.streams)


def _format(stream: RtpStream) -> MediaFormat:
    codec, number = _CODECS[stream.codec], stream.payload_type
    payload = PayloadFormat(number, codec, pli=codec.is_video)
    return MediaFormat(
        mid="video" if codec.is_video else "audio", video=codec.is_video, payloads={number: payload}
    )
