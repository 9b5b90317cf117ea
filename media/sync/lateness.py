"""Lateness: how much later the packets of a stream came than its quickest ever would have.

The excess of a packet is its arrival less its timestamp, less the least of those. Pure; times are
nanoseconds.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from operator import itemgetter

BLOCK_NS = 50_000_000
BLOCKS_MAX = 48  # of the recent past: longer than anything is doubtful
JITTER_PACKETS = 8  # a packet is held against the quickest of so many behind it: what grows is no jitter
JITTER_AVERAGED = 64  # packets: more than a second
JITTER_NS_MAX = 150_000_000  # a packet that was sent again says nothing about jitter
DRAINING_NS = 10_000_000  # packets quicker by more than this than those before: a queue still drained
LATE_PACKETS_MAX = 256  # a second of packets of 5 ms
PART_NS = 200_000_000  # in so much of it some packet of a stream that comes when it should is quick
PART_PACKETS_MIN = 3
FALL_PART_NS = 100_000_000
STEADY_PARTS, STEADY_PART_NS = 5, 400_000_000  # a way that got longer has been so for all of these


class RecentExcess:
    """How late the quickest packets of a stream were lately, block by block."""

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

    def worst(self, from_ns: int, to_ns: int) -> int:
        """How late its quickest packets were in the worst part between two instants."""
        parts = max(1, (to_ns - from_ns) // PART_NS)
        least = [self.least(to_ns - (part + 1) * PART_NS, to_ns - part * PART_NS) for part in range(parts)]
        return max((excess_ns for excess_ns in least if excess_ns is not None), default=0)

    def wavers(self, now_ns: int) -> int | None:
        """By how much its quickest packets differed from each other lately; None where some are unknown."""
        least = [
            self.least(now_ns - (part + 1) * STEADY_PART_NS, now_ns - part * STEADY_PART_NS)
            for part in range(STEADY_PARTS)
        ]
        known = [excess_ns for excess_ns in least if excess_ns is not None]
        return max(known) - min(known) if len(known) == STEADY_PARTS else None

    def lower(self, since_ns: int, by_ns: int) -> None:
        """What came since then was late because the clock had stood still."""
        for block in self._blocks:
            if block[0] >= since_ns // BLOCK_NS:
                block[1] = max(0, block[1] - by_ns)


class Jitter:
    """By how much packets are later than the quickest of those right behind them, on average."""

    def __init__(self) -> None:
        self.average_ns = 0
        self._excesses: deque[int] = deque(maxlen=JITTER_PACKETS)

    def note(self, excess_ns: int) -> None:
        """A packet arrived."""
        if len(self._excesses) == JITTER_PACKETS:
            late_ns = self._excesses[0] - min(excess_ns, *self._excesses)
            self.average_ns += (min(late_ns, JITTER_NS_MAX) - self.average_ns) // JITTER_AVERAGED
        self._excesses.append(excess_ns)


_Late = tuple[int, int, int]  # timestamp, arrival, excess


class LateRun:
    """Late packets in a row: none in between was quick. `paused`: nothing at all came before the first."""

    def __init__(self) -> None:
        self._packets: deque[_Late] = deque(maxlen=LATE_PACKETS_MAX)
        self.paused = False

    def __len__(self) -> int:
        return len(self._packets)

    def __iter__(self) -> Iterator[_Late]:
        return iter(self._packets)

    @property
    def first(self) -> tuple[int, int]:
        """Timestamp and arrival of the oldest packet."""
        rtp_timestamp, arrival_ns, _ = self._packets[0]
        return rtp_timestamp, arrival_ns

    @property
    def lowest(self) -> int:
        """The excess of the quickest packet."""
        lowest: int = min(map(_EXCESS, self._packets))
        return lowest

    def append(self, rtp_timestamp: int, arrival_ns: int, excess_ns: int) -> None:
        """A packet arrived."""
        self._packets.append((rtp_timestamp, arrival_ns, excess_ns))

    def begin(self, *, paused: bool = False) -> None:
        """Nothing is late any more."""
        self._packets.clear()
        self.paused = paused

    def forget_before(self, arrival_ns: int) -> None:
        """What came earlier is not looked at any more."""
        while self._packets and self._packets[0][1] < arrival_ns:
            self._packets.popleft()
            self.paused = False

    def spread(self) -> int:
        """By how much half of the packets are later than the quickest of those behind them."""
        quickest, late = self._packets[-1][2], []
        for _, _, excess in reversed(self._packets):
            quickest = min(quickest, excess)
            late.append(excess - quickest)
        return sorted(late)[len(late) // 2]

    def settled_at_ns(self, lowest: int) -> int:
        """When a packet first came that was hardly later than the quickest of all."""
        near = (arrival_ns for _, arrival_ns, excess in self._packets if excess <= lowest + DRAINING_NS)
        return next(near)

    def changes(self) -> int:
        """By how much the quickest packets of its parts differ from each other."""
        least = [part_least for part_least, count in self._parts(PART_NS) if count >= PART_PACKETS_MIN]
        return max(least) - min(least) if least else 0

    def falls(self) -> int:
        """By how much its quickest packets of one moment were later than those of the moment behind it."""
        least = [part_least for part_least, _ in self._parts(FALL_PART_NS)]
        return max((before - after for before, after in pairwise(least)), default=0)

    def bunches(self) -> bool:
        """Whether most packets follow the one before them in less than half of their own time."""
        pairs = list(pairwise(self._packets))
        close = sum(before[2] - after[2] > after[1] - before[1] for before, after in pairs)
        return close * 5 > len(pairs) * 3

    def _parts(self, length_ns: int) -> list[tuple[int, int]]:
        """The least excess of each part since its beginning, and of how many packets."""
        parts: list[tuple[int, int]] = []
        _, began_ns, _ = self._packets[0]
        number = -1
        for _, arrival_ns, excess in self._packets:
            if (arrival_ns - began_ns) // length_ns == number:
                least, count = parts[-1]
                parts[-1] = min(least, excess), count + 1
            else:
                number = (arrival_ns - began_ns) // length_ns
                parts.append((excess, 1))
        return parts


_EXCESS = itemgetter(2)  # of a late packet
