"""One RTP timeline of one stream: its timestamps mapped to local capture times.

* A frame cannot arrive before it was captured, and the quickest one was held up least. So the smallest
  `arrival - timestamp` seen is the stream's *floor*. It follows the clocks' drift by leaking upwards faster
  than any crystal drifts, falls at once with every quicker frame, and so ignores queueing jitter.
* The timestamps are those of a clock that never stands still: what media.sync.clock_steps finds missing is
  added to all that come after it, so that only they are moved, and at once.
* A stream's *lead* is how much longer its frames are under way (grabbing, encoding, pacing) than those of the
  sender's quickest stream; see media.sync.timeline.

What is believed is approached by slewing, so that sound is stretched and never jumps; only a timeline that is
really new (first second, another SSRC) is jumped to, and a picture's first lead, which costs one shorter
picture. Pure; times are nanoseconds.
"""

from collections.abc import Iterable

from media.handover.encoded_frame import Codec, SenderReport
from media.sync.clock_steps import STEP_NS_MIN, Doubt, SteadyClock, Step, StepDetector
from media.sync.lateness import RecentExcess
from media.sync.one_way_delay import OneWayDelay
from media.sync.sender_reports import SenderReports

LEAK_PPM = 200  # twice the +-100 ppm that crystals drift, so that the floor follows either sign
SETTLING_NS = 1_000_000_000  # young estimates improve by jumps; later ones only by slewing
SLEW_PPM_AUDIO = 5_000  # 0.5 %: nine cents of pitch, not heard in speech
SLEW_PPM_VIDEO = 50_000  # a picture 2 ms early or late is not seen
JUMP_NS = 500_000_000  # further off than this is a new timeline, which slewing would take minutes to reach
RAISE_NS = 300_000_000  # every frame so far above its floor ...
RAISE_AFTER_NS = 5_000_000_000  # ... for so long: the way of all of a sender's streams got longer
LATE_NS_MAX = 2_000_000_000  # ... or a stream is later than the output waits for, and would be lost
LEAD_NS_MAX = 1_000_000_000  # what a sender may hold a stream up by; the output can wait for no more


