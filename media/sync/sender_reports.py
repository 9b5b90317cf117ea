"""Sender reports of one stream: which of them are believed, and what they say.

A report names the instant of a timestamp (RFC 3550 6.4.1). Some senders name when it was captured. Others
name when its packet left, so that a sender that cannot keep up tells of its own lateness: what its reports
say changes together with how late its packets are. Of those the lateness is taken off again. Pure; times are
nanoseconds.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median_low

from media.handover.encoded_frame import SenderReport

REPORTS_KEPT = 5  # 5 to 25 s of reports: one in two may be wrong
FRAMES_KEPT = 8  # a report comes with the frame that it is about, or overtakes it
REPORTS_AGREE_NS = (
    25_000_000  # how exact an honest sender's reports are (some stamp the last packet, not now)
)
REPORTS_FRESH_NS = 30_000_000_000  # 30 s at 100 ppm are 3 ms; older ones say nothing about lips
PUNCTUAL_NS = 25_000_000  # a packet no later than this was hardly late when it left
LATENESS_CHANGE_NS_MIN = 40_000_000  # less than that between two reports may be jitter
FOLLOWS_SHARE = 2  # a report follows the lateness that it changes by more than this part of
VOTES_MAX = 3  # so many pairs of reports outvote what was found before

Instant = Callable[[int], int]  # a timestamp in nanoseconds of a clock that never stood still


@dataclass(frozen=True, slots=True)
class _Relation:
    """What a report says, and the frame that it is about."""

    rtp_timestamp: int
    ntp_ns: int
    frame_timestamp: int
    frame_arrival_ns: int


class SenderReports:
    """The recent reports of one stream."""

    def __init__(self) -> None:
        self._relations: deque[_Relation] = deque(maxlen=REPORTS_KEPT)
        self._frames: deque[tuple[int, int]] = deque(maxlen=FRAMES_KEPT)  # timestamp, arrival
        self._newest_ns: int | None = None
        self._votes = 0  # above zero: reports name when packets left

    def __bool__(self) -> bool:
        return bool(self._relations)

    def seen(self, rtp_timestamp: int, arrival_ns: int) -> None:
        """Note a frame, which a report may be about."""
        self._frames.append((rtp_timestamp, arrival_ns))

    def knows(self, report: SenderReport) -> bool:
        """Whether the frame that the report is about has come, or one behind it."""
        return bool(self._frames) and self._frames[-1][0] >= report.rtp_timestamp

    def note(self, report: SenderReport, steady: Instant) -> None:
        """Keep a report that `knows` is true of."""
        about = next(frame for frame in self._frames if frame[0] >= report.rtp_timestamp)
        if len(self._relations) > 1:  # the newest may lie behind a step that is not certain yet
            self._vote(self._relations[-2], self._relations[-1], steady)
        self._relations.append(_Relation(report.rtp_timestamp, report.ntp_ns, *about))
        self._newest_ns = report.arrival_ns

    def believed(self, now_ns: int, floor_ns: int, steady: Instant) -> int | None:
        """NTP time less timestamp, as most recent reports say; None where they disagree or are old."""
        if self._newest_ns is None or now_ns - self._newest_ns > REPORTS_FRESH_NS:
            return None
        said = list(self._said(floor_ns, steady))
        if not said:
            return None
        middle = median_low(said)
        agreeing = sum(abs(relation_ns - middle) <= REPORTS_AGREE_NS for relation_ns in said)
        return middle if 2 * agreeing > len(said) else None

    def _said(self, floor_ns: int, steady: Instant) -> Iterator[int]:
        """What the reports say; of senders not known yet those alone whose packets were on time."""
        for relation in self._relations:
            late_ns = relation.frame_arrival_ns - steady(relation.frame_timestamp) - floor_ns
            said_ns = relation.ntp_ns - steady(relation.rtp_timestamp)
            if self._votes > 0:
                yield said_ns - max(0, late_ns)
            elif self._votes < 0 or late_ns <= PUNCTUAL_NS:
                yield said_ns

    def _vote(self, before: _Relation, after: _Relation, steady: Instant) -> None:
        """Find out by two reports whether they follow the lateness of their packets."""

        def change(of: Callable[[_Relation], int]) -> int:
            return of(after) - of(before)

        later_ns = change(lambda r: r.frame_arrival_ns - steady(r.frame_timestamp))
        moved_ns = change(lambda r: r.ntp_ns - steady(r.rtp_timestamp))
        if abs(later_ns) >= LATENESS_CHANGE_NS_MIN:
            follows = abs(moved_ns - later_ns) * FOLLOWS_SHARE < abs(later_ns)
            self._votes = max(-VOTES_MAX, min(VOTES_MAX, self._votes + (1 if follows else -1)))
