"""The structure check: whether boxes are whole and agree with each other; nothing is decoded here."""

from typing import BinaryIO

from media.check.report import Problems
from media.check.tracks import TrackTally
from media.isobmff.box_reader import MalformedError, Place, load, top_level
from media.isobmff.fragment_reader import FragmentReading, read_fragment
from media.isobmff.index import Reference, read_sidx
from media.isobmff.movie_reader import MovieReading, read_movie

END_DIFFERENCE_S_MAX = 0.5  # a picture may last a second, but both tracks are cut at the same instant
PROMISE_TOLERANCE_S = 0.05  # what the headers say is rounded to a fragment's end: two AAC frames

_DESCRIPTIONS = frozenset({b"ftyp", b"styp", b"pdin", b"prft", b"emsg", b"ssix", b"mfra", b"meta", b"udta"})
_FILLERS = frozenset({b"free", b"skip", b"wide", b"uuid"})
_KNOWN = _DESCRIPTIONS | _FILLERS | {b"moov", b"moof", b"mdat", b"sidx"}


class Structure:
    """Reads a file's boxes from the first to the last and keeps what they say; problems go to `problems`."""

    def __init__(self, file: BinaryIO, problems: Problems) -> None:
        self.movie: MovieReading | None = None
        self.tallies: dict[int, TrackTally] = {}
        self.fragments = 0
        self.whole_until = 0
        self._file = file
        self._problems = problems
        self._open: FragmentReading | None = None  # a moof whose mdat has not come yet
        self._sequence_number: int | None = None
        self._starts: list[int] = []
        self._indexes: list[tuple[int, list[Reference]]] = []
        self.size = file.seek(0, 2)

    @property
    def indexed(self) -> bool:
        return bool(self._indexes)

    def read(self) -> None:
        """Go through the whole file. What cannot be read ends it with a problem, not with an exception."""
        if self.size == 0:
            self._problems.add("empty", "the file has no bytes")
            return
        try:
            for place in top_level(self._file):
                self._place(place)
        except MalformedError as error:
            code = "not_mp4" if error.offset == 0 else "malformed_box"
            self._problems.add(code, error.detail, error.offset)
        self._conclude()

    def _place(self, place: Place) -> None:
        if place.offset == 0 and place.kind not in _KNOWN:
            raise MalformedError("the file does not begin with a box that MP4 knows", 0)
        if not place.whole:
            name = place.kind.decode("latin-1") or "box header"
            self._problems.add("truncated", f"the file ends inside a {name}", place.offset)
        elif place.kind == b"moov":
            self._moov(place)
        elif place.kind == b"moof":
            self._moof(place)
        elif place.kind == b"mdat":
            self._mdat(place)
        elif place.kind == b"sidx":
            self._indexes.append(read_sidx(load(self._file, place)))
        elif place.kind not in _KNOWN:
            self._problems.add(
                "unknown_box", f"nothing is called {place.kind.decode('latin-1')}", place.offset
            )

    def _moov(self, place: Place) -> None:
        if self.movie is not None:
            raise MalformedError("a second moov", place.offset)
        self.movie = read_movie(load(self._file, place))
        self.tallies = {key: TrackTally(track, self._problems) for key, track in self.movie.tracks.items()}
        if not self.movie.fragmented:
            self._ordinary_data(place)

    def _ordinary_data(self, moov: Place) -> None:
        data_end = max((track.table.data_end for track in self._movie.tracks.values()), default=0)
        if data_end > self.size:
            detail = f"{data_end - self.size} bytes of media are missing at the end"
            self._problems.add("truncated", detail, moov.offset)
        self.whole_until = max(self.whole_until, moov.end)

    @property
    def _movie(self) -> MovieReading:
        if self.movie is None:
            raise MalformedError("media before moov", self.whole_until)
        return self.movie

    def _moof(self, place: Place) -> None:
        self._fragment_without_data()
        self._open = read_fragment(load(self._file, place), self._movie)

    def _fragment_without_data(self) -> None:
        if self._open is not None:
            self._problems.add("fragment_incomplete", "a moof without its mdat", self._open.offset)
            self._open = None

    def _mdat(self, place: Place) -> None:
        fragment, self._open = self._open, None
        if fragment is None:
            if self.movie is not None and self.movie.fragmented:
                self._problems.add("fragment_incomplete", "an mdat without its moof", place.offset)
            self.whole_until = place.end
            return
        data_begins = place.offset + place.header_bytes
        if any(run.data_offset < data_begins or run.data_end > place.end for run in fragment.runs):
            self._problems.add("fragment_incomplete", "samples outside of the mdat", fragment.offset)
        self._sequence(fragment)
        self._key_frames(fragment)
        for run in fragment.runs:
            self.tallies[run.track_id].run(run, fragment.offset)
        self.fragments += 1
        self._starts.append(fragment.offset)
        self.whole_until = place.end

    def _sequence(self, fragment: FragmentReading) -> None:
        number, before = fragment.sequence_number, self._sequence_number
        expected = (0, 1) if before is None else (before + 1,)
        if number not in expected:
            detail = f"fragment {number} comes after {'nothing' if before is None else before}"
            self._problems.add("fragment_sequence", detail, fragment.offset)
        self._sequence_number = number

    def _key_frames(self, fragment: FragmentReading) -> None:
        seen: set[int] = set()
        for run in fragment.runs:
            first = run.track_id not in seen
            seen.add(run.track_id)
            if first and run.samples and not run.samples[0].keyframe:
                detail = f"track {run.track_id} does not begin with a key frame"
                self._problems.add("no_key_frame", detail, fragment.offset)

    def _conclude(self) -> None:
        self._fragment_without_data()
        if self.movie is None:
            if all(problem.code != "not_mp4" for problem in self._problems.listed):
                self._problems.add("no_movie", "there is no moov: nothing says what is recorded")
            return
        if not any(tally.samples for tally in self.tallies.values()):
            self._problems.add("no_media", "there is not one sample")
            return
        if self.movie.fragmented:
            self._promises()
            self._index()
        self._ends()

    def _promises(self) -> None:
        """Headers of a finalised file say how long it is; a file cut at a fragment's end shows only here."""
        end_s = max(tally.report().end_s for tally in self.tallies.values())
        missing_s = self._movie.duration_s - end_s
        if missing_s > PROMISE_TOLERANCE_S:
            self._problems.add("duration_mismatch", f"{missing_s:.3f} s less than the headers promise")

    def _index(self) -> None:
        for track_id, references in self._indexes:
            starts = [reference.offset for reference in references]
            end = references[-1].offset + references[-1].size if references else 0
            if starts != self._starts or end != self.whole_until:
                detail = f"the index of track {track_id} does not fit the fragments"
                self._problems.add("index_mismatch", detail)

    def _ends(self) -> None:
        for tally in self.tallies.values():
            if not tally.samples:
                self._problems.add("track_empty", f"track {tally.track.track_id} has no samples")
        ends = [
            tally.report().end_s for tally in self.tallies.values() if tally.track.kind in ("vide", "soun")
        ]
        if ends and max(ends) - min(ends) > END_DIFFERENCE_S_MAX:
            apart = max(ends) - min(ends)
            self._problems.add("end_difference", f"picture and sound end {apart:.3f} s apart")
