"""The `moov` box read back: the tracks, how they are coded, and whether fragments follow."""

from struct import Struct
from typing import NamedTuple

from media.isobmff.box_reader import Box, MalformedError, child, children, fields, find, version_and_flags
from media.isobmff.sample_table import SampleTable, read_sample_table

_TIMES_32 = Struct(">8xII")  # after creation and modification time: timescale, duration
_TIMES_64 = Struct(">16xIQ")
_TKHD_32 = Struct(">8xI")
_TKHD_64 = Struct(">16xI")
_HANDLER = Struct(">4xI")
_VISUAL = Struct(">24xHH")
_AUDIO = Struct(">16xHH4xI")
_TREX = Struct(">5I")
_WORD = Struct(">I")
_LONG = Struct(">Q")
_FULL = 4  # bytes of version and flags
_STSD_FIELDS = 8  # version, flags, entry count
_UNKNOWN = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)  # a duration that cannot be determined, 8.2.2.3


class Defaults(NamedTuple):
    """What `trex` sets for samples that do not say it themselves."""

    duration: int = 0
    size: int = 0
    flags: int = 0


class TrackReading(NamedTuple):
    """One track: `kind` is its handler (vide, soun, ...), `codec` the name of its sample entry."""

    track_id: int
    kind: str
    codec: str
    timescale: int
    duration: int  # mdhd, ticks; 0 where it is not known
    width: int
    height: int
    channels: int
    sample_rate: int
    table: SampleTable  # samples that `moov` itself describes: none in a fragmented file
    defaults: Defaults


class MovieReading(NamedTuple):
    """`duration_s` is what the headers promise: 0 where they leave it open."""

    duration_s: float
    tracks: dict[int, TrackReading]
    fragmented: bool


def read_movie(moov: Box) -> MovieReading:
    """Read a `moov` box; raises MalformedError where it contradicts the standard."""
    timescale, duration = _times(child(moov, b"mvhd"))
    mvex = find(moov, b"mvex")
    mehd = find(mvex, b"mehd") if mvex else None
    if mehd:
        duration = max(duration, _mehd(mehd))
    defaults = _defaults(mvex) if mvex else {}
    tracks: dict[int, TrackReading] = {}
    for trak in (box for box in children(moov) if box.kind == b"trak"):
        track = _trak(trak, defaults)
        if track.track_id in tracks:
            raise MalformedError(f"two tracks with the id {track.track_id}", trak.offset)
        tracks[track.track_id] = track
    return MovieReading(duration / timescale, tracks, mvex is not None)


def _times(box: Box) -> tuple[int, int]:
    """Return timescale and duration of `mvhd` or `mdhd`."""
    version, _ = version_and_flags(box)
    timescale, duration = fields(_TIMES_64 if version == 1 else _TIMES_32, box, _FULL)
    if timescale == 0:
        raise MalformedError("a timescale of zero", box.offset)
    return timescale, 0 if duration in _UNKNOWN else duration


def _mehd(box: Box) -> int:
    version, _ = version_and_flags(box)
    return fields(_LONG if version == 1 else _WORD, box, _FULL)[0]


def _defaults(mvex: Box) -> dict[int, Defaults]:
    rows = [fields(_TREX, box, _FULL) for box in children(mvex) if box.kind == b"trex"]
    return {track_id: Defaults(duration, size, flags) for track_id, _, duration, size, flags in rows}


def _trak(trak: Box, defaults: dict[int, Defaults]) -> TrackReading:
    tkhd, mdia = child(trak, b"tkhd"), child(trak, b"mdia")
    version, _ = version_and_flags(tkhd)
    (track_id,) = fields(_TKHD_64 if version == 1 else _TKHD_32, tkhd, _FULL)
    timescale, duration = _times(child(mdia, b"mdhd"))
    (handler,) = fields(_HANDLER, child(mdia, b"hdlr"), _FULL)
    kind = _WORD.pack(handler).decode("latin-1")
    stbl = child(child(mdia, b"minf"), b"stbl")
    entry = next(children(child(stbl, b"stsd"), skip=_STSD_FIELDS), None)
    if entry is None:
        raise MalformedError("stsd without an entry", stbl.offset)
    width, height = fields(_VISUAL, entry) if kind == "vide" else (0, 0)
    channels, _, rate = fields(_AUDIO, entry) if kind == "soun" else (0, 0, 0)
    return TrackReading(
        track_id=track_id,
        kind=kind,
        codec=entry.kind.decode("latin-1"),
        timescale=timescale,
        duration=duration,
        width=width,
        height=height,
        channels=channels,
        sample_rate=rate >> 16,
        table=read_sample_table(stbl),
        defaults=defaults.get(track_id, Defaults()),
    )
