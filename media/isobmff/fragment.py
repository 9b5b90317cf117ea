"""The media fragment: `moof` and `mdat`, whole in themselves. ISO/IEC 14496-12, clause 8.8."""

from collections.abc import Iterator, Sequence
from itertools import chain
from struct import Struct, error, pack
from typing import NamedTuple

from media.isobmff.boxes import BOX_HEADER_BYTES, FULL_BOX_HEADER_BYTES, box, box_header, full_box
from media.isobmff.tracks import TrackRun

TFHD_DEFAULT_DURATION = 0x000008
TFHD_DEFAULT_FLAGS = 0x000020
TFHD_DEFAULT_BASE_IS_MOOF = 0x020000

TRUN_DATA_OFFSET = 0x000001
TRUN_FIRST_FLAGS = 0x000004
TRUN_DURATION = 0x000100
TRUN_SIZE = 0x000200
TRUN_FLAGS = 0x000400
TRUN_COMPOSITION_OFFSET = 0x000800

# sample_depends_on and sample_is_non_sync_sample, 8.8.3.1
SAMPLE_IS_SYNC = 0x0200_0000
SAMPLE_IS_NOT_SYNC = 0x0101_0000

_COUNT_AND_OFFSET = Struct(">Ii")
_TRAF_OVERHEAD_BYTES = BOX_HEADER_BYTES + FULL_BOX_HEADER_BYTES + _COUNT_AND_OFFSET.size


class _Draft(NamedTuple):
    """A `traf` whose data offset is still open: it needs the size of the whole `moof`."""

    head: bytes  # tfhd and tfdt
    flags: int  # of trun
    rows: bytes  # what follows the data offset in trun
    run: TrackRun


def media_fragment(sequence_number: int, runs: Sequence[TrackRun]) -> bytes:
    """Return one `moof` and one `mdat` with the runs' samples in the order of `runs`.

    `sequence_number` begins at 1 and grows by one. Data offsets are relative to the `moof`, so the bytes
    are valid wherever they stand. Raises ValueError for a run or a sample that is empty, a track that has
    two runs, and numbers that do not fit their fields.
    """
    if not runs or len({run.track_id for run in runs}) != len(runs):
        raise ValueError("a fragment has at least one run, and one for each track")
    try:
        moof = _moof(sequence_number, [_draft(run) for run in runs])
    except error as reason:
        raise ValueError(f"a number does not fit its field: {reason}") from reason
    data = [sample.data for run in runs for sample in run.samples]
    return b"".join(chain((moof, box_header(b"mdat", sum(map(len, data)))), data))


def _moof(sequence_number: int, drafts: list[_Draft]) -> bytes:
    mfhd = full_box(b"mfhd", 0, 0, pack(">I", sequence_number))
    moof_bytes = BOX_HEADER_BYTES + len(mfhd) + sum(map(_traf_bytes, drafts))
    return box(b"moof", mfhd, *_trafs(drafts, data_offset=moof_bytes + BOX_HEADER_BYTES))


def _traf_bytes(draft: _Draft) -> int:
    return _TRAF_OVERHEAD_BYTES + len(draft.head) + len(draft.rows)


def _trafs(drafts: list[_Draft], *, data_offset: int) -> Iterator[bytes]:
    for draft in drafts:
        samples = draft.run.samples
        place = _COUNT_AND_OFFSET.pack(len(samples), data_offset)
        yield box(b"traf", draft.head, full_box(b"trun", 1, draft.flags, place, draft.rows))
        data_offset += sum(len(sample.data) for sample in samples)


def _draft(run: TrackRun) -> _Draft:
    """Write one value for all samples where all are alike, one column of `trun` where they differ."""
    sizes = [len(sample.data) for sample in run.samples]
    if not sizes or 0 in sizes:
        raise ValueError(f"track {run.track_id}: a run and each of its samples must hold something")
    durations = [sample.duration for sample in run.samples]
    flags = [SAMPLE_IS_SYNC if sample.keyframe else SAMPLE_IS_NOT_SYNC for sample in run.samples]
    offsets = [sample.composition_offset for sample in run.samples]
    one_duration = len(set(durations)) == 1
    one_flag = len(set(flags[1:])) <= 1  # but for the first sample, which may have its own
    head = _head(run, durations[0] if one_duration else None, flags[-1] if one_flag else None)
    columns = {TRUN_SIZE: sizes}
    if not one_duration:
        columns[TRUN_DURATION] = durations
    if not one_flag:
        columns[TRUN_FLAGS] = flags
    if any(offsets):
        columns[TRUN_COMPOSITION_OFFSET] = offsets
    first = flags[0] if one_flag and flags[0] != flags[-1] else None
    return _Draft(head, *_rows(first, columns), run)


def _head(run: TrackRun, duration: int | None, sample_flags: int | None) -> bytes:
    """Return `tfhd`, with the values that all samples share, and `tfdt`."""
    flags, numbers = TFHD_DEFAULT_BASE_IS_MOOF, [run.track_id]
    if duration is not None:
        flags |= TFHD_DEFAULT_DURATION
        numbers.append(duration)
    if sample_flags is not None:
        flags |= TFHD_DEFAULT_FLAGS
        numbers.append(sample_flags)
    tfhd = full_box(b"tfhd", 0, flags, pack(f">{len(numbers)}I", *numbers))
    return tfhd + full_box(b"tfdt", 1, 0, pack(">Q", run.base_decode_time))


def _rows(first_flags: int | None, columns: dict[int, list[int]]) -> tuple[int, bytes]:
    """Return the flags of `trun` and what follows its data offset: columns in the order of their flags."""
    present = sorted(columns)
    flags = TRUN_DATA_OFFSET | sum(present) | (0 if first_flags is None else TRUN_FIRST_FLAGS)
    row = Struct(">" + "".join("i" if flag == TRUN_COMPOSITION_OFFSET else "I" for flag in present))
    first = b"" if first_flags is None else pack(">I", first_flags)
    return flags, first + b"".join(map(row.pack, *(columns[flag] for flag in present)))
