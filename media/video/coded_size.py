"""Sizes of coded pictures, read from their headers before any decoder sees them. Pure.

What a decoder allocates is decided by a few bytes that somebody else sends: width, height, how many pictures
it has to remember, and how finely colours are kept. Every header is read in time proportional to its frame.
"""

from media.handover.encoded_frame import Codec
from media.video.headers.av1 import av1_size
from media.video.headers.bit_reader import EndOfBitsError
from media.video.headers.h264 import h264_size
from media.video.headers.size import CodedSize, UnreadableHeaderError
from media.video.headers.vp8 import vp8_size
from media.video.headers.vp9 import vp9_size


def coded_size(codec: Codec, data: bytes) -> CodedSize | None:
    """The size that this frame announces; None where it announces none. Raises UnreadableHeaderError."""
    try:
        match codec:
            case Codec.H264:
                return h264_size(data)
            case Codec.VP8:
                return vp8_size(data)
            case Codec.VP9:
                return vp9_size(data)
            case Codec.AV1:
                return av1_size(data)
            case _:
                return None
    except EndOfBitsError as error:
        raise UnreadableHeaderError("a header ends in its middle") from error
