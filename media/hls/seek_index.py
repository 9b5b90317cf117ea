"""The seek index of a finished recording, read from the head of its file, for a playlist."""

import io

import msgspec

from media.isobmff.box_reader import Box, MalformedError, load, top_level
from media.isobmff.boxes import BOX_HEADER_BYTES
from media.isobmff.index import FragmentPlace, read_sidx
from media.isobmff.movie_reader import read_movie
from media.isobmff.progressive.movie import enclosed_at

_MICROSECONDS = 1_000_000


class NoIndexError(ValueError):
    """The file has no seek index before its first fragment."""


class Placed(msgspec.Struct, frozen=True):
    """Players need `header_bytes` bytes from `header_offset`, and then any of the fragments, in order."""

    header_bytes: int
    fragments: list[FragmentPlace]
    header_offset: int = 0


def read_places(head: bytes) -> Placed | None:
    """Return what the first bytes of a file say; None when they end before its first fragment does begin.

    An ordinary file around fragments (media.isobmff.progressive.movie) has them still. Raises NoIndexError
    where the file has no `sidx`, and MalformedError where it contradicts itself.
    """
    start = enclosed_at(head)
    placed = _read_places(head[start:])
    if placed is None or start == 0:
        return placed
    fragments = [msgspec.structs.replace(each, offset=each.offset + start) for each in placed.fragments]
    return Placed(placed.header_bytes, fragments, start)


def _read_places(head: bytes) -> Placed | None:
    file = io.BytesIO(head)
    moov: Box | None = None
    index: Box | None = None
    for place in top_level(file):
        if place.kind == b"moof":
            return _placed(moov, index)
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


def header_bytes(head: bytes) -> int | None:
    """Return where `moov` ends; None when these first bytes of a file do not hold all of it, whole.

    What stands between it and the first fragment is for players of the whole file: one that follows a
    playlist and meets a seek index in the middle of it (FFmpeg does) takes it for the end of the story.
    """
    places = top_level(io.BytesIO(head))
    try:
        return next((place.end for place in places if place.kind == b"moov" and place.whole), None)
    except MalformedError:
        return None


def _placed(moov: Box | None, index: Box | None) -> Placed:
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
    return Placed(moov.offset + BOX_HEADER_BYTES + len(moov.body), fragments)
