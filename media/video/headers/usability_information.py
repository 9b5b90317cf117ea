"""The video usability information of H.264 (ITU-T H.264 E.1.1, E.1.2). Pure."""

from media.video.headers.bit_reader import BitReader
from media.video.headers.size import UnreadableHeaderError


def read_reordered_pictures(bits: BitReader) -> int:
    """How many pictures a decoder may hold back; 0 where nothing is said."""
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
