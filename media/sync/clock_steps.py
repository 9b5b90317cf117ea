"""Steps of a sender's RTP clock, which stood still: found in the arrivals of its packets.

Sound is counted in samples, so whatever keeps a sender from taking them (a context that is suspended, a
headset that stutters, a browser short of processor) makes its RTP clock stand still, and everything after it
arrives later than its timestamps say. Three other things make packets late, and are no steps:

* a network or a queue: all streams of a sender alike, or not for long;
* a sender that takes every sample and cannot keep up with coding them: its timestamps have no gaps, and some
  time later it catches up. Its pictures are late too then, and all of it wavers;
* jitter: some packets are late, never all of them.

So a step is what raises *every* packet of a stream for a while, while the sender's other streams come when
they should. Where they do not, nothing is certain before the lateness of all of them has stayed the same.
And a clock never goes faster: packets that come sooner than a step allows take it back. Pure; times are
nanoseconds.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

from media.sync.lateness import Jitter, LateRun, RecentExcess

STEP_NS_MIN = 12_000_000  # callbacks of 10 ms make packets that much late, never all of them
SPREAD_SHARE = 2  # a step must stand out by this part of how the packets' own lateness spreads
CERTAIN_NS = 400_000_000  # beside another stream: twenty packets, none of which was quick
CERTAIN_SPREADS = 5  # ... and so much more for jitter, of which most packets are late too
CERTAIN_PACKETS_MIN = 8
PUNCTUAL_NS = 15_000_000  # a stream whose quickest packets are no later than this comes when it should
PAUSE_NS = 300_000_000  # nothing arrived for so long before it ...
PAUSE_STEP_NS = 150_000_000  # ... and then everything is so late: a clock that stood still in a pause
PAUSE_CERTAIN_NS = 250_000_000  # ... once so much of it came: behind a queue that stalled, others follow
ALONE_STEP_NS_MIN = 60_000_000  # without another stream a longer way looks the same as a clock that stood
ALONE_CERTAIN_NS = 1_000_000_000
ABSURD_NS = 1_000_000_000  # above a floor that was a lie: one absurd timestamp
DOUBTFUL_PACKETS_MIN = 3  # fewer late ones are jitter, for which nothing waits
RUN_NS = ALONE_CERTAIN_NS + 500_000_000  # so much of the past is looked at
FALL_NS = 25_000_000  # what was late and is by so much less late catches up: no clock does
STEPS_KEPT_MAX = 64  # frames before the oldest of them are rendered long since


@dataclass(frozen=True, slots=True)
class Doubt:
    """Packets from this timestamp on, which began to arrive then, may lie behind a step."""

    since_ns: int
    rtp_timestamp: int


@dataclass(frozen=True, slots=True)
class Step:
    """The clock stood still for so long just before this timestamp, which arrived then."""

    rtp_timestamp: int
    length_ns: int
    since_ns: int


class SteadyClock:
    """An RTP clock as it would count if it had never stood still."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._steps: deque[tuple[int, int]] = deque(maxlen=STEPS_KEPT_MAX)  # from a timestamp on, in all
        self._first = 0  # what came before the steps that are kept
        self.stood_still = 0  # in all so far, in units of the clock

    def shift(self, rtp_timestamp: int) -> int:
        """For how many units the clock had stood still before this timestamp."""
        shift = self.stood_still
        for start, total in reversed(self._steps):
            if rtp_timestamp >= start:
                return total
            shift = self._first
        return shift

    def stand_still(self, step: Step) -> None:
        """Take a step into account; it is after those before."""
        if len(self._steps) == STEPS_KEPT_MAX:
            self._first = self._steps[0][1]
        self.stood_still += step.length_ns * self._rate // 1_000_000_000
        self._steps.append((step.rtp_timestamp, self.stood_still))

    def take_back(self, length_ns: int) -> int:
        """The newest steps were shorter by so much in all; return by how much they could be, in ns."""
        before = self.stood_still
        self.stood_still = max(self._first, before - length_ns * self._rate // 1_000_000_000)
        while self._steps and self._steps[-1][1] > self.stood_still:
            start, _ = self._steps.pop()
            earlier = self._steps[-1][1] if self._steps else self._first
            if earlier < self.stood_still:
                self._steps.append((start, self.stood_still))
        return (before - self.stood_still) * 1_000_000_000 // self._rate


_Beside = tuple[int, RecentExcess]  # another stream of the sender, and how late its quickest packet was


class StepDetector:
    """Finds the steps of one stream's RTP clock.

    `counts_samples`: its clock stands still whenever its source does. That of pictures follows the sender's
    time; it may have stood still in a pause, and only where no reports say how it lies.
    """

    def __init__(self, *, counts_samples: bool) -> None:
        self._counts_samples = counts_samples
        self._late = LateRun()
        self._jitter = Jitter()
        self.doubt: Doubt | None = None

    def observe(
        self,
        rtp_timestamp: int,
        arrival_ns: int,
        excess_ns: int,
        elapsed_ns: int,
        companions: Iterable[RecentExcess],
        *,
        bound: bool,
    ) -> Step | None:
        """Take a packet that came `excess_ns` later than the quickest would, `elapsed_ns` after the last.

        `companions`: the sender's other streams. `bound`: reports say how the stream lies to them.
        """
        self._jitter.note(excess_ns)
        if excess_ns < STEP_NS_MIN:
            self.settle()
            return None
        if elapsed_ns >= PAUSE_NS and not self._late:
            self._late.begin(paused=True)
        self._late.append(rtp_timestamp, arrival_ns, excess_ns)
        self._late.forget_before(arrival_ns - RUN_NS)
        return self._judged(arrival_ns, companions, bound=bound)

    def settle(self) -> None:
        """Nothing more comes, or nothing is late any more: what is known now is all."""
        self._late.begin()
        self.doubt = None

    def _judged(self, now_ns: int, companions: Iterable[RecentExcess], *, bound: bool) -> Step | None:
        rtp_timestamp, began_ns = self._late.first
        lowest = self._late.lowest
        beside = _most_punctual(companions, began_ns, now_ns) if lowest >= self._relevant_ns else None
        length = lowest if beside is None else lowest - beside[0]
        spread = 0 if length < self._relevant_ns else max(self._late.spread(), self._jitter.average_ns)
        if length < self._least_length(spread, alone=beside is None, bound=bound):
            self.doubt = None
            self._late.forget_before(now_ns - CERTAIN_NS)  # what stands out later is judged without it
            return None
        behind = self._is_behind(beside, now_ns, spread // SPREAD_SHARE)
        if behind and self._late.changes() > STEP_NS_MIN + spread // SPREAD_SHARE:
            self.doubt = None  # a sender that cannot keep up
            return None
        if len(self._late) >= DOUBTFUL_PACKETS_MIN:
            self.doubt = Doubt(began_ns, rtp_timestamp)
        settled_ns = now_ns - self._late.settled_at_ns(lowest)
        return (
            self._stepped(length) if settled_ns >= self._certain_ns(length, spread, beside, behind) else None
        )

    @property
    def _relevant_ns(self) -> int:
        """What is late by less is no step, whatever else is so."""
        return STEP_NS_MIN if self._counts_samples else PAUSE_STEP_NS

    def _is_behind(self, beside: _Beside | None, now_ns: int, slack_ns: int) -> bool:
        """Whether the sender seems to have more to send than it can: nothing is certain soon then."""
        if self._late.bunches() or self._late.falls() > FALL_NS + slack_ns:
            return True
        return beside is not None and not _settled(beside[1], self._late.first[1], now_ns, slack_ns)

    def _least_length(self, spread: int, *, alone: bool, bound: bool) -> int:
        """How long a step must be to be told from jitter, from a longer way, or from a slow encoder."""
        least = STEP_NS_MIN + spread // SPREAD_SHARE
        if not self._counts_samples:
            return PAUSE_STEP_NS if self._late.paused and not bound else ABSURD_NS
        if alone:
            return PAUSE_STEP_NS if self._late.paused else max(ALONE_STEP_NS_MIN, least)
        return least

    def _certain_ns(self, length: int, spread: int, beside: _Beside | None, behind: bool) -> int:
        """For how long packets must have come since the first that was hardly later than all."""
        if self._late.paused and not behind and length >= PAUSE_STEP_NS:
            return PAUSE_CERTAIN_NS
        if beside is None or behind or len(self._late) < CERTAIN_PACKETS_MIN:
            return ALONE_CERTAIN_NS
        return min(ALONE_CERTAIN_NS, CERTAIN_NS + CERTAIN_SPREADS * spread)

    def _stepped(self, length: int) -> Step:
        step = Step(self._late.first[0], length, self._late.first[1])
        rest = [(rtp_timestamp, arrival, excess - length) for rtp_timestamp, arrival, excess in self._late]
        self.settle()
        for rtp_timestamp, arrival, excess in rest:  # there may be a second step behind the first
            if excess < STEP_NS_MIN:
                self._late.begin()
            else:
                self._late.append(rtp_timestamp, arrival, excess)
        return step


def _most_punctual(companions: Iterable[RecentExcess], from_ns: int, to_ns: int) -> _Beside | None:
    """The sender's other stream that was least late meanwhile; None where nothing came of any."""
    known = [(least, other) for other in companions if (least := other.least(from_ns, to_ns)) is not None]
    return min(known, key=itemgetter(0)) if known else None


def _settled(stream: RecentExcess, from_ns: int, to_ns: int, slack_ns: int) -> bool:
    """Whether a stream comes when it should, or late by the same for long."""
    if stream.worst(from_ns, to_ns) <= PUNCTUAL_NS + slack_ns:
        return True
    wavers = stream.wavers(to_ns)
    return wavers is not None and wavers <= PUNCTUAL_NS + slack_ns
