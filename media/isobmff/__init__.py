"""Fragmented MP4 (ISO/IEC 14496-12, -14, -15) as pure functions: values in, bytes out, and back."""

from media.isobmff.avc import decoder_configuration, length_prefixed
from media.isobmff.finaliser import finalise, room_bytes
from media.isobmff.fragment import media_fragment
from media.isobmff.index import FragmentPlace
from media.isobmff.movie import init_segment
from media.isobmff.tracks import AudioTrack, Colour, Sample, Track, TrackRun, VideoTrack

__all__ = [
    "AudioTrack",
    "Colour",
    "FragmentPlace",
    "Sample",
    "Track",
    "TrackRun",
    "VideoTrack",
    "decoder_configuration",
    "finalise",
    "init_segment",
    "length_prefixed",
    "media_fragment",
    "room_bytes",
]
