"""The report of `bystander check`: problems by code, tracks, and how they are written out."""

import msgspec

PROBLEMS_MAX = 100  # a file with more is read to its end, but they are only counted


class Problem(msgspec.Struct, frozen=True):
    """One reason why a file is not whole: a stable `code`, a sentence, and the byte where it shows."""

    code: str
    detail: str
    offset: int | None = None


class TrackReport(msgspec.Struct, frozen=True, kw_only=True):
    """One track: times in seconds on the file's own clock; `decoded` pictures or AAC frames."""

    track_id: int
    kind: str  # "vide", "soun" or another handler
    codec: str  # the sample entry: "avc1", "mp4a"
    samples: int
    start_s: float
    end_s: float
    width: int = 0
    height: int = 0
    channels: int = 0
    sample_rate: int = 0
    decoded: int = 0
    decode_errors: int = 0

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one file; `whole_until` is the byte after the last whole fragment (or mdat)."""

    size: int
    fragmented: bool
    indexed: bool  # has a sidx for seeking
    fragments: int
    whole_until: int
    tracks: list[TrackReport]
    problems: list[Problem]
    problems_unlisted: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def duration_s(self) -> float:
        """The end of the longest track."""
        return max((track.end_s for track in self.tracks), default=0.0)

    @property
    def difference_s(self) -> float:
        """How much longer the longest of picture and sound is than the shortest; 0 with one track."""
        ends = [track.end_s for track in self.tracks if track.kind in ("vide", "soun")]
        return max(ends) - min(ends) if ends else 0.0


class Problems:
    """Collects problems up to PROBLEMS_MAX and counts the rest."""

    def __init__(self) -> None:
        self.listed: list[Problem] = []
        self.unlisted = 0

    def add(self, code: str, detail: str, offset: int | None = None) -> None:
        if len(self.listed) < PROBLEMS_MAX:
            self.listed.append(Problem(code, detail, offset))
        else:
            self.unlisted += 1


def render(report: Report) -> str:
    """Return the report as lines for people, the verdict first."""
    form = f"fragmented, {report.fragments} fragments" if report.fragmented else "not fragmented"
    index = ", seek index" if report.indexed else ""
    lines = [
        "whole" if report.ok else "NOT WHOLE",
        f"  {report.size} bytes, {form}{index}, {report.duration_s:.3f} s",
        *map(_track_line, report.tracks),
    ]
    if len(report.tracks) > 1:
        lines.append(f"  tracks end {report.difference_s * 1000:.0f} ms apart")
    if report.whole_until < report.size:
        lines.append(f"  {report.size - report.whole_until} bytes after the last whole media")
    lines += map(_problem_line, report.problems)
    if report.problems_unlisted:
        lines.append(f"  and {report.problems_unlisted} more")
    return "\n".join(lines) + "\n"


def _track_line(track: TrackReport) -> str:
    if track.kind == "vide":
        form = f"{track.width}x{track.height}"
    elif track.kind == "soun":
        form = f"{track.sample_rate} Hz, {track.channels} channel{'s' * (track.channels != 1)}"
    else:
        form = "not checked"
    return (
        f"  track {track.track_id}: {track.codec} {form}, {track.samples} samples"
        f" from {track.start_s:.3f} s to {track.end_s:.3f} s,"
        f" {track.decoded} decoded, {track.decode_errors} decoding errors"
    )


def _problem_line(problem: Problem) -> str:
    where = "" if problem.offset is None else f" (byte {problem.offset})"
    return f"  {problem.code}: {problem.detail}{where}"
