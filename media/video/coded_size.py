"""Sizes of coded pictures, read from their headers before any decoder sees them. Pure.

What a decoder allocates is decided by a few bytes that somebody else sends: width, height, how many pictures
it has to remember, and how finely colours are kept. Every header is read in time proportional to its frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from media.handover.encoded_frame import Codec
from media.video.bit_reader import BitReader, EndOfBitsError

NAL_UNITS_MAX = 512  # of one picture: encoders make a slice a core, or one a packet
SPS_BYTES_MAX = 1024  # with all scaling lists and every option, some 300
_H264_WORKING = 3  # pictures besides the references: the one being decoded, the one shown, one for its pool
_VP8_PICTURES = 5  # three references (RFC 6386 9.7), the one being decoded, the one shown
_VP9_PICTURES = 10  # eight reference slots
_AV1_PICTURES = 11
_VP9_SYNC_CODE, _VP9_RGB = 0x498342, 7
_AV1_SEQUENCE_HEADER = 1
_SPS = 7
_ALIGNMENT = 64
_FINE_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # H.264 7.3.2.1.1


class UnreadableHeaderError(Exception):
    """A header that no decoder should be given."""


@dataclass(frozen=True, slots=True)
class CodedSize:
    """What decoding a stream takes from now on."""

    width: int
    height: int
    pictures: int  # that the decoder may hold at once
    bytes_per_pixel: float = 1.5  # 8 bit, 4:2:0

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def padded_pixels(self) -> int:
        """What libav counts: it makes rows and columns longer for its own sake."""
        return -(-self.width // _ALIGNMENT) * _ALIGNMENT * -(-self.height // _ALIGNMENT) * _ALIGNMENT

    @property
    def decoder_bytes(self) -> int:
        """Memory that the decoder's pictures take."""
        return round(self.pixels * self.bytes_per_pixel * self.pictures)


def coded_size(codec: Codec, data: bytes) -> CodedSize | None:
    """The size that this frame announces; None where it announces none. Raises UnreadableHeaderError."""
    try:
        match codec:
            case Codec.H264:
                return _h264_size(data)
            case Codec.VP8:
                return _vp8_size(data)
            case Codec.VP9:
                return _vp9_size(data)
            case Codec.AV1:
                return _av1_size(data)
            case _:
                return None
    except EndOfBitsError as error:
        raise UnreadableHeaderError("a header ends in its middle") from error


# --- VP8 (RFC 6386 9.1) -----------------------------------------------------------------------------
def _vp8_size(frame: bytes) -> CodedSize | None:
    if len(frame) < 10 or frame[0] & 1:
        return None
    width, height = (frame[6] | frame[7] << 8) & 0x3FFF, (frame[8] | frame[9] << 8) & 0x3FFF
    return CodedSize(width, height, _VP8_PICTURES)


# --- VP9 (bitstream specification 6.2) --------------------------------------------------------------
def _vp9_size(frame: bytes) -> CodedSize | None:
    bits = BitReader(frame[:32])
    if bits.take(2) != 2:
        raise UnreadableHeaderError("no VP9 frame")
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    if bits.take(2):  # show_existing_frame, or no key frame
        return None
    bits.take(2)
    if bits.take(24) != _VP9_SYNC_CODE:
        raise UnreadableHeaderError("a VP9 key frame without its sync code")
    samples = _vp9_samples(bits, profile)
    return CodedSize(bits.take(16) + 1, bits.take(16) + 1, _VP9_PICTURES, samples)


def _vp9_samples(bits: BitReader, profile: int) -> float:
    """Bytes of a pixel, from color_config."""
    if profile >= 2:
        bits.take(1)
    if bits.take(3) != _VP9_RGB:
        bits.take(1)
        if profile in (1, 3):
            bits.take(3)
    elif profile in (1, 3):
        bits.take(1)
    return (1.5, 3.0, 3.0, 6.0)[profile]