class StreamClock:
    """Maps timestamps of one timeline; `lead_ns` where the one before it was bound to the sender's others."""

    def __init__(
        self, codec: Codec, *, lead_ns: int | None = None, distance: OneWayDelay | None = None
    ) -> None:
        self._distance = distance or OneWayDelay()
        self._rate = codec.clock_rate
        self._is_video = codec.is_video
        self._slew_ppm = SLEW_PPM_VIDEO if codec.is_video else SLEW_PPM_AUDIO
        self.lead_ns = lead_ns or 0
        self.began_ns: int | None = None  # arrival of its first frame
        self.bound = lead_ns is not None  # to the sender's other streams
        self.recent = RecentExcess()
        self._steady = SteadyClock(codec.clock_rate)
        self._steps = StepDetector(counts_samples=not codec.is_video)
        self._floor: int | None = None
        self._applied = 0
        self._last_arrival = 0
        self._above: tuple[int, int] | None = None  # since when, and the least excess of those
        self._reports = SenderReports()

    @property
    def started(self) -> bool:
        """Whether any frame was observed, so that timestamps can be mapped."""
        return self._floor is not None

    @property
    def is_sound(self) -> bool:
        return not self._is_video

    @property
    def doubt(self) -> Doubt | None:
        """Frames of which it is open whether the sender's clock stood still before them; None mostly."""
        return self._steps.doubt

    @property
    def reported(self) -> bool:
        """Whether a report, or the timeline before, tells how this one lies to the sender's others."""
        return self.bound or bool(self._reports)

    @property
    def behind_ns(self) -> int:
        """How much later capture times are still told than is believed."""
        return 0 if self._floor is None else self._applied - (self._floor - self.lead_ns)

    @property
    def last_arrival_ns(self) -> int:
        return self._last_arrival

    def steady(self, rtp_timestamp: int) -> int:
        """The timestamp as it would be if the sender's clock had never stood still."""
        return rtp_timestamp + self._steady.shift(rtp_timestamp)

    def capture_ns(self, rtp_timestamp: int) -> int:
        """Local monotonic time at which this timestamp was captured, as believed now."""
        return self._steady_ns(rtp_timestamp) + self._applied - self._distance.one_way_ns

    def observe(
        self,
        rtp_timestamp: int,
        arrival_ns: int,
        companions: Iterable["StreamClock"] = (),
        *,
        sound_behind_ns: int = 0,
    ) -> Step | None:
        """Learn from one frame's arrival, and return the step that it makes certain; in decoding order.

        `companions`: the sender's other streams. `sound_behind_ns`: what pictures share with its sound.
        """
        self._distance.pass_time(arrival_ns)
        self._reports.seen(rtp_timestamp, arrival_ns)
        offset = arrival_ns - self._steady_ns(rtp_timestamp)
        if self._floor is None:
            self._begin(offset, arrival_ns)
            return None
        if offset < self._floor - STEP_NS_MIN and (taken_ns := self._steady.take_back(self._floor - offset)):
            offset += taken_ns  # a clock that had stood still would not have caught up
        elapsed = max(0, arrival_ns - self._last_arrival)
        self._last_arrival += elapsed
        self._floor = min(offset, self._floor + elapsed * LEAK_PPM // 1_000_000)
        excess = offset - self._floor
        self.recent.note(arrival_ns, excess)
        step = self._steps.observe(
            rtp_timestamp,
            arrival_ns,
            excess,
            elapsed,
            self._beside(companions) if excess >= STEP_NS_MIN else (),
            bound=self.bound,
        )
        if step is not None:
            self._steady.stand_still(step)
            self.recent.lower(step.since_ns, step.length_ns)
            self._above = None
        else:
            self._note_above(excess, arrival_ns)
        self._approach(self._floor - self.lead_ns + sound_behind_ns, elapsed)
        return step

    def relate(self, report: SenderReport) -> bool:
        """Keep what a report says about this RTP clock; False, and later again, before its frame came."""
        if not self._reports.knows(report):
            return False
        self._reports.note(report, self._steady_ns)
        return True

    def sender_offset(self, now_ns: int) -> int | None:
        """Local time minus sender's NTP time for the quickest frames; None without believable reports."""
        if self._floor is None:
            return None
        relation_ns = self._reports.believed(now_ns, self._floor, self._steady_ns)
        return None if relation_ns is None else self._floor - relation_ns

    def bind(self, lead_ns: int, *, anew: bool = False) -> None:
        """Believe this lead: the first one is taken at once where nobody hears it, others are approached.

        `anew`: the one before was a mistake that nothing has been rendered with.
        """
        first, self.bound = anew or not self.bound, True
        self.lead_ns = lead_ns
        if first and self._floor is not None and (self._is_video or self._young):
            self._applied = self._floor - lead_ns

    def above_ns(self, now_ns: int) -> int:
        """By how much all frames of the last RAISE_AFTER_NS were above the floor; 0 where some were not."""
        if self._above is None or now_ns - self._above[0] < RAISE_AFTER_NS:
            return 0
        return self._above[1]

    def raise_floor(self, by_ns: int) -> None:
        """Follow a way that got longer: slowly, as what was captured when is known better from before."""
        if self._floor is not None:
            self._floor += by_ns
            self._above = None

    def settle(self) -> None:
        """Nothing more comes, so nothing stays in doubt."""
        self._steps.settle()

    def _beside(self, companions: Iterable["StreamClock"]) -> list[RecentExcess]:
        """How late the sender's other streams were; looked at for late packets alone."""
        return [other.recent for other in companions if other is not self]

    @property
    def _young(self) -> bool:
        return self._last_arrival - (self.began_ns or 0) < SETTLING_NS

    def _begin(self, offset: int, arrival_ns: int) -> None:
        self._floor = offset
        self._applied = offset - self.lead_ns
        self.began_ns = self._last_arrival = arrival_ns
        self.recent.note(arrival_ns, 0)

    def _note_above(self, excess: int, arrival_ns: int) -> None:
        if excess < RAISE_NS:
            self._above = None
            return
        since, least = self._above or (arrival_ns, excess)
        self._above = since, min(least, excess)

    def _approach(self, target: int, elapsed: int) -> None:
        error = target - self._applied
        if self._young or abs(error) > JUMP_NS:
            self._applied = target
            return
        step = elapsed * self._slew_ppm // 1_000_000
        self._applied += max(-step, min(step, error))

    def _steady_ns(self, rtp_timestamp: int) -> int:
        return (rtp_timestamp + self._steady.shift(rtp_timestamp)) * 1_000_000_000 // self._rate
