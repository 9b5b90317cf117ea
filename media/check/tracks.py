"""The times of one track, followed from fragment to fragment."""

from fractions import Fraction

from media.check.report import Problems, TrackReport
from media.isobmff.fragment_reader import RunReading
from media.isobmff.movie_reader import TrackReading

JOINT_TOLERANCE_S = Fraction(2, 1000)  # rounding between clocks is under 1 ms; a lost AAC frame is 21 ms


class TrackTally:
    """Counts samples and reports what breaks the timeline; the decoding adds its own counts."""

    def __init__(self, track: TrackReading, problems: Problems) -> None:
        self.track = track
        self.decoded = 0
        self.errors = 0
        self._problems = problems
        self._samples = track.table.samples
        self._start: int | None = 0 if track.table.samples else None
        self._end = track.table.duration
        self._tolerance = JOINT_TOLERANCE_S * track.timescale

    @property
    def samples(self) -> int:
        return self._samples

    def add_decoded(self) -> None:
        """One more frame of the track could be decoded."""
        self.decoded += 1

    def add_error(self) -> None:
        """One more packet of the track could not be decoded."""
        self.errors += 1

    def run(self, run: RunReading, offset: int) -> None:
        """Take one run of the fragment that begins at byte `offset`, in file order."""
        base = self._end if run.base_decode_time is None else run.base_decode_time
        if self._start is None:
            self._start = base
        else:
            self._joint(base - self._end, offset)
        if any(sample.duration == 0 for sample in run.samples[:-1]):
            self._problems.add("time_stands_still", f"{self._name}: two samples at one time", offset)
        self._samples += len(run.samples)
        self._end = base + run.duration

    def report(self) -> TrackReport:
        """Return what was found so far."""
        track, scale = self.track, self.track.timescale
        return TrackReport(
            track_id=track.track_id,
            kind=track.kind,
            codec=track.codec,
            samples=self._samples,
            start_s=(self._start or 0) / scale,
            end_s=self._end / scale,
            width=track.width,
            height=track.height,
            channels=track.channels,
            sample_rate=track.sample_rate,
            decoded=self.decoded,
            decode_errors=self.errors,
        )

    @property
    def _name(self) -> str:
        return f"track {self.track.track_id} ({self.track.codec})"

    def _joint(self, distance: int, offset: int) -> None:
        """Judge the distance in ticks from the end of the last run to the start of this one."""
        missing_s = distance / self.track.timescale
        at_s = self._end / self.track.timescale
        if distance > self._tolerance:
            detail = f"{self._name}: {missing_s:.3f} s missing after {at_s:.3f} s"
            self._problems.add("gap", detail, offset)
        elif distance < -self._tolerance:
            detail = f"{self._name}: {-missing_s:.3f} s back at {at_s:.3f} s"
            self._problems.add("time_backwards", detail, offset)
