"""The jitter buffer: packets back in order, waiting for what is missing as long as a recording can afford."""

from collections.abc import Callable

from media.rtp.wire.packet import RtpPacket

PACKETS_MAX = 2048  # one second of 20 Mbit/s
BYTES_MAX = 4 * 1024 * 1024
SETTLE_PACKETS = 32  # how far back the first packet may have overtaken others
SETTLE_NS = 60_000_000  # and how long those are waited for: nothing was lost yet, and nobody asks for them

ROUND_TRIPS = 8  # a request, or what it asks for, may be lost as well, several times
WAITS_MAX = 5  # so many times the agreed wait at most, however far away a sender is

Release = Callable[[RtpPacket, int], None]


def longest_wait_ns(agreed_ns: int) -> int:
    """For how long a gap can be waited for at most: whoever renders waits with it."""
    return agreed_ns * WAITS_MAX


class JitterBuffer:
    """Releases each packet once, in ascending order; after `wait_ns`, or some round trips, a gap is given up.

    `release(packet, lost)` is called with the number of packets given up directly before it.
    `settle`: the first packet may have overtaken others, which are waited for briefly and are not counted.
    Sequence numbers are extended. Over PACKETS_MAX or BYTES_MAX the oldest gap is given up at once.
    """

    __slots__ = (
        "_bytes",
        "_expected",
        "_held",
        "_release",
        "_settling",
        "_wait_ns",
        "_waited_ns",
        "blocked_since_ns",
    )

    def __init__(self, first: int, wait_ns: int, release: Release, *, settle: bool = False) -> None:
        self._settling = settle
        self._expected = first - SETTLE_PACKETS if settle else first
        self._wait_ns = self._waited_ns = wait_ns
        self._release = release
        self._held: dict[int, RtpPacket] = {}
        self._bytes = 0
        self.blocked_since_ns: int | None = None

    @property
    def expected(self) -> int:
        """The next sequence number to be released."""
        return self._expected

    @property
    def deadline_ns(self) -> int | None:
        """When the oldest gap is given up; None while nothing is waited for."""
        if self.blocked_since_ns is None:
            return None
        return self.blocked_since_ns + (SETTLE_NS if self._settling else self._waited_ns)

    def follow(self, round_trip_ns: int) -> None:
        """What is asked for again takes so long: wait for some of them, and never less than agreed."""
        longest_ns = longest_wait_ns(self._wait_ns)
        self._waited_ns = max(self._wait_ns, min(longest_ns, ROUND_TRIPS * round_trip_ns))

    def insert(self, sequence: int, packet: RtpPacket) -> bool:
        """Take a packet; False when it is a duplicate or comes too late."""
        if sequence == self._expected and not self._held:
            self._expected = sequence + 1
            self._release(packet, 0)
            return True
        if sequence < self._expected or sequence in self._held:
            return False
        self._held[sequence] = packet
        self._bytes += len(packet.payload)
        if sequence == self._expected:
            self._drain(0)
        elif self.blocked_since_ns is None:
            self.blocked_since_ns = packet.arrival_ns
        while len(self._held) > PACKETS_MAX or self._bytes > BYTES_MAX:
            self._give_up()
        return True

    def expire(self, now_ns: int) -> None:
        """Give up every gap that has been waited for long enough."""
        while (deadline := self.deadline_ns) is not None and deadline <= now_ns:
            self._give_up()

    def flush(self) -> None:
        """Give up every gap: nothing more will come."""
        while self._held:
            self._give_up()

    def _give_up(self) -> None:
        first = min(self._held)
        lost = 0 if self._settling else first - self._expected
        self._settling = False
        self._expected = first
        self._drain(lost)

    def _drain(self, lost: int) -> None:
        held = self._held
        while (packet := held.pop(self._expected, None)) is not None:
            self._expected += 1
            self._bytes -= len(packet.payload)
            self._release(packet, lost)
            lost = 0
        # Whatever is still held came after the gap that is now the oldest.
        self.blocked_since_ns = min((p.arrival_ns for p in held.values()), default=None)
