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
    samples = run.samples
    sizes = [len(sample.data) for sample in samples]
    if not sizes or 0 in sizes:
        raise ValueError(f"track {run.track_id}: a run and each of its samples must hold something")
    head_flags, head_fields = TFHD_DEFAULT_BASE_IS_MOOF, [run.track_id]
    flags, first, columns = TRUN_DATA_OFFSET, b"", []

    durations = [sample.duration for sample in samples]
    if len(set(durations)) == 1:
        head_flags |= TFHD_DEFAULT_DURATION
        head_fields.append(durations[0])
    else:
        flags |= TRUN_DURATION
        columns.append(durations)

    flags |= TRUN_SIZE
    columns.append(sizes)

    sample_flags = [SAMPLE_IS_SYNC if sample.keyframe else SAMPLE_IS_NOT_SYNC for sample in samples]
    if len(set(sample_flags[1:])) <= 1:
        head_flags |= TFHD_DEFAULT_FLAGS
        head_fields.append(sample_flags[-1])
        if sample_flags[0] != sample_flags[-1]:
            flags |= TRUN_FIRST_FLAGS
            first = pack(">I", sample_flags[0])
    else:
        flags |= TRUN_FLAGS
        columns.append(sample_flags)

    row = ">" + "I" * len(columns)
    if any(sample.composition_offset for sample in samples):
        flags |= TRUN_COMPOSITION_OFFSET
        columns.append([sample.composition_offset for sample in samples])
        row += "i"

    tfhd = full_box(b"tfhd", 0, head_flags, pack(f">{len(head_fields)}I", *head_fields))
    tfdt = full_box(b"tfdt", 1, 0, pack(">Q", run.base_decode_time))
    rows = first + b"".join(map(Struct(row).pack, *columns))
    return _Draft(tfhd + tfdt, flags, rows, run)
