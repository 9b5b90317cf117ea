"""Durations and seek index, written into the init segment at the end without moving a byte of the media.

Durations go into fields that were written as zero. The seek index goes into the reserved room between `moov`
and the first `moof`, one `sidx` for each track: Chromium then knows the duration and every place to seek to
from its first request, where it would otherwise read the file fragment by fragment. What is left of the room
stands before the index: libavformat takes no notice of an index that another box parts from the first `moof`.
"""

from collections.abc import Sequence
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from media.isobmff.box_reader import Box, MalformedError, boxes_of, child, children, fields, version_and_flags
from media.isobmff.boxes import BOX_HEADER_BYTES, free_box
from media.isobmff.index import REFERENCES_MAX, FragmentPlace, sidx, sidx_bytes
from media.isobmff.movie_reader import MovieReading, read_movie

_DURATION = Struct(">Q")
_TIMESCALE = Struct(">I")
_TIMESCALE_AT = 20  # in the body of mvhd and mdhd of version 1
_DURATION_AT = {b"mvhd": 24, b"mdhd": 24, b"tkhd": 28, b"mehd": 4}
_MICROSECONDS = 1_000_000


class _Room(NamedTuple):
    """The bytes between `moov` and the end of the init segment."""

    start: int
    end: int


def finalise(init: bytes, fragments: Sequence[FragmentPlace]) -> bytes:
    """Return the init segment with durations and `sidx` filled in: exactly as many bytes as before.

    `fragments` are those of the whole file, in order. Where their index outgrows the room (`room_bytes` says
    what it takes) only durations are written: such a file is whole, but players have to look for its
    fragments. Finalising again gives the same bytes. Raises ValueError (MalformedError is one) for an init
    segment that media.isobmff.movie did not write and for fragments that do not follow one another.
    """
    boxes = list(boxes_of(init))
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    if moov is None:
        raise MalformedError("an init segment without moov", 0)
    room = _Room(moov.offset + BOX_HEADER_BYTES + len(moov.body), len(init))
    if any(box.kind not in (b"free", b"sidx") for box in boxes if box.offset >= room.start):
        raise MalformedError("something else than reserved room after moov", room.start)
    if not fragments:
        return init
    _require_order(fragments, room.end)
    written = bytearray(init)
    end_us = fragments[-1].start_us + fragments[-1].duration_us
    _write_durations(written, moov, end_us)
    written[room.start :] = _index(read_movie(moov), fragments, room)
    return bytes(written)


def room_bytes(tracks: int, fragments: int) -> int:
    """Return the room that an index fills exactly: 12 bytes a fragment for each track, 40 more a track."""
    return tracks * sidx_bytes(fragments)


def _require_order(fragments: Sequence[FragmentPlace], init_end: int) -> None:
    if fragments[0].offset != init_end or fragments[0].start_us < 0:
        raise ValueError("the first fragment does not follow the init segment, or begins before time zero")
    for left, right in pairwise(fragments):
        if left.offset + left.size != right.offset or left.start_us > right.start_us:
            raise ValueError("fragments do not follow one another in the file and in time")


def _write_durations(written: bytearray, moov: Box, end_us: int) -> None:
    mvhd = child(moov, b"mvhd")
    _write_duration(written, mvhd, _timescale(mvhd), end_us)
    _write_duration(written, child(child(moov, b"mvex"), b"mehd"), _timescale(mvhd), end_us)
    for trak in (box for box in children(moov) if box.kind == b"trak"):
        mdhd = child(child(trak, b"mdia"), b"mdhd")
        _write_duration(written, mdhd, _timescale(mdhd), end_us)
        _write_duration(written, child(trak, b"tkhd"), _timescale(mvhd), end_us)


def _timescale(header: Box) -> int:
    return fields(_TIMESCALE, header, _TIMESCALE_AT)[0]


def _write_duration(written: bytearray, box: Box, timescale: int, end_us: int) -> None:
    version, _ = version_and_flags(box)
    at = _DURATION_AT[box.kind]
    if version != 1 or len(box.body) < at + _DURATION.size:
        raise MalformedError(f"{box.kind.decode()} without a 64-bit duration", box.offset)
    _DURATION.pack_into(written, box.offset + BOX_HEADER_BYTES + at, end_us * timescale // _MICROSECONDS)


def _index(movie: MovieReading, fragments: Sequence[FragmentPlace], room: _Room) -> bytes:
    """Return `free` and the `sidx` boxes, together as long as the room; all `free` where they do not fit."""
    capacity, size = room.end - room.start, sidx_bytes(len(fragments))
    left = capacity - room_bytes(len(movie.tracks), len(fragments))
    if len(fragments) > REFERENCES_MAX or left < 0 or 0 < left < BOX_HEADER_BYTES:
        return free_box(capacity)
    indexes = [
        sidx(track.track_id, track.timescale, box_end=room.start + left + number * size, places=fragments)
        for number, track in enumerate(movie.tracks.values(), start=1)
    ]
    return b"".join([free_box(left), *indexes])
