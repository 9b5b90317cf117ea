"""The NACK schedule: which packets are asked for again, and when (RFC 4585 6.2.1)."""

from collections.abc import Iterator

# A recording may wait much longer than a call, so it asks more often than a live viewer would.
REORDER_TOLERANCE_NS = 10_000_000  # packets overtake each other by less than this on most paths
RETRY_NS_MIN = 30_000_000
RETRY_NS_MAX = 1_000_000_000
TRIES_MAX = 12
MISSING_PACKETS_MAX = 1024  # beyond that a burst is not worth asking for: a key frame is
REQUESTED_AT_ONCE_MAX = 256  # in one RTCP packet: at most 1 KiB


class NackSchedule:
    """The missing sequence numbers (extended) of one source, each with its next time to be asked for."""

    __slots__ = ("_missing",)

    def __init__(self) -> None:
        self._missing: dict[int, tuple[int, int]] = {}  # sequence -> (next request in ns, tries so far)

    def __len__(self) -> int:
        return len(self._missing)

    def gap(self, first: int, end: int, now_ns: int) -> None:
        """[first, end) was skipped by a newer packet."""
        first = max(first, end - MISSING_PACKETS_MAX)
        due = now_ns + REORDER_TOLERANCE_NS
        for sequence in range(first, end):
            self._missing[sequence] = (due, 0)
        while len(self._missing) > MISSING_PACKETS_MAX:
            del self._missing[next(iter(self._missing))]

    def arrived(self, sequence: int) -> bool:
        """Whether it had been asked for: then its arrival is a recovery."""
        found = self._missing.pop(sequence, None)
        return found is not None and found[1] > 0

    def forget_before(self, sequence: int) -> None:
        """What is older is no longer wanted."""
        for old in [candidate for candidate in self._missing if candidate < sequence]:
            del self._missing[old]

    def due(self, now_ns: int, round_trip_ns: int) -> list[int]:
        """The sequence numbers to ask for now, ascending; each is planned again one round trip later."""
        wanted = sorted(self._due(now_ns))[:REQUESTED_AT_ONCE_MAX]
        wait = min(max(round_trip_ns * 3 // 2, RETRY_NS_MIN), RETRY_NS_MAX)
        for sequence in wanted:
            tries = self._missing[sequence][1] + 1
            self._missing[sequence] = (now_ns + wait, tries)
        return wanted

    def _due(self, now_ns: int) -> Iterator[int]:
        for sequence, (at_ns, tries) in self._missing.items():
            if at_ns <= now_ns and tries < TRIES_MAX:
                yield sequence
