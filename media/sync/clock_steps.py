"""Steps of a sender's RTP clock, which stood still: found in the arrivals of its packets.

Sound is counted in samples, so whatever keeps a sender from taking them (a context that is suspended, a
headset that stutters, a machine short of processor) makes its RTP clock stand still, and everything after it
arrives later than its timestamps say. A network or a queue delays packets too, but all streams of a sender
alike, or not for long. So a step is what raises *every* packet of a stream for a while by more than the
sender's other streams are raised, and by more than its own jitter explains. Pure; times are nanoseconds.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

STEP_NS_MIN = 12_000_000  # callbacks of 10 ms make packets that much late, never all of them
SPREAD_SHARE = 2  # a step must stand out by this part of how the packets' own lateness spreads
CERTAIN_NS = 400_000_000  # beside another stream: twenty packets, none of which was quick
CERTAIN_SPREADS = 5  # ... and so much more for jitter, of which most packets are late too
CERTAIN_PACKETS_MIN = 8
PAUSE_NS = 300_000_000  # nothing arrived for so long before it ...
PAUSE_STEP_NS = 150_000_000  # ... and then everything is so late: a clock that stood still in a pause
PAUSE_CERTAIN_NS = 250_000_000  # ... once so much of it came: behind a queue that stalled, others follow
ALONE_STEP_NS_MIN = 60_000_000  # without another stream a longer way looks the same as a clock that stood
ALONE_CERTAIN_NS = 1_000_000_000
ABSURD_NS = 1_000_000_000  # above a floor that was a lie: one absurd timestamp
DRAINING_NS = 10_000_000  # packets quicker by more than this than any before: a queue still drains
DOUBTFUL_PACKETS_MIN = 3  # fewer late ones are jitter, for which nothing waits
USUAL_PACKETS = 64  # over so many the usual lateness is averaged: more than a second
USUAL_NS_MAX = 150_000_000  # a packet that was sent again says nothing about jitter
LATE_PACKETS_MAX = 256  # a second of packets of 5 ms
BLOCK_NS = 50_000_000
BLOCKS_MAX = 48  # of the recent past: longer than anything is doubtful
STEPS_KEPT_MAX = 64  # frames before the oldest of them are rendered long since
_EXCESS = itemgetter(2)  # of a late packet


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


class RecentExcess:
    """How late the quickest packets of a stream were lately, against its quickest ever."""

    def __init__(self) -> None:
        self._blocks: deque[list[int]] = deque(maxlen=BLOCKS_MAX)  # [number of the block, least excess]

    def note(self, arrival_ns: int, excess_ns: int) -> None:
        """A packet arrived."""
        number = arrival_ns // BLOCK_NS
        if self._blocks and self._blocks[-1][0] >= number:
            newest = self._blocks[-1]
            newest[1] = min(newest[1], excess_ns)
        else:
            self._blocks.append([number, excess_ns])

    def least(self, from_ns: int, to_ns: int) -> int | None:
        """The excess of the quickest packet well between two instants; None where none came."""
        first, last = from_ns // BLOCK_NS + 1, to_ns // BLOCK_NS
        quickest: int | None = None
        for number, least in reversed(self._blocks):  # the newest are asked for, of many
            if number < first:
                break
            if number <= last and (quickest is None or least < quickest):
                quickest = least
        return quickest

    def lower(self, since_ns: int, by_ns: int) -> None:
        """What came since then was late because the clock had stood still."""
        for block in self._blocks:
            if block[0] >= since_ns // BLOCK_NS:
                block[1] = max(0, block[1] - by_ns)


class StepDetector:
    """Finds the steps of one stream's RTP clock.

    `counts_samples`: its clock stands still whenever its source does. That of pictures follows the sender's
    time; it may have stood still in a pause, and only where no reports say how it lies.
    """

    def __init__(self, *, counts_samples: bool) -> None:
        self._counts_samples = counts_samples
        self._late: deque[tuple[int, int, int]] = deque(maxlen=LATE_PACKETS_MAX)  # timestamp, arrival, excess
        self._usual = 0  # lateness of the packets on average
        self._paused = False  # nothing came before the first of them for PAUSE_NS
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
        if self.doubt is None:
            self._usual += (min(excess_ns, USUAL_NS_MAX) - self._usual) // USUAL_PACKETS
        if excess_ns < STEP_NS_MIN:
            self._clear()
            return None
        if elapsed_ns >= PAUSE_NS:
            self._clear()
            self._paused = True
        self._late.append((rtp_timestamp, arrival_ns, excess_ns))
        while arrival_ns - self._late[0][1] > ALONE_CERTAIN_NS + BLOCK_NS:
            self._late.popleft()
            self._paused = False
        return self._judged(arrival_ns, companions, bound=bound)

    def settle(self) -> None:
        """Nothing more comes: what is known now is all."""
        self._clear()

    def _judged(self, now_ns: int, companions: Iterable[RecentExcess], *, bound: bool) -> Step | None:
        began_ns = self._late[0][1]
        common = [least for other in companions if (least := other.least(began_ns, now_ns)) is not None]
        lowest = min(self._late, key=_EXCESS)[2]
        length = lowest - min(common, default=0)
        spread = 0 if length < STEP_NS_MIN else self._spread(lowest)  # which takes longest to find
        if length < self._least_length(spread, alone=not common, bound=bound):
            self.doubt = None
            self._slide(now_ns)
            return None
        if len(self._late) >= DOUBTFUL_PACKETS_MIN:
            self.doubt = Doubt(began_ns, self._late[0][0])
        if not self._certain(now_ns - self._drained_ns(), length, spread, alone=not common):
            return None
        return self._stepped(length)

    def _spread(self, lowest: int) -> int:
        """By how much packets are usually later than the quickest."""
        excesses: list[int] = sorted(map(_EXCESS, self._late))
        return max(excesses[len(excesses) // 2] - lowest, self._usual)

    def _least_length(self, spread: int, *, alone: bool, bound: bool) -> int:
        """How long a step must be to be told from jitter, from a longer way, or from a slow encoder."""
        least = STEP_NS_MIN + spread // SPREAD_SHARE
        if not self._counts_samples:
            return PAUSE_STEP_NS if self._paused and not bound else ABSURD_NS
        if alone:
            return PAUSE_STEP_NS if self._paused else max(ALONE_STEP_NS_MIN, least)
        return least

    def _certain(self, settled_ns: int, length: int, spread: int, *, alone: bool) -> bool:
        """Whether packets have come for long enough since the last that was quicker than all before."""
        if self._paused and length >= PAUSE_STEP_NS:
            return settled_ns >= PAUSE_CERTAIN_NS
        if alone or len(self._late) < CERTAIN_PACKETS_MIN:
            return settled_ns >= ALONE_CERTAIN_NS
        return settled_ns >= min(ALONE_CERTAIN_NS, CERTAIN_NS + CERTAIN_SPREADS * spread)

    def _drained_ns(self) -> int:
        """When the last packet came that was much quicker than those before it."""
        _, drained_ns, level = self._late[0]
        for _, arrival_ns, excess in self._late:
            if excess < level - DRAINING_NS:
                drained_ns, level = arrival_ns, excess
        return drained_ns

    def _slide(self, now_ns: int) -> None:
        """Nothing is doubtful: what stands out later shall be judged without what came long before."""
        while self._late and now_ns - self._late[0][1] > CERTAIN_NS:
            self._late.popleft()
            self._paused = False

    def _stepped(self, length: int) -> Step:
        step = Step(self._late[0][0], length, self._late[0][1])
        rest = [(rtp_timestamp, arrival, excess - length) for rtp_timestamp, arrival, excess in self._late]
        self._clear()
        for rtp_timestamp, arrival, excess in rest:  # there may be a second step behind the first
            if excess < STEP_NS_MIN:
                self._clear()
            else:
                self._late.append((rtp_timestamp, arrival, excess))
        return step

    def _clear(self) -> None:
        self._late.clear()
        self._paused = False
        self.doubt = None
