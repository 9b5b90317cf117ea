"""The one-way delay to a sender: half of the shortest round trip, as NTP takes it (RFC 5905 8).

Its quickest frames were under way for that long. Without it, what two people hear at the same instant lies
as far apart in a recording as one network is longer than the other. Where the way here and the way back
differ, half of their difference remains. All streams of a sender move alike, so lips never do. Pure; times
are nanoseconds.
"""

ONE_WAY_NS_MAX = 300_000_000  # to a satellite and down; a peer that answers late moves only itself
LEAK_PPM = 400  # a way that got longer is believed as slowly as the floors of the timeline, there and back
SLEW_PPM = 1_000  # with a stream's own slewing no more than sound can be stretched by


class OneWayDelay:
    """The one-way delay of one sender at least: known before its first frame, followed slowly after it."""

    def __init__(self) -> None:
        self.one_way_ns = 0  # as believed now
        self._shortest: int | None = None
        self._measured_at = 0
        self._passed_at: int | None = None  # arrival of the newest frame

    def measured(self, round_trip_ns: int, at_ns: int) -> None:
        """Take one round trip: before the first frame it is believed at once, later it is approached."""
        if self._shortest is None:
            self._shortest = round_trip_ns
        else:
            elapsed = max(0, at_ns - self._measured_at)
            self._shortest = min(round_trip_ns, self._shortest + elapsed * LEAK_PPM // 1_000_000)
        self._measured_at = at_ns
        if self._passed_at is None:
            self.one_way_ns = self._wanted_ns

    def pass_time(self, arrival_ns: int) -> None:
        """A frame of the sender arrived."""
        before = self._passed_at
        self._passed_at = arrival_ns if before is None else max(arrival_ns, before)
        elapsed = 0 if before is None else self._passed_at - before
        step = elapsed * SLEW_PPM // 1_000_000
        self.one_way_ns += max(-step, min(step, self._wanted_ns - self.one_way_ns))

    @property
    def _wanted_ns(self) -> int:
        return min(ONE_WAY_NS_MAX, (self._shortest or 0) // 2)
