"""Fragments read back: which samples of which tracks a `moof` names, when, and where their data stands."""

from collections.abc import Iterator
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from media.isobmff.box_reader import Box, MalformedError, child, children, fields, find, version_and_flags
from media.isobmff.fragment import (
    SAMPLE_IS_NOT_SYNC,
    TFHD_DEFAULT_BASE_IS_MOOF,
    TFHD_DEFAULT_DURATION,
    TFHD_DEFAULT_FLAGS,
    TRUN_COMPOSITION_OFFSET,
    TRUN_DATA_OFFSET,
    TRUN_DURATION,
    TRUN_FIRST_FLAGS,
    TRUN_FLAGS,
    TRUN_SIZE,
)
from media.isobmff.movie_reader import Defaults, MovieReading

SAMPLES_PER_FRAGMENT_MAX = 1 << 16  # 16 MiB, the largest fragment, at 256 bytes a sample; a count can lie

_TFHD_BASE_OFFSET = 0x01
_TFHD_DESCRIPTION = 0x02
_TFHD_DEFAULT_SIZE = 0x10
_NON_SYNC_BIT = SAMPLE_IS_NOT_SYNC & 0x0001_0000
_WORD = Struct(">I")
_SIGNED = Struct(">i")
_LONG = Struct(">Q")
_FULL = 4
_COLUMNS = (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION_OFFSET)


class SampleReading(NamedTuple):
    """One sample; `duration` and `composition_offset` in the track's ticks."""

    duration: int
    size: int
    keyframe: bool
    composition_offset: int


class RunReading(NamedTuple):
    """Samples that lie together from byte `data_offset` of the file on.

    `base_decode_time` is None where the run goes on from the one before it.
    """

    track_id: int
    base_decode_time: int | None
    data_offset: int
    samples: list[SampleReading]

    @property
    def duration(self) -> int:
        return sum(sample.duration for sample in self.samples)

    @property
    def data_end(self) -> int:
        return self.data_offset + sum(sample.size for sample in self.samples)


class FragmentReading(NamedTuple):
    """One `moof`, which begins at byte `offset` of the file."""

    sequence_number: int
    offset: int
    runs: list[RunReading]


def read_fragment(moof: Box, movie: MovieReading) -> FragmentReading:
    """Read a `moof` box; raises MalformedError where it contradicts the standard or names no known track."""
    (sequence_number,) = fields(_WORD, child(moof, b"mfhd"), _FULL)
    runs: list[RunReading] = []
    samples = 0
    for traf in (box for box in children(moof) if box.kind == b"traf"):
        data_follows = runs[-1].data_end if runs else moof.offset
        for run in _traf(traf, moof.offset, data_follows, movie):
            samples += len(run.samples)
            if samples > SAMPLES_PER_FRAGMENT_MAX:
                raise MalformedError(
                    f"a fragment of more than {SAMPLES_PER_FRAGMENT_MAX} samples", moof.offset
                )
            runs.append(run)
    return FragmentReading(sequence_number, moof.offset, runs)


def _traf(traf: Box, moof_offset: int, data_follows: int, movie: MovieReading) -> Iterator[RunReading]:
    tfhd = child(traf, b"tfhd")
    _, flags = version_and_flags(tfhd)
    (track_id,) = fields(_WORD, tfhd, _FULL)
    if track_id not in movie.tracks:
        raise MalformedError(f"a fragment of the unknown track {track_id}", tfhd.offset)
    base, defaults = _tfhd(tfhd, flags, movie.tracks[track_id].defaults)
    if base is None:
        base = moof_offset if flags & TFHD_DEFAULT_BASE_IS_MOOF else data_follows
    time, data = _base_decode_time(traf), base
    for trun in (box for box in children(traf) if box.kind == b"trun"):
        offset, samples = _trun(trun, defaults)
        run = RunReading(track_id, time, data if offset is None else base + offset, samples)
        yield run
        time, data = None, run.data_end


def _tfhd(tfhd: Box, flags: int, defaults: Defaults) -> tuple[int | None, Defaults]:
    """Return the explicit base data offset, if any, and the defaults of this fragment."""
    at, base = 8, None
    duration, size, sample_flags = defaults
    if flags & _TFHD_BASE_OFFSET:
        (base,), at = fields(_LONG, tfhd, at), at + 8
    if flags & _TFHD_DESCRIPTION:
        at += 4
    if flags & TFHD_DEFAULT_DURATION:
        (duration,), at = fields(_WORD, tfhd, at), at + 4
    if flags & _TFHD_DEFAULT_SIZE:
        (size,), at = fields(_WORD, tfhd, at), at + 4
    if flags & TFHD_DEFAULT_FLAGS:
        (sample_flags,) = fields(_WORD, tfhd, at)
    return base, Defaults(duration, size, sample_flags)


def _base_decode_time(traf: Box) -> int | None:
    tfdt = find(traf, b"tfdt")
    if tfdt is None:
        return None
    version, _ = version_and_flags(tfdt)
    return fields(_LONG if version == 1 else _WORD, tfdt, _FULL)[0]


def _trun(trun: Box, defaults: Defaults) -> tuple[int | None, list[SampleReading]]:
    """Return the data offset, if the run has its own, and its samples."""
    version, flags = version_and_flags(trun)
    (count,), at = fields(_WORD, trun, _FULL), 8
    if count > SAMPLES_PER_FRAGMENT_MAX:
        raise MalformedError(f"a run of {count} samples", trun.offset)
    offset, first_flags = None, None
    if flags & TRUN_DATA_OFFSET:
        (offset,), at = fields(_SIGNED, trun, at), at + 4
    if flags & TRUN_FIRST_FLAGS:
        (first_flags,), at = fields(_WORD, trun, at), at + 4
    samples = _samples(trun, at, count, version, flags, defaults)
    if samples and first_flags is not None:
        samples[0] = samples[0]._replace(keyframe=not first_flags & _NON_SYNC_BIT)
    return offset, samples


def _samples(
    trun: Box, at: int, count: int, version: int, flags: int, defaults: Defaults
) -> list[SampleReading]:
    present = [
        flags & field != 0 for field in (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION_OFFSET)
    ]
    layout = Struct(">" + "I" * sum(present[:3]) + ("i" if version else "I") * present[3])
    table = trun.body[at : at + count * layout.size]
    if len(table) != count * layout.size:
        raise MalformedError(f"a run of {count} samples in too small a box", trun.offset)
    columns = iter(zip(*layout.iter_unpack(table), strict=True)) if layout.size else iter(())
    fallbacks = (*defaults, 0)
    durations, sizes, sample_flags, offsets = (
        next(columns, ()) if own else repeat(fallback, count)
        for own, fallback in zip(present, fallbacks, strict=True)
    )
    keyframes = (not flag & _NON_SYNC_BIT for flag in sample_flags)
    return list(map(SampleReading, durations, sizes, keyframes, offsets))
