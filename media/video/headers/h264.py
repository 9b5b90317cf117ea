"""The size in an H.264 access unit (ITU-T H.264 annex B). Pure."""

from collections.abc import Iterator

from media.video.headers.sequence_parameter_set import read_parameter_set
from media.video.headers.size import CodedSize, UnreadableHeaderError

_UNITS_MAX = 512  # of one picture: encoders make a slice a core, or one a packet
_PARAMETER_SET_BYTES_MAX = 1024  # with all scaling lists and every option, some 300
_SPS = 7


def h264_size(access_unit: bytes) -> CodedSize | None:
    """The largest of what its sequence parameter sets say, wherever they stand: a decoder takes each."""
    sizes = [read_parameter_set(unit) for unit in _nal_units(access_unit) if unit[0] & 0x1F == _SPS]
    return max(sizes, key=lambda size: size.decoder_bytes, default=None)


def _nal_units(data: bytes) -> Iterator[bytes]:
    """The first bytes of each unit, as many as a parameter set may have."""
    position, count = data.find(b"\0\0\1"), 0
    while position >= 0 and position + 3 < len(data):
        count += 1
        if count > _UNITS_MAX:
            raise UnreadableHeaderError("an access unit has too many units")
        start = position + 3
        position = data.find(b"\0\0\1", start)
        end = len(data) if position < 0 else position
        if end > start:
            yield data[start : min(end, start + _PARAMETER_SET_BYTES_MAX)]
