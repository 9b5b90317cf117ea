"""The init segment: what a player must know before the first fragment. ISO/IEC 14496-12, clause 8.

All durations are written as 64-bit zeroes, "not known yet"; media.isobmff.finaliser fills them in place.
All times of creation are zero: the same input gives the same bytes.
"""

from collections.abc import Sequence
from struct import pack

from media.isobmff.boxes import box, free_box, full_box
from media.isobmff.sample_entry import avc1, mp4a
from media.isobmff.tracks import AudioTrack, Track, VideoTrack

MOVIE_TIMESCALE = 90_000  # ticks a second of mvhd, tkhd and mehd: exact for pictures, finer than any sound
_MATRIX_UNITY = pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_LANGUAGE_UNDETERMINED = 0x55C4  # "und", five bits a letter
_TRACK_ENABLED_IN_MOVIE_AND_PREVIEW = 0x7
_SELF_CONTAINED = 0x1
_VMHD_FLAGS = 0x1
_FULL_VOLUME = 0x0100  # 8.8 fixed point


def init_segment(tracks: Sequence[Track], *, reserved_bytes: int) -> bytes:
    """Return `ftyp`, `moov` and a `free` box of exactly `reserved_bytes`: room for `sidx` at finalising.

    `reserved_bytes` is 0 or at least 8. Raises ValueError for it, and for no tracks or equal track ids.
    """
    ids = [track.track_id for track in tracks]
    if not ids or len(set(ids)) != len(ids) or min(ids) < 1:
        raise ValueError(f"track ids must be positive and distinct: {ids}")
    moov = box(b"moov", _mvhd(max(ids) + 1), *map(_trak, tracks), _mvex(ids))
    return _ftyp() + moov + free_box(reserved_bytes)


def _ftyp() -> bytes:
    # iso6 is the first brand with tfdt, iso5 with default-base-is-moof; the others say who else may try.
    return box(b"ftyp", b"iso6", pack(">I", 0), b"iso6", b"iso5", b"isom", b"mp41")


def _mvhd(next_track_id: int) -> bytes:
    times = pack(">QQIQ", 0, 0, MOVIE_TIMESCALE, 0)
    rate_and_volume = pack(">IH10x", 0x10000, _FULL_VOLUME)
    return full_box(b"mvhd", 1, 0, times, rate_and_volume, _MATRIX_UNITY, pack(">24xI", next_track_id))


def _mvex(track_ids: Sequence[int]) -> bytes:
    trexes = [full_box(b"trex", 0, 0, pack(">5I", track_id, 1, 0, 0, 0)) for track_id in track_ids]
    return box(b"mvex", full_box(b"mehd", 1, 0, pack(">Q", 0)), *trexes)


def _trak(track: Track) -> bytes:
    return box(b"trak", _tkhd(track), _mdia(track))


def _tkhd(track: Track) -> bytes:
    video = isinstance(track, VideoTrack)
    width, height = (track.width << 16, track.height << 16) if isinstance(track, VideoTrack) else (0, 0)
    return full_box(
        b"tkhd",
        1,
        _TRACK_ENABLED_IN_MOVIE_AND_PREVIEW,
        pack(">QQI4xQ", 0, 0, track.track_id, 0),
        pack(">8xhhH2x", 0, 0, 0 if video else _FULL_VOLUME),
        _MATRIX_UNITY,
        pack(">II", width, height),
    )


def _mdia(track: Track) -> bytes:
    mdhd = full_box(b"mdhd", 1, 0, pack(">QQIQHH", 0, 0, track.timescale, 0, _LANGUAGE_UNDETERMINED, 0))
    if isinstance(track, AudioTrack):
        return box(b"mdia", mdhd, _hdlr(b"soun", b"SoundHandler"), _minf(_smhd(), mp4a(track)))
    return box(b"mdia", mdhd, _hdlr(b"vide", b"VideoHandler"), _minf(_vmhd(), avc1(track)))


def _hdlr(kind: bytes, name: bytes) -> bytes:
    return full_box(b"hdlr", 0, 0, pack(">4x4s12x", kind), name, b"\0")


def _vmhd() -> bytes:
    return full_box(b"vmhd", 0, _VMHD_FLAGS, pack(">4H", 0, 0, 0, 0))


def _smhd() -> bytes:
    return full_box(b"smhd", 0, 0, pack(">hH", 0, 0))


def _minf(media_header: bytes, sample_entry: bytes) -> bytes:
    data_here = full_box(b"url ", 0, _SELF_CONTAINED)
    dinf = box(b"dinf", full_box(b"dref", 0, 0, pack(">I", 1), data_here))
    no_entries = pack(">I", 0)
    stbl = box(
        b"stbl",
        full_box(b"stsd", 0, 0, pack(">I", 1), sample_entry),
        full_box(b"stts", 0, 0, no_entries),
        full_box(b"stsc", 0, 0, no_entries),
        full_box(b"stsz", 0, 0, pack(">II", 0, 0)),
        full_box(b"stco", 0, 0, no_entries),
    )
    return box(b"minf", media_header, dinf, stbl)
