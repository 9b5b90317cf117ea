"""Where the fragments of a finished recording stand, read from the head of its file, for a playlist."""

import io

import msgspec

from media.isobmff.index import FragmentPlace, read_sidx
from media.isobmff.movie_reading import read_movie
from media.isobmff.reader import Box, load, top_level

_MICROSECONDS = 1_000_000


class NoIndexError(ValueError):
    """The file has no seek index before its first fragment."""


class Placed(msgspec.Struct, frozen=True):
    """The init segment is the first `init_bytes` bytes; the fragments follow, in order."""

    init_bytes: int
    fragments: list[FragmentPlace]


def read_places(head: bytes) -> Placed | None:
    """Return what the first bytes of a file say; None when they end before its first fragment does begin.

    Raises NoIndexError where the file has no `sidx`, and MalformedError where it contradicts itself.
    """
    file = io.BytesIO(head)
    moov: Box | None = None
    index: Box | None = None
    for place in top_level(file):
        if place.kind == b"moof":
            return _placed(moov, index, init_bytes=place.offset)
        if not place.whole:
            return None
        if place.kind == b"mdat":  # an ordinary file, which has its samples in one piece
            break
        if place.kind == b"moov":
            moov = load(file, place)
        elif place.kind == b"sidx" and index is None:  # one for each track; all name the same fragments
            index = load(file, place)
    else:
        return None
    raise NoIndexError("the file is not made of fragments")


def _placed(moov: Box | None, index: Box | None, *, init_bytes: int) -> Placed:
    if moov is None or index is None:
        raise NoIndexError("nothing before the first fragment says where the others are")
    track_id, references = read_sidx(index)
    track = read_movie(moov).tracks.get(track_id)
    if track is None:
        raise NoIndexError(f"the index is that of track {track_id}, which is not there")
    fragments = [
        FragmentPlace(
            offset=reference.offset,
            size=reference.size,
            start_us=reference.start * _MICROSECONDS // track.timescale,
            duration_us=reference.duration * _MICROSECONDS // track.timescale,
        )
        for reference in references
    ]
    return Placed(init_bytes, fragments)
