"""The watermark: the instant up to which the output may be rendered, as soon as nothing can still come.

A source is complete up to `now - margin` unless the receiver says that it waits for a retransmission; then
it is complete up to the last frame it delivered, for as long as the reorder budget lasts. A source that is
silent or vanished says nothing and is therefore never waited for. What was held up is caught up with at a
measured pace: a burst would look like a machine that cannot keep up. Pure; times are nanoseconds of one
monotonic clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MARGIN_NS_MIN = 150_000_000  # jitter of an ordinary link and the wait for the packet that shows a gap
MARGIN_NS_MAX = 2_000_000_000  # what one slow source may cost the freshness of all
HANDOVER_NS = 100_000_000  # from giving up a gap on the event loop to the frames behind it being here
HEADROOM_NS = 30_000_000  # above the latest frame seen
FORGETTING_PPM = 50_000  # of the time that passes: a peak of 300 ms is forgotten in 6 s, of 2 s in 40 s
CATCH_UP = 4  # so much faster than time passes: a second is caught up with in a third of one


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one source is: the end of what it delivered, and since when it waits for a gap to be filled."""

    delivered_ns: int | None
    blocked_since_ns: int | None


class Watermark:
    """The instant before which everything is rendered; never goes back."""

    def __init__(self, *, reorder_wait_ns: int) -> None:
        self._reorder_wait_ns = reorder_wait_ns
        self._lateness_ns = 0
        self._seen_ns: int | None = None
        self._instant_ns: int | None = None

    @property
    def margin_ns(self) -> int:
        """How far behind now an undisturbed source is taken as complete: follows the latest frames seen."""
        return max(MARGIN_NS_MIN, min(MARGIN_NS_MAX, self._lateness_ns + HEADROOM_NS))

    def begin(self, instant_ns: int) -> None:
        """Nothing before this instant will be rendered."""
        self._instant_ns = instant_ns

    def observe(self, late_ns: int) -> None:
        """A frame was handed over this long after its capture time."""
        self._lateness_ns = max(self._lateness_ns, late_ns)

    def advance(self, now_ns: int, sources: Iterable[Progress]) -> int:
        """Return the instant up to which to render now."""
        passed_ns = self._passed(now_ns)
        instant = now_ns - self.margin_ns
        for source in sources:
            since = source.blocked_since_ns
            if since is None or now_ns - since > self._reorder_wait_ns + HANDOVER_NS:
                continue
            delivered = source.delivered_ns
            instant = min(instant, since - self.margin_ns if delivered is None else delivered)
        earliest = now_ns - MARGIN_NS_MAX - self._reorder_wait_ns - HANDOVER_NS
        instant = max(instant, earliest)
        if self._instant_ns is None:
            self._instant_ns = instant
        elif instant > self._instant_ns:
            self._instant_ns = min(instant, self._instant_ns + CATCH_UP * passed_ns)
        return self._instant_ns

    def _passed(self, now_ns: int) -> int:
        """Time since the last look; old latenesses are forgotten over it."""
        passed_ns = 0 if self._seen_ns is None else max(0, now_ns - self._seen_ns)
        self._lateness_ns = max(0, self._lateness_ns - passed_ns * FORGETTING_PPM // 1_000_000)
        self._seen_ns = now_ns
        return passed_ns
