"""The timeline: from RTP timestamps and sender reports to capture times on one local monotonic clock.

Every stream of a sender counts in its own RTP clock. Three things tell when a timestamp happened:

* **arrival**: a frame cannot arrive before it was captured, and the quickest one was held up least. So the
  smallest `arrival - timestamp` seen is the stream's *floor*. It follows the clocks' drift by leaking upwards
  faster than any crystal drifts, falls at once with every quicker frame, and so ignores queueing jitter.
* **sender reports** (RFC 3550 6.4.1) say how the RTP clocks of one sender lie to each other. From the
  floors and the reports follows each stream's *lead*: how much longer its frames are under way (grabbing,
  encoding, pacing) than those of the sender's quickest stream. A capture time is `timestamp + floor -
  lead - distance`.
* **round trips** say how far a sender is away (media.sync.one_way_delay), which moves all of its streams
  alike.

Before the first report all leads are zero, which is the arrival-based mapping. So who renders may wait a
little for the first reports of a stream that begins (`SenderClock.awaited_since_ns`). **A report is
believed** only when most of the recent ones of its stream agree with each other, and every lead that follows
lies between zero and what a real capture pipeline can take. Otherwise the last believed lead stays. So
reports that are missing, late, jumping or constantly wrong cost nothing but the part of the lip-sync that
only honest reports can give.

What is believed is approached by slewing, so that sound is stretched and never jumps; only a timeline that is
really new (first second, after a pause of the sender, another SSRC) is jumped to, and a picture's first lead,
which costs one shorter picture. Times are nanoseconds.
"""

from collections import deque
from statistics import median_low

from media.handover.encoded_frame import Codec, SenderReport
from media.sync.one_way_delay import OneWayDelay

LEAK_PPM = 200  # twice the +-100 ppm that crystals drift, so that the floor follows either sign
SETTLING_NS = 1_000_000_000  # young estimates improve by jumps; later ones only by slewing
SLEW_PPM_AUDIO = 5_000  # 0.5 %: nine cents of pitch, not heard in speech
SLEW_PPM_VIDEO = 50_000  # a picture 2 ms early or late is not seen
JUMP_NS = 500_000_000  # further off than this is a new timeline, which slewing would take minutes to reach
PAUSE_NS = 300_000_000  # nothing arrived for so long: the sender may have stopped its RTP clock meanwhile
PAUSE_STEP_NS = 150_000_000  # ... and did, when all that comes then is this much above the floor
PAUSE_CERTAIN_NS = 250_000_000  # ... for so long: behind a queue that stalled, quicker frames follow sooner
DRAINING_NS = 10_000_000  # frames that come quicker by more than this than any before: a queue still drains
RAISE_NS = 60_000_000  # every frame so far above the floor ...
RAISE_AFTER_NS = 5_000_000_000  # ... for so long: the sender's RTP clock stood still, or the way got longer
STEP_NS = 1_000_000_000  # every frame so far above it ...
STEP_AFTER_NS = 1_000_000_000  # ... for so long: the floor was a lie, one absurd timestamp
REPORTS_KEPT = 5  # 5 to 25 s of reports: one in two may be wrong
REPORTS_AGREE_NS = (
    25_000_000  # how exact an honest sender's reports are (some stamp the last packet, not now)
)
REPORTS_FRESH_NS = 30_000_000_000  # 30 s at 100 ppm are 3 ms; older ones say nothing about lips
LEAD_NS_MAX_VIDEO = 200_000_000  # grabbing and encoding a picture
LEAD_NS_MAX_AUDIO = 120_000_000  # the longest Opus packet


