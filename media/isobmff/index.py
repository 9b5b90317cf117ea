"""The segment index: where in the file which time begins. ISO/IEC 14496-12, clause 8.16.3."""

from collections.abc import Sequence
from itertools import pairwise
from struct import Struct

import msgspec

from media.isobmff.box_reader import Box, MalformedError, fields, version_and_flags
from media.isobmff.boxes import full_box

REFERENCES_MAX = 0xFFFF  # reference_count has 16 bits
_SIZE_MAX = 0x7FFF_FFFF  # referenced_size has 31
_DURATION_MAX = 0xFFFF_FFFF
_STARTS_WITH_SAP_OF_TYPE_1 = 0x9000_0000  # each fragment begins with a key frame, in closed order
_MICROSECONDS = 1_000_000

_SIDX_BYTES = 40
_REFERENCE = Struct(">III")
_HEAD_32 = Struct(">IIIIHH")
_HEAD_64 = Struct(">IIQQHH")
_FULL = 4


class FragmentPlace(msgspec.Struct, frozen=True, gc=False):
    """Where a media fragment stands: bytes of the file, and microseconds on the recording's clock."""

    offset: int
    size: int
    start_us: int
    duration_us: int


class Reference(msgspec.Struct, frozen=True, gc=False):
    """One fragment as `sidx` names it: `start` and `duration` in the track's ticks."""

    offset: int
    size: int
    start: int
    duration: int


def sidx_bytes(references: int) -> int:
    """Return the size of a `sidx` box with so many references."""
    return _SIDX_BYTES + _REFERENCE.size * references


def sidx(track_id: int, timescale: int, *, box_end: int, places: Sequence[FragmentPlace]) -> bytes:
    """Return the `sidx` of one track, one reference for each fragment; it ends at byte `box_end` of the file.

    References to several fragments at once would be legal and smaller, but libavformat (so Chromium too)
    plays only the first fragment of each. Each reference lasts until the next begins, so rounding never
    adds up. The places follow one another in the file and in time. Raises ValueError where one is 2 GiB or
    longer than 32 bits of ticks.
    """
    starts = [place.start_us * timescale // _MICROSECONDS for place in places]
    end_us = places[-1].start_us + places[-1].duration_us
    durations = [stop - start for start, stop in pairwise([*starts, end_us * timescale // _MICROSECONDS])]
    if any(place.size > _SIZE_MAX for place in places) or max(durations) > _DURATION_MAX:
        raise ValueError("a fragment is too large or too long for the index")
    head = _HEAD_64.pack(track_id, timescale, starts[0], places[0].offset - box_end, 0, len(places))
    rows = [
        _REFERENCE.pack(place.size, duration, _STARTS_WITH_SAP_OF_TYPE_1)
        for place, duration in zip(places, durations, strict=True)
    ]
    return full_box(b"sidx", 1, 0, head, *rows)


def read_sidx(box: Box) -> tuple[int, list[Reference]]:
    """Return the track id and the references of a `sidx` box; raises MalformedError where it is cut short."""
    version, _ = version_and_flags(box)
    layout = _HEAD_64 if version else _HEAD_32
    track_id, _, start, first_offset, _, count = fields(layout, box, _FULL)
    first_row = _FULL + layout.size
    table = box.body[first_row : first_row + count * _REFERENCE.size]
    if len(table) != count * _REFERENCE.size:
        raise MalformedError(f"sidx of {count} references in too small a box", box.offset)
    references, offset = [], box.offset + 8 + len(box.body) + first_offset
    for size, duration, _ in _REFERENCE.iter_unpack(table):
        references.append(Reference(offset, size & _SIZE_MAX, start, duration))
        offset, start = offset + (size & _SIZE_MAX), start + duration
    return track_id, references
