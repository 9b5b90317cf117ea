"""The boxes inside `stsd` that say how samples are coded: ISO/IEC 14496-12 (12.1.3, 12.2.3), -14, -15."""

from struct import pack

from media.isobmff.boxes import box, full_box
from media.isobmff.tracks import AudioTrack, Colour, VideoTrack

_DATA_REFERENCE = 1
_DOTS_PER_INCH_72 = 0x0048_0000  # 16.16 fixed point: the value that the standard prescribes
_DEPTH_COLOUR = 24

_ES_DESCRIPTOR = 0x03
_DECODER_CONFIG_DESCRIPTOR = 0x04
_DECODER_SPECIFIC_INFO = 0x05
_SL_CONFIG_DESCRIPTOR = 0x06
_OBJECT_TYPE_AAC = 0x40
_STREAM_TYPE_AUDIO = 0x05
_SAMPLE_RATE_MAX = 0xFFFF  # integer part of a 16.16 fixed-point number


def avc1(track: VideoTrack) -> bytes:
    """Return the AVCSampleEntry of a track whose parameter sets stand in the record, not in the samples.

    No `pasp`: pixels are square where the parameter sets do not say otherwise, and players that find one box
    for all pictures do not look at what those say.
    """
    return box(
        b"avc1",
        pack(">6xH16x", _DATA_REFERENCE),
        pack(">HHIII", track.width, track.height, _DOTS_PER_INCH_72, _DOTS_PER_INCH_72, 0),
        pack(">H32xHh", 1, _DEPTH_COLOUR, -1),  # one picture a sample, no compressor name
        box(b"avcC", track.avcc),
        colr(track.colour) if track.colour else b"",
    )


def colr(colour: Colour) -> bytes:
    """Return a ColourInformationBox of type `nclx`."""
    full_range = 0x80 if colour.full_range else 0
    return box(b"colr", b"nclx", pack(">HHHB", colour.primaries, colour.transfer, colour.matrix, full_range))


def mp4a(track: AudioTrack) -> bytes:
    """Return the MP4AudioSampleEntry of an AAC track; raises ValueError for rates above 65535 Hz."""
    if track.timescale > _SAMPLE_RATE_MAX:
        raise ValueError(f"a sample rate of {track.timescale} Hz does not fit mp4a")
    return box(
        b"mp4a",
        pack(">6xH8x", _DATA_REFERENCE),
        pack(">HH4xI", track.channels, 16, track.timescale << 16),
        full_box(b"esds", 0, 0, _elementary_stream(track.asc)),
    )


def _elementary_stream(asc: bytes) -> bytes:
    """Return the ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5); 0 for the bit rates says that they are unknown."""
    stream_type = _STREAM_TYPE_AUDIO << 2 | 1  # the lowest bit is reserved and one
    decoder_config = _descriptor(
        _DECODER_CONFIG_DESCRIPTOR,
        pack(">BB3xII", _OBJECT_TYPE_AAC, stream_type, 0, 0) + _descriptor(_DECODER_SPECIFIC_INFO, asc),
    )
    sync_layer = _descriptor(_SL_CONFIG_DESCRIPTOR, b"\x02")  # predefined: MP4 file
    return _descriptor(_ES_DESCRIPTOR, pack(">HB", 0, 0) + decoder_config + sync_layer)


def _descriptor(tag: int, payload: bytes) -> bytes:
    """Return a descriptor with its length in base 128 (ISO/IEC 14496-1, 8.3.3)."""
    remaining, length = len(payload) >> 7, bytes([len(payload) & 0x7F])
    while remaining:
        length = bytes([0x80 | remaining & 0x7F]) + length
        remaining >>= 7
    return bytes([tag]) + length + payload