class StreamClock:
    """One RTP timeline of one stream: maps its timestamps to local capture times."""

    def __init__(
        self, codec: Codec, *, lead_ns: int | None = None, distance: OneWayDelay | None = None
    ) -> None:
        self._distance = distance or OneWayDelay()
        self._rate = codec.clock_rate
        self._is_video = codec.is_video
        self._slew_ppm = SLEW_PPM_VIDEO if codec.is_video else SLEW_PPM_AUDIO
        self._lead_max = LEAD_NS_MAX_VIDEO if codec.is_video else LEAD_NS_MAX_AUDIO
        self.lead_ns = lead_ns or 0
        self.began_ns: int | None = None  # arrival of its first frame
        self.bound = lead_ns is not None  # to the sender's other streams
        self._floor: int | None = None
        self._applied = 0
        self._first_arrival = 0
        self._last_arrival = 0
        self._above: tuple[int, int] | None = None  # since when, and the floor of those
        self._pause: tuple[int, int] | None = None  # the same after a silence
        self._relations: deque[int] = deque(maxlen=REPORTS_KEPT)
        self._reported_at: int | None = None

    @property
    def started(self) -> bool:
        """Whether any frame was observed, so that timestamps can be mapped."""
        return self._floor is not None

    @property
    def doubtful_since_ns(self) -> int | None:
        """Since when it is open whether the sender's clock stood still; None when nothing is open."""
        return None if self._pause is None else self._pause[0]

    @property
    def told(self) -> bool:
        """Whether a report, or the timeline before, tells how this one lies to the sender's others."""
        return self.bound or self._reported_at is not None

    def capture_ns(self, rtp_timestamp: int) -> int:
        """Local monotonic time at which this timestamp was captured, as believed now."""
        return self._rtp_ns(rtp_timestamp) + self._applied - self._distance.one_way_ns

    def observe(self, rtp_timestamp: int, arrival_ns: int) -> None:
        """Learn from one frame's arrival; frames come in decoding order."""
        self._distance.pass_time(arrival_ns)
        offset = arrival_ns - self._rtp_ns(rtp_timestamp)
        if self._floor is None:
            self._begin(offset, arrival_ns)
            return
        elapsed = max(0, arrival_ns - self._last_arrival)
        self._last_arrival = max(self._last_arrival, arrival_ns)
        floor = self._floor + elapsed * LEAK_PPM // 1_000_000
        if offset <= floor:
            floor = offset
            self._above = self._pause = None
        elif (resumed := self._resumed(offset, floor, arrival_ns, elapsed)) is not None:
            floor = resumed
            self._first_arrival = self._last_arrival  # young again: the next second may jump
        elif (anew := self._persistently_above(offset, floor, arrival_ns)) is not None:
            floor = anew
        self._floor = floor
        self._approach(floor - self.lead_ns, elapsed)

    def relate(self, report: SenderReport) -> None:
        """Keep what a sender report says about this RTP clock."""
        self._relations.append(report.ntp_ns - self._rtp_ns(report.rtp_timestamp))
        self._reported_at = report.arrival_ns

    def sender_offset(self, now_ns: int) -> int | None:
        """Local time minus sender's NTP time for the quickest frames; None without believable reports."""
        if self._floor is None or self._reported_at is None or now_ns - self._reported_at > REPORTS_FRESH_NS:
            return None
        middle = median_low(self._relations)
        agreeing = sum(abs(relation - middle) <= REPORTS_AGREE_NS for relation in self._relations)
        return self._floor - middle if 2 * agreeing > len(self._relations) else None

    def bind(self, lead_ns: int) -> None:
        """Believe this lead: the first one is taken at once where nobody hears it, others are approached."""
        first, self.bound = not self.bound, True
        self.lead_ns = lead_ns
        if first and self._floor is not None and (self._is_video or self._young):
            self._applied = self._floor - lead_ns

    def could_lead(self, lead_ns: int) -> bool:
        """Whether a real capture pipeline could be so much slower than the sender's quickest."""
        return 0 <= lead_ns <= self._lead_max

    @property
    def _young(self) -> bool:
        return self._last_arrival - self._first_arrival < SETTLING_NS

    def _begin(self, offset: int, arrival_ns: int) -> None:
        self._floor = offset
        self._applied = offset - self.lead_ns
        self.began_ns = arrival_ns
        self._first_arrival = self._last_arrival = arrival_ns

    def _resumed(self, offset: int, floor: int, arrival_ns: int, elapsed: int) -> int | None:
        """After a silence: the floor of a clock that stood still meanwhile, once that is certain."""
        if self._pause is None:
            if elapsed >= PAUSE_NS and offset - floor >= PAUSE_STEP_NS:
                self._pause = (arrival_ns, offset)
            return None
        since, level = self._pause
        if offset < level - DRAINING_NS:
            since, level = arrival_ns, offset
        certain = arrival_ns - since >= PAUSE_CERTAIN_NS
        doubtful = level - floor >= PAUSE_STEP_NS
        self._pause = (since, level) if doubtful and not certain else None
        return level if doubtful and certain else None

    def _persistently_above(self, offset: int, floor: int, arrival_ns: int) -> int | None:
        if offset - floor < RAISE_NS:
            self._above = None
            return None
        since, lowest = self._above or (arrival_ns, offset)
        lowest = min(lowest, offset)
        patience = STEP_AFTER_NS if lowest - floor >= STEP_NS else RAISE_AFTER_NS
        above = arrival_ns - since >= patience
        self._above = None if above else (since, lowest)
        return lowest if above else None

    def _approach(self, target: int, elapsed: int) -> None:
        error = target - self._applied
        if self._young or abs(error) > JUMP_NS:
            self._applied = target
            return
        step = elapsed * self._slew_ppm // 1_000_000
        self._applied += max(-step, min(step, error))

    def _rtp_ns(self, rtp_timestamp: int) -> int:
        return rtp_timestamp * 1_000_000_000 // self._rate


