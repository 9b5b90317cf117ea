"""AVC in MP4: from an encoder's Annex B byte stream to what is stored (ISO/IEC 14496-15, 5.3)."""

from collections.abc import Iterator
from struct import Struct, pack

_START_CODE = b"\0\0\1"
_LENGTH = Struct(">I")
_NAL_TYPE_MASK = 0x1F
_SPS = 7
_PPS = 8
_ACCESS_UNIT_DELIMITER = 9
_HIGH_PROFILES = frozenset({100, 110, 122, 144})  # those whose record ends with the chroma format
_PARAMETER_SETS_MAX = 31


def nal_units(annex_b: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a byte stream without start codes and trailing zeroes.

    A NAL unit never ends with a zero byte (ITU-T H.264, 7.4.1), so every zero before a start code is the
    stream's own.
    """
    for chunk in annex_b.split(_START_CODE)[1:]:
        unit = chunk.rstrip(b"\0")
        if unit:
            yield unit


def length_prefixed(annex_b: bytes) -> bytes:
    """Return an access unit with 32-bit lengths in place of start codes: the data of a Sample.

    Parameter sets and delimiters are left out: `avc1` keeps the former in the record and wants no others.
    """
    apart = (_SPS, _PPS, _ACCESS_UNIT_DELIMITER)
    units = [unit for unit in nal_units(annex_b) if unit[0] & _NAL_TYPE_MASK not in apart]
    return b"".join(part for unit in units for part in (_LENGTH.pack(len(unit)), unit))


def decoder_configuration(annex_b: bytes) -> bytes:
    """Return the AVCDecoderConfigurationRecord for a stream's parameter sets (an encoder's extradata).

    4:2:0 pictures of 8 bits. Raises ValueError where a sequence or picture parameter set is missing.
    """
    units = list(nal_units(annex_b))
    sps = [unit for unit in units if unit[0] & _NAL_TYPE_MASK == _SPS]
    pps = [unit for unit in units if unit[0] & _NAL_TYPE_MASK == _PPS]
    if not sps or not pps or len(sps) > _PARAMETER_SETS_MAX or len(sps[0]) < 4:
        raise ValueError("no sequence or picture parameter set in the encoder's extradata")
    profile, compatibility, level = sps[0][1:4]
    record = pack(">5B", 1, profile, compatibility, level, 0xFC | _LENGTH.size - 1)
    record += pack(">B", 0xE0 | len(sps)) + _counted(sps) + pack(">B", len(pps)) + _counted(pps)
    if profile in _HIGH_PROFILES:
        record += pack(">4B", 0xFC | 1, 0xF8, 0xF8, 0)  # chroma 4:2:0, 8 bits of luma and of chroma
    return record


def parameter_sets(record: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the sequence and the picture parameter sets of an AVCDecoderConfigurationRecord.

    ValueError for a record that ends too early.
    """
    sequence, offset = _sets(record, 5, 0x1F)
    picture, _ = _sets(record, offset, 0xFF)
    return sequence, picture


def with_parameter_sets_of(record: bytes, other: bytes) -> bytes:
    """Return the record with the other's sets behind its own, for one stream that uses both by turns.

    The sets must have ids of their own, and the other's profile and level be no more than the record's.
    """
    (sps, pps), (other_sps, other_pps) = parameter_sets(record), parameter_sets(other)
    tail = 7 + sum(2 + len(unit) for unit in sps + pps)  # where what high profiles append begins
    sequence, picture = sps + other_sps, pps + other_pps
    return (
        record[:5]
        + pack(">B", 0xE0 | len(sequence))
        + _counted(sequence)
        + pack(">B", len(picture))
        + _counted(picture)
        + record[tail:]
    )


def _sets(record: bytes, offset: int, mask: int) -> tuple[list[bytes], int]:
    """The sets that are counted at `offset`, and where they end."""
    units = []
    if offset >= len(record):
        raise ValueError("a decoder configuration record ends before its parameter sets")
    count, offset = record[offset] & mask, offset + 1
    for _ in range(count):
        begin = offset + 2
        offset = begin + int.from_bytes(record[offset:begin])
        units.append(record[begin:offset])
    if offset > len(record):
        raise ValueError("a decoder configuration record ends inside a parameter set")
    return units, offset


def _counted(units: list[bytes]) -> bytes:
    return b"".join(pack(">H", len(unit)) + unit for unit in units)
