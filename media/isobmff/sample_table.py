"""The sample tables of an ordinary file, as far as wholeness needs them: `stbl`, clauses 8.5 to 8.7."""

from itertools import accumulate, chain, islice, pairwise, repeat
from struct import Struct
from typing import NamedTuple

from media.isobmff.box_reader import Box, MalformedError, fields, find

_COUNT = Struct(">4xI")
_SIZES = Struct(">4xII")
_HEAD_BYTES = _COUNT.size


class SampleTable(NamedTuple):
    """How many samples there are, how long they last in ticks, and where in the file their data ends."""

    samples: int = 0
    duration: int = 0
    data_end: int = 0


def read_sample_table(stbl: Box) -> SampleTable:
    """Read `stts`, `stsz`, `stsc` and `stco` or `co64`; raises MalformedError where they disagree."""
    durations = _rows(find(stbl, b"stts"), ">II")
    samples, duration = sum(row[0] for row in durations), sum(row[0] * row[1] for row in durations)
    chunks = _rows(find(stbl, b"stco"), ">I") or _rows(find(stbl, b"co64"), ">Q")
    sizes, uniform = _sizes(find(stbl, b"stsz"), samples)
    if not chunks or not samples:
        return SampleTable(samples, duration, 0)
    counts = _samples_per_chunk(_rows(find(stbl, b"stsc"), ">III"), len(chunks), stbl)
    if sum(counts) != samples:
        raise MalformedError(f"the chunks hold {sum(counts)} samples, stts has {samples}", stbl.offset)
    if uniform:
        lengths = [count * uniform for count in counts]
    else:
        ends = list(accumulate(counts, initial=0))
        lengths = [sum(sizes[start:stop]) for start, stop in pairwise(ends)]
    return SampleTable(
        samples, duration, max(row[0] + length for row, length in zip(chunks, lengths, strict=True))
    )


def _rows(box: Box | None, row: str) -> list[tuple[int, ...]]:
    """Return the rows of a counted table; raises MalformedError where the box cannot hold so many."""
    if box is None:
        return []
    (count,) = fields(_COUNT, box)
    layout = Struct(row)
    table = box.body[_HEAD_BYTES : _HEAD_BYTES + count * layout.size]
    if len(table) != count * layout.size:
        raise MalformedError(f"a table of {count} rows in too small a box", box.offset)
    return list(layout.iter_unpack(table))


def _sizes(stsz: Box | None, samples: int) -> tuple[list[int], int]:
    """Return each sample's size, or the one size that all have."""
    if stsz is None:
        return [], 0
    uniform, count = fields(_SIZES, stsz)
    if count != samples:
        raise MalformedError(f"stsz has {count} samples, stts {samples}", stsz.offset)
    if uniform:
        return [], uniform
    table = stsz.body[_SIZES.size : _SIZES.size + 4 * count]
    if len(table) != 4 * count:
        raise MalformedError(f"a table of {count} sizes in too small a box", stsz.offset)
    return [size for (size,) in Struct(">I").iter_unpack(table)], 0


def _samples_per_chunk(rows: list[tuple[int, ...]], chunks: int, stbl: Box) -> list[int]:
    """Unfold `stsc`: each row says how many samples the chunks from its first one on hold."""
    firsts = [row[0] for row in rows] + [chunks + 1]
    if firsts[0] != 1 or any(stop <= start for start, stop in pairwise(firsts)):
        raise MalformedError("stsc does not follow the chunks", stbl.offset)
    spans = (repeat(row[1], stop - start) for row, (start, stop) in zip(rows, pairwise(firsts), strict=True))
    return list(islice(chain.from_iterable(spans), chunks))
