"""The size in a VP8 key frame (RFC 6386 9.1). Pure."""

from media.video.headers.size import CodedSize

_PICTURES = 5  # three references (RFC 6386 9.7), the one being decoded, the one shown


def vp8_size(frame: bytes) -> CodedSize | None:
    """The size that a key frame announces; None of others."""
    if len(frame) < 10 or frame[0] & 1:
        return None
    width, height = (frame[6] | frame[7] << 8) & 0x3FFF, (frame[8] | frame[9] << 8) & 0x3FFF
    return CodedSize(width, height, _PICTURES)