class SenderClock:
    """The streams of one sender, bound to each other by its sender reports, and how far it is away."""

    def __init__(self) -> None:
        self.distance = OneWayDelay()
        self._streams: dict[str, StreamClock] = {}
        self._leads: dict[str, int] = {}

    def stream(self, key: str, codec: Codec) -> StreamClock:
        """The current RTP timeline of a stream, begun when there is none."""
        clock = self._streams.get(key)
        if clock is None:
            clock = self._streams[key] = StreamClock(
                codec, lead_ns=self._leads.get(key), distance=self.distance
            )
        return clock

    def forget_timeline(self, key: str) -> None:
        """Another SSRC: a new RTP timeline with the next frame, through a pipeline as slow as before."""
        old = self._streams.pop(key, None)
        if old is not None and old.bound:
            self._leads[key] = old.lead_ns

    def forget(self, key: str) -> None:
        """The stream ended."""
        self._streams.pop(key, None)
        self._leads.pop(key, None)

    def awaited_since_ns(self, key: str) -> int | None:
        """Since when frames of this stream are better not placed yet, because more is soon known; else None.

        That is while no report binds a new stream to others of its sender, and after a doubtful silence.
        """
        clock = self._streams.get(key)
        if clock is None:
            return None
        if clock.told or len(self._streams) < 2:
            return clock.doubtful_since_ns
        return clock.began_ns

    def report(self, key: str, report: SenderReport) -> None:
        """Take a sender report of one stream, and judge all of them again."""
        clock = self._streams.get(key)
        if clock is None:
            return  # a report before the first frame; there will be another
        clock.relate(report)
        offsets = [
            (stream, offset)
            for stream in self._streams.values()
            if (offset := stream.sender_offset(report.arrival_ns)) is not None
        ]
        if len(offsets) < 2:
            return
        quickest = min(offset for _, offset in offsets)
        leads = [(stream, offset - quickest) for stream, offset in offsets]
        if all(stream.could_lead(lead) for stream, lead in leads):
            for stream, lead in leads:
                stream.bind(lead)
