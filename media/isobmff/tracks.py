"""Tracks and their samples: the values that the fragment writer takes."""

import msgspec


class Colour(msgspec.Struct, frozen=True):
    """How pictures are to be shown: code points of ISO/IEC 23091-2 (1, 1, 1 is BT.709)."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool = False


class VideoTrack(msgspec.Struct, frozen=True):
    """An H.264 track with square pixels; `timescale` in ticks a second, sizes in pixels.

    `avcc` is the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1): `avc.decoder_configuration`
    makes it from libx264's extradata, as `avc.length_prefixed` makes a sample from its packets.
    """

    track_id: int
    timescale: int
    width: int
    height: int
    avcc: bytes
    colour: Colour | None = None  # None: the decoder reads it from the sequence parameter set


class AudioTrack(msgspec.Struct, frozen=True):
    """An AAC track whose `timescale` is its sample rate in Hz.

    `asc` is the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): libavcodec's extradata for AAC.
    """

    track_id: int
    timescale: int
    channels: int
    asc: bytes


Track = VideoTrack | AudioTrack


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One coded picture (length-prefixed NAL units) or one AAC frame, in decoding order.

    `duration` and `composition_offset` (presentation minus decoding time) are in ticks of the track's
    timescale. Negative offsets are legal, but libavformat shows such tracks late: avoid them.
    """

    data: bytes
    duration: int
    keyframe: bool
    composition_offset: int = 0


class TrackRun(msgspec.Struct, frozen=True):
    """Consecutive samples of one track; `base_decode_time` is the first one's, in the track's ticks."""

    track_id: int
    base_decode_time: int
    samples: list[Sample]
