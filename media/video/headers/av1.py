"""The size in an AV1 sequence header (bitstream specification 5.5). Pure."""

from media.video.headers.bit_reader import BitReader
from media.video.headers.size import CodedSize, UnreadableHeaderError

_UNITS_MAX = 512  # of one temporal unit: encoders make a few
_HEADER_BYTES_MAX = 1024  # 32 operating points with every option take some 360
_PICTURES = 11
_SEQUENCE_HEADER = 1


def av1_size(temporal_unit: bytes) -> CodedSize | None:
    """The size that its sequence header announces; None without one."""
    position = count = 0
    while position < len(temporal_unit):
        count += 1
        header = temporal_unit[position]
        position += 2 if header & 4 else 1
        length, position = _leb128(temporal_unit, position)
        if not header & 2 or count > _UNITS_MAX:
            raise UnreadableHeaderError("an open bitstream unit without its size, or too many of them")
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            return _read_sequence_header(temporal_unit[position : position + min(length, _HEADER_BYTES_MAX)])
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
    return CodedSize(bits.take(width_bits) + 1, bits.take(height_bits) + 1, _PICTURES, samples)


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
