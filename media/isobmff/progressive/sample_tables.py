"""Sample tables of a progressive file, written: `stbl`, ISO/IEC 14496-12, clauses 8.5 to 8.7."""

import sys
from array import array
from struct import pack

from media.isobmff.boxes import box, full_box
from media.isobmff.progressive.samples import RunLengths, TrackSamples

_OFFSET_32_MAX = 0xFFFF_FFFF
_ONE_DESCRIPTION = 1


def stbl(stsd: bytes, samples: TrackSamples, moved: int) -> bytes:
    """Return the sample table box around `stsd`; chunks stand `moved` bytes behind where they were seen."""
    boxes = [stsd, _runs(b"stts", 0, samples.durations)]
    offsets = samples.composition_offsets
    if any(offsets.values):
        boxes.append(_runs(b"ctts", int(min(offsets.values) < 0), offsets))
    if len(samples.key_frames) < len(samples.sizes):
        boxes.append(_table(b"stss", samples.key_frames))
    boxes.append(_stsc(samples.chunk_samples))
    boxes.append(full_box(b"stsz", 0, 0, pack(">II", 0, len(samples.sizes)), _big_endian(samples.sizes)))
    boxes.append(_chunk_offsets(array("Q", (offset + moved for offset in samples.chunk_offsets))))
    return box(b"stbl", *boxes)


def _runs(kind: bytes, version: int, runs: RunLengths) -> bytes:
    rows = array("I", bytes(8 * len(runs.counts)))
    rows[0::2], rows[1::2] = runs.counts, array("I", runs.values.tobytes())
    return full_box(kind, version, 0, pack(">I", len(runs.counts)), _big_endian(rows))


def _stsc(chunks: RunLengths) -> bytes:
    rows, first = array("I"), 1
    for count, samples in zip(chunks.counts, chunks.values, strict=True):
        rows.extend((first, samples, _ONE_DESCRIPTION))
        first += count
    return full_box(b"stsc", 0, 0, pack(">I", len(chunks.counts)), _big_endian(rows))


def _chunk_offsets(offsets: "array[int]") -> bytes:
    """Return `stco`, which every reader knows, or `co64` where an offset needs it."""
    if offsets and max(offsets) > _OFFSET_32_MAX:
        return _table(b"co64", offsets)
    return _table(b"stco", array("I", offsets))


def _table(kind: bytes, rows: "array[int]") -> bytes:
    return full_box(kind, 0, 0, pack(">I", len(rows)), _big_endian(rows))


def _big_endian(numbers: "array[int]") -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
