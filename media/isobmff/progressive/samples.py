"""Sample tables of an ordinary file, gathered from its fragments as they pass: ISO/IEC 14496-12, 8.6 and 8.7.

Only the `moof` boxes are read. What is kept is as large as the tables that are written of it: some 1.2 MB for
an hour of pictures and sound.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator

from media.isobmff.box_reader import Box, MalformedError, Place, place_of
from media.isobmff.fragment_reader import FragmentReading, RunReading, read_fragment
from media.isobmff.movie_reader import MovieReading

READ_BYTES = 4096  # holds the moof of two seconds and the header behind it: one read a fragment
_DURATION_MAX = 0xFFFF_FFFF  # of one sample, in ticks
_OFFSET_MIN = -(1 << 31)
_LATE_US_MAX = 1_000_000  # a frame of sound, rounding; a time that is damaged must not take the rest with it

Read = Callable[[int, int], bytes]  # the bytes [start, stop) of the file


class RunLengths:
    """Values in a row and how often each is repeated: what `stts`, `ctts` and `stsc` are made of."""

    def __init__(self, *, signed: bool = False) -> None:
        self.counts, self.values = array("I"), array("i" if signed else "I")

    def extend(self, values: Iterable[int]) -> None:
        """Append values, each one time."""
        last = self.values[-1] if self.values else None
        for value in values:
            if value == last:
                self.counts[-1] += 1
            else:
                self.counts.append(1)
                self.values.append(value)
                last = value

    def replace_last(self, value: int) -> None:
        """Let the value that was appended last be another."""
        self.counts[-1] -= 1
        if not self.counts[-1]:
            self.counts.pop()
            self.values.pop()
        self.extend((value,))


class TrackSamples:
    """All samples of one track so far; a run of a fragment becomes a chunk. Times in the track's ticks."""

    def __init__(self) -> None:
        self.begins, self.ends = 0, 0
        self.sizes, self.key_frames = array("I"), array("I")  # key frames by number, from 1
        self.durations, self.composition_offsets = RunLengths(), RunLengths(signed=True)
        self.chunk_offsets, self.chunk_samples = array("Q"), RunLengths()

    def require_fits(self, run: RunReading, offset: int) -> None:
        """Raise MalformedError where the run cannot follow what is there."""
        if any(not _OFFSET_MIN <= sample.composition_offset <= -_OFFSET_MIN - 1 for sample in run.samples):
            raise MalformedError("a composition offset of more than 31 bits", offset)
        if self.sizes and not 0 <= self._last_duration(run) <= _DURATION_MAX:
            raise MalformedError(f"track {run.track_id} goes back in time", offset)

    def take(self, run: RunReading) -> None:
        """Append a run. Where it begins later than the last one ended, the last sample lasts until then."""
        base = self.ends if run.base_decode_time is None else run.base_decode_time
        if not self.sizes:
            self.begins = base
        elif base != self.ends:
            self.durations.replace_last(self._last_duration(run))
        durations, sizes, key_frames, offsets = zip(*run.samples, strict=True)
        first = len(self.sizes) + 1
        self.key_frames.extend(number for number, key in enumerate(key_frames, first) if key)
        self.sizes.extend(sizes)
        self.durations.extend(durations)
        self.composition_offsets.extend(offsets)
        self.chunk_offsets.append(run.data_offset)
        self.chunk_samples.extend((len(sizes),))
        self.ends = base + sum(durations)

    def _last_duration(self, run: RunReading) -> int:
        base = self.ends if run.base_decode_time is None else run.base_decode_time
        return self.durations.values[-1] + base - self.ends


class SampleCollector:
    """The samples of every track of `movie`, in the order of the file."""

    def __init__(self, movie: MovieReading) -> None:
        self._movie = movie
        self.tracks = {track_id: TrackSamples() for track_id in movie.tracks}

    def take(self, start: int, stop: int, end_us: int, read: Read) -> bool:
        """Take the fragments in these bytes of the file; return whether all of them made sense.

        `end_us` is when they end, as far as others know. One that makes none is left out whole, and so is
        what follows it in these bytes: a gap.
        """
        try:
            for fragment in _fragments(start, stop, read, self._movie):
                self._require_fits(fragment, end_us)
                for run in fragment.runs:
                    if run.samples:
                        self.tracks[run.track_id].take(run)
        except MalformedError:
            return False
        return True

    def _require_fits(self, fragment: FragmentReading, end_us: int) -> None:
        seen: set[int] = set()
        for run in fragment.runs:
            latest = (end_us + _LATE_US_MAX) * self._movie.tracks[run.track_id].timescale // 1_000_000
            if (run.base_decode_time or 0) + run.duration > latest:
                raise MalformedError(f"track {run.track_id} is ahead of its time", fragment.offset)
            if run.track_id not in seen:
                self.tracks[run.track_id].require_fits(run, fragment.offset)
            elif run.base_decode_time is not None:
                raise MalformedError(f"track {run.track_id} begins twice", fragment.offset)
            seen.add(run.track_id)


def _fragments(start: int, stop: int, read: Read, movie: MovieReading) -> Iterator[FragmentReading]:
    at = start
    while at < stop:
        head = read(at, min(at + READ_BYTES, stop))
        place = _whole(place_of(head, at, stop))
        if place.kind == b"moof":
            if place.size + 16 > len(head):
                head = read(at, min(place.end + 16, stop))
            fragment = read_fragment(_box(place, head), movie)
            place = _whole(place_of(head[place.size :], place.end, stop))
            _require_data(fragment, place)
            yield fragment
        at = place.end


def _box(place: Place, head: bytes) -> Box:
    return Box(place.kind, memoryview(head)[place.header_bytes : place.size], place.offset)


def _whole(place: Place) -> Place:
    if not place.whole:
        raise MalformedError("a fragment that is not whole", place.offset)
    return place


def _require_data(fragment: FragmentReading, mdat: Place) -> None:
    """The samples have to fill the `mdat`: a size that is one bit off must not shift those behind it."""
    at = mdat.offset + mdat.header_bytes
    for run in fragment.runs:
        if mdat.kind != b"mdat" or run.data_offset != at or run.data_end > mdat.end:
            raise MalformedError("samples outside of the mdat", fragment.offset)
        at = run.data_end
    if at != mdat.end:
        raise MalformedError("an mdat that its samples do not fill", fragment.offset)