# --- AV1 (bitstream specification 5.5) --------------------------------------------------------------
def _av1_size(temporal_unit: bytes) -> CodedSize | None:
    position = count = 0
    while position < len(temporal_unit):
        count += 1
        header = temporal_unit[position]
        position += 2 if header & 4 else 1
        length, position = _leb128(temporal_unit, position)
        if not header & 2 or count > NAL_UNITS_MAX:
            raise UnreadableHeaderError("an open bitstream unit without its size, or too many of them")
        if header >> 3 & 15 == _AV1_SEQUENCE_HEADER:
            return _read_sequence_header(temporal_unit[position : position + min(length, SPS_BYTES_MAX)])
        position += length
    return None


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[position : position + 8]):
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, position + index + 1
    raise UnreadableHeaderError("a size ends in its middle")


def _read_sequence_header(data: bytes) -> CodedSize:
    bits = BitReader(data)
    profile = bits.take(3)
    bits.take(1)
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    samples = 6.0 if profile else 3.0  # 10 bit is part of the main profile
    return CodedSize(bits.take(width_bits) + 1, bits.take(height_bits) + 1, _AV1_PICTURES, samples)


def _skip_operating_points(bits: BitReader) -> None:
    delay_bits = 0
    if bits.take(1):  # timing_info_present_flag
        bits.take(64)
        if bits.take(1):
            bits.exp_golomb()
        if bits.take(1):  # decoder_model_info_present_flag
            delay_bits = bits.take(5) + 1
            bits.take(42)
    delayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delayed and bits.take(1):
            bits.take(4)


# --- H.264 (ITU-T H.264 7.3.2.1.1) ------------------------------------------------------------------
def _h264_size(access_unit: bytes) -> CodedSize | None:
    """The largest of what its sequence parameter sets say, wherever they stand: a decoder takes each."""
    sizes = [_read_sps(unit) for unit in _nal_units(access_unit) if unit[0] & 0x1F == _SPS]
    return max(sizes, key=lambda size: size.decoder_bytes, default=None)


def _nal_units(data: bytes) -> Iterator[bytes]:
    """The first bytes of each unit, as many as a parameter set may have."""
    position, count = data.find(b"\0\0\1"), 0
    while position >= 0 and position + 3 < len(data):
        count += 1
        if count > NAL_UNITS_MAX:
            raise UnreadableHeaderError("an access unit has too many units")
        start = position + 3
        position = data.find(b"\0\0\1", start)
        end = len(data) if position < 0 else position
        if end > start:
            yield data[start : min(end, start + SPS_BYTES_MAX)]


def _read_sps(unit: bytes) -> CodedSize:
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
    return CodedSize(*size, max(references, reordered, 1) + _H264_WORKING, samples)


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
    return _read_vui(bits)


def _read_vui(bits: BitReader) -> int:
    if bits.take(1) and bits.take(8) == 255:  # aspect_ratio_idc: Extended_SAR
        bits.take(32)
    if bits.take(1):  # overscan_info_present_flag
        bits.take(1)
    if bits.take(1):  # video_signal_type_present_flag
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):  # chroma_loc_info_present_flag
        bits.exp_golomb(), bits.exp_golomb()
    if bits.take(1):  # timing_info_present_flag
        bits.take(65)
    decoders = 0
    for _ in range(2):  # nal_hrd_parameters, vcl_hrd_parameters
        if bits.take(1):
            _skip_hrd(bits)
            decoders += 1
    if decoders:
        bits.take(1)
    bits.take(1)  # pic_struct_present_flag
    if not bits.take(1):  # bitstream_restriction_flag
        return 0
    bits.take(1)
    for _ in range(4):
        bits.exp_golomb()
    return min(16, max(bits.exp_golomb(), bits.exp_golomb()))


def _skip_hrd(bits: BitReader) -> None:
    count = bits.exp_golomb() + 1
    if count > 32:
        raise UnreadableHeaderError("a parameter set is out of its range")
    bits.take(8)
    for _ in range(count):
        bits.exp_golomb(), bits.exp_golomb()
        bits.take(1)
    bits.take(20)
