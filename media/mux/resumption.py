"""Ends of a recording's tracks, read off its last fragment, so that the next one follows exactly. Pure."""

from typing import NamedTuple

from media.isobmff.box_reader import boxes_of
from media.isobmff.fragment_reader import read_fragment
from media.isobmff.movie_reader import read_movie
from recorder.kernel.recording import Written


class TrackEnds(NamedTuple):
    """In each track's own ticks; zero where there is none of it."""

    by_track: dict[int, int]

    def of(self, track_id: int) -> int:
        return self.by_track.get(track_id, 0)


def track_ends(written: Written | None) -> TrackEnds:
    """Where what is written ends; isobmff.box_reader.MalformedError where it is no recording's."""
    if written is None or not written.last_fragment:
        return TrackEnds({})
    movie = read_movie(next(box for box in boxes_of(written.init_segment) if box.kind == b"moov"))
    moof = next(box for box in boxes_of(written.last_fragment) if box.kind == b"moof")
    ends: dict[int, int] = {}
    for run in read_fragment(moof, movie).runs:
        begin = ends.get(run.track_id, 0) if run.base_decode_time is None else run.base_decode_time
        ends[run.track_id] = begin + run.duration
    return TrackEnds(ends)
