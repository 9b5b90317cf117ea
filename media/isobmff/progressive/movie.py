"""A fragmented recording made an ordinary file without moving a byte of its media ("hybrid MP4").

    ftyp | mdat ( the fragmented file: ftyp moov free sidx | moof mdat | moof mdat ... ) | moov

The header of one `mdat`, as long as the file, is put into the init segment; its length stays, because the
reserved room is as much shorter. At the end comes a `moov` whose sample tables point into the old fragments.
So who plays the whole file sees an ordinary one, and who is told the ranges (HLS) still has every fragment.
"""

from struct import Struct, pack

from media.isobmff.box_reader import Box, MalformedError, boxes_of, child, children, fields, version_and_flags
from media.isobmff.boxes import BOX_HEADER_BYTES, box, free_box, full_box
from media.isobmff.movie_reader import MovieReading, read_movie
from media.isobmff.progressive.sample_tables import stbl
from media.isobmff.progressive.samples import Read, SampleCollector, TrackSamples

_FTYP = box(b"ftyp", b"isom", pack(">I", 0), b"isom", b"iso2", b"mp41", b"mp42")
_MDAT_HEADER_BYTES = 16  # with a 64-bit size, whatever the size is
HEAD_BYTES = len(_FTYP) + _MDAT_HEADER_BYTES
_DURATION_AT = {b"mvhd": 24, b"mdhd": 24, b"tkhd": 28}  # in the bodies, all of version 1
_LONG = Struct(">Q")
_WORD = Struct(">I")
_TIMES = Struct(">QQ")  # of creation and of modification
_TIMES_AT = 4
_EDIT_32, _EDIT_64 = Struct(">IiI"), Struct(">QqI")
_MAX_32 = 0xFFFF_FFFF
_TRACK_ID_AT = _TIMESCALE_AT = 20
_RATE_1 = 0x0001_0000  # 16.16 fixed point
_EMPTY = -1  # the media time of an edit in which nothing is shown


class ProgressiveMovie:
    """One recording on its way to an ordinary file: fragments in, the new head and the last `moov` out."""

    def __init__(self, init: bytes) -> None:
        """`init` is the init segment as it was recorded; ValueError where it is none, or has no room left."""
        moov = next((found for found in boxes_of(init) if found.kind == b"moov"), None)
        if moov is None:
            raise MalformedError("an init segment without moov", 0)
        self._moov = moov
        self._movie = read_movie(moov)
        self._gathering = SampleCollector(self._movie)
        moov_end = moov.offset + BOX_HEADER_BYTES + len(moov.body)
        room = len(init) - moov_end - HEAD_BYTES
        if room < 0:
            raise ValueError(f"an init segment with {room + HEAD_BYTES} bytes of room for a header")
        self.inner_init = init[:moov_end] + free_box(room)

    def take(self, start: int, stop: int, end_us: int, read: Read) -> bool:
        """Take the fragments in these bytes of the recorded file, which end at this time.

        False where they made no sense, and are a gap in the movie.
        """
        return self._gathering.take(start, stop, end_us, read)

    def head(self, inner: bytes, media_bytes: int) -> bytes:
        """Return what the file begins with: `inner` is `inner_init`, finalised; `media_bytes` follow."""
        return ordinary_head(inner, media_bytes)

    def movie(self, moved: int) -> bytes:
        """Return the `moov`; fragments stand `moved` bytes behind where they were recorded.

        Tracks without samples are left out. Raises ValueError where nothing is left.
        """
        return ordinary_moov(self._moov, self._movie, self._gathering.tracks, moved)


def enclosed_at(head: bytes) -> int:
    """Return where the fragmented file begins in a file with this head: 0 where there is none around it."""
    begins = _FTYP + pack(">I4s", 1, b"mdat")
    return HEAD_BYTES if head.startswith(begins) and head[HEAD_BYTES + 4 : HEAD_BYTES + 8] == b"ftyp" else 0


def ordinary_head(inner: bytes, media_bytes: int) -> bytes:
    """Return `ftyp`, the header of an `mdat` around `inner` and `media_bytes` more, and `inner`."""
    size = _MDAT_HEADER_BYTES + len(inner) + media_bytes
    return _FTYP + pack(">I4sQ", 1, b"mdat", size) + inner


def ordinary_moov(moov: Box, movie: MovieReading, tracks: dict[int, TrackSamples], moved: int) -> bytes:
    """Return `moov` with sample tables and without `mvex`, all durations filled in."""
    mvhd = child(moov, b"mvhd")
    (timescale,) = fields(_WORD, mvhd, _TIMESCALE_AT)
    traks: list[bytes] = []
    end = 0
    for trak in (found for found in children(moov) if found.kind == b"trak"):
        (track_id,) = fields(_WORD, child(trak, b"tkhd"), _TRACK_ID_AT)
        samples, track_timescale = tracks[track_id], movie.tracks[track_id].timescale
        if samples.sizes:
            begins, ends = (-(-at * timescale // track_timescale) for at in (samples.begins, samples.ends))
            traks.append(_trak(trak, samples, begins, ends, moved))
            end = max(end, ends)
    if not traks:
        raise ValueError("a movie without samples")
    return box(b"moov", _with_duration(mvhd, end), *traks)


def _trak(trak: Box, samples: TrackSamples, begins: int, ends: int, moved: int) -> bytes:
    """`begins` and `ends` are on the movie's clock: what begins late has an edit of nothing before it."""
    mdia = child(trak, b"mdia")
    minf = child(mdia, b"minf")
    tables = stbl(_copy(child(child(minf, b"stbl"), b"stsd")), samples, moved)
    return box(
        b"trak",
        _with_duration(child(trak, b"tkhd"), ends),
        _edit_list(begins, ends) if begins else b"",
        box(
            b"mdia",
            _with_duration(child(mdia, b"mdhd"), samples.ends - samples.begins),
            _copy(child(mdia, b"hdlr")),
            box(b"minf", *(_copy(found) for found in children(minf) if found.kind != b"stbl"), tables),
        ),
    )


def _edit_list(begins: int, ends: int) -> bytes:
    row, version = (_EDIT_32, 0) if ends <= _MAX_32 else (_EDIT_64, 1)
    edits = row.pack(begins, _EMPTY, _RATE_1) + row.pack(ends - begins, 0, _RATE_1)
    return box(b"edts", full_box(b"elst", version, 0, pack(">I", 2), edits))


def _with_duration(header: Box, duration: int) -> bytes:
    """Return the header with its duration: of version 0 where that holds it, all that old readers know."""
    version, flags = version_and_flags(header)
    at = _DURATION_AT[header.kind]
    if version != 1 or len(header.body) < at + _LONG.size:
        raise MalformedError(f"{header.kind.decode()} without a 64-bit duration", header.offset)
    times = fields(_TIMES, header, _TIMES_AT)
    between, after = bytes(header.body[_TIMES_AT + _TIMES.size : at]), bytes(header.body[at + _LONG.size :])
    if max(*times, duration) > _MAX_32:
        return full_box(header.kind, 1, flags, _TIMES.pack(*times), between, _LONG.pack(duration), after)
    return full_box(header.kind, 0, flags, pack(">II", *times), between, _WORD.pack(duration), after)


def _copy(found: Box) -> bytes:
    return box(found.kind, bytes(found.body))
