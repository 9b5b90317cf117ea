"""The size in a VP9 key frame (bitstream specification 6.2). Pure."""

from media.video.headers.bit_reader import BitReader
from media.video.headers.size import CodedSize, UnreadableHeaderError

_PICTURES = 10  # eight reference slots
_SYNC_CODE, _RGB = 0x498342, 7


def vp9_size(frame: bytes) -> CodedSize | None:
    """The size that a key frame announces; None of others."""
    bits = BitReader(frame[:32])
    if bits.take(2) != 2:
        raise UnreadableHeaderError("no VP9 frame")
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    if bits.take(2):  # show_existing_frame, or no key frame
        return None
    bits.take(2)
    if bits.take(24) != _SYNC_CODE:
        raise UnreadableHeaderError("a VP9 key frame without its sync code")
    samples = _samples(bits, profile)
    return CodedSize(bits.take(16) + 1, bits.take(16) + 1, _PICTURES, samples)


def _samples(bits: BitReader, profile: int) -> float:
    """Bytes of a pixel, from color_config."""
    if profile >= 2:
        bits.take(1)
    if bits.take(3) != _RGB:
        bits.take(1)
        if profile in (1, 3):
            bits.take(3)
    elif profile in (1, 3):
        bits.take(1)
    return (1.5, 3.0, 3.0, 6.0)[profile]
