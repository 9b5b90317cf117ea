"""The sequence parameter set of H.264 (ITU-T H.264 7.3.2.1.1). Pure."""

from media.video.headers.bit_reader import BitReader
from media.video.headers.size import CodedSize, UnreadableHeaderError
from media.video.headers.usability_information import read_reordered_pictures

_WORKING = 3  # pictures besides the references: the one being decoded, the one shown, one for its pool
_FINE_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def read_parameter_set(unit: bytes) -> CodedSize:
    """The size that a NAL unit with a sequence parameter set announces."""
    bits = BitReader(unit[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.take(8)
    bits.take(16)  # constraint flags, level: what it allows is more than we do
    bits.exp_golomb()  # id
    chroma, depth = _read_chroma(bits) if profile in _FINE_PROFILES else (1, 8)
    bits.exp_golomb()  # log2_max_frame_num_minus4
    _skip_order_count(bits)
    references = bits.exp_golomb()
    bits.take(1)
    width, height = bits.exp_golomb() + 1, bits.exp_golomb() + 1
    frames_only = bits.take(1)
    if references > 16 or chroma > 3 or depth > 14:
        raise UnreadableHeaderError("a parameter set is out of its range")
    size = (width * 16, height * 16 * (2 - frames_only))
    reordered = _read_reordered(bits, frames_only=bool(frames_only))
    samples = (1.0, 1.5, 2.0, 3.0)[chroma] * (2 if depth > 8 else 1)
    return CodedSize(*size, max(references, reordered, 1) + _WORKING, samples)


def _read_chroma(bits: BitReader) -> tuple[int, int]:
    """(chroma_format_idc, bits of a sample), leaving the scaling lists behind."""
    chroma = bits.exp_golomb()
    if chroma == 3:
        bits.take(1)
    depth = 8 + max(bits.exp_golomb(), bits.exp_golomb())
    bits.take(1)
    if bits.take(1):
        for index in range(8 if chroma != 3 else 12):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, depth


def _skip_scaling_list(bits: BitReader, length: int) -> None:
    last = following = 8
    for _ in range(length):
        if following:
            following = (last + bits.signed_exp_golomb()) & 0xFF
        last = following or last


def _skip_order_count(bits: BitReader) -> None:
    kind = bits.exp_golomb()
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1)
        bits.exp_golomb(), bits.exp_golomb()
        count = bits.exp_golomb()
        if count > 255:
            raise UnreadableHeaderError("a parameter set is out of its range")
        for _ in range(count):
            bits.exp_golomb()


def _read_reordered(bits: BitReader, *, frames_only: bool) -> int:
    """How many pictures the decoder may hold back (H.264 E.2.1); 0 where nothing is said."""
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):  # frame_cropping_flag
        for _ in range(4):
            bits.exp_golomb()
    if not bits.take(1):  # vui_parameters_present_flag
        return 0
    return read_reordered_pictures(bits)
