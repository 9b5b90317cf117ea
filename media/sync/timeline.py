"""Capture times: the streams of one sender on one local monotonic clock.

Every stream of a sender counts in its own RTP clock. Three things tell when a timestamp happened:

* **arrival** gives each stream a floor, and shows where its clock stood still (media.sync.stream_clock);
* **sender reports** (RFC 3550 6.4.1) say how the RTP clocks of one sender lie to each other. From the floors
  and the reports follows each stream's lead. A capture time is `timestamp + floor - lead - distance`;
* **round trips** say how far a sender is away (media.sync.one_way_delay), which moves all of its streams
  alike.

Before the first report all leads are zero, which is the arrival-based mapping. So who renders may wait a
little for the first reports of a stream that begins (`SenderClock.awaited`). **A report is believed** as
browsers believe it: when most of the recent ones of its stream agree with each other. So reports that are
missing, late or jumping cost nothing but the part of the lip-sync that only honest ones can give; those that
are always wrong by the same put the stream off by as much. Where a lead follows that is longer than the
output can wait for, the last believed one stays.

Pictures follow the sound of their sender: while sound slews to where it should be, they are as far behind as
it is. Pure; times are nanoseconds.
"""

from collections.abc import Iterator

from media.handover.encoded_frame import Codec, SenderReport
from media.sync.one_way_delay import OneWayDelay
from media.sync.stream_clock import LATE_NS_MAX, LEAD_NS_MAX, RAISE_AFTER_NS, StreamClock

FOLLOWED_NS_MAX = 2_000_000_000  # sound that was silent for longer says nothing about pictures


class SenderClock:
    """The streams of one sender, bound to each other by its sender reports, and how far it is away."""

    def __init__(self) -> None:
        self.distance = OneWayDelay()
        self._streams: dict[str, StreamClock] = {}
        self._leads: dict[str, int] = {}
        self._early_reports: dict[str, SenderReport] = {}  # the newest, before the frame that it is about
        self._judged_ns = 0  # when the newest report came that was believed

    def stream(self, key: str, codec: Codec) -> StreamClock:
        """The current RTP timeline of a stream, begun when there is none."""
        clock = self._streams.get(key)
        if clock is None:
            clock = self._streams[key] = StreamClock(
                codec, lead_ns=self._leads.get(key), distance=self.distance
            )
        return clock

    def observe(self, key: str, codec: Codec, rtp_timestamp: int, arrival_ns: int) -> StreamClock:
        """Learn from a frame's arrival; return the timeline that it belongs to."""
        clock = self.stream(key, codec)
        behind_ns = 0 if clock.is_sound else self._sound_behind(arrival_ns)
        step = clock.observe(rtp_timestamp, arrival_ns, self._streams.values(), sound_behind_ns=behind_ns)
        if step is not None and self._judged_ns >= step.since_ns:
            self._judge(arrival_ns, anew=True)  # what reports said since was held against a floor of before
        if key in self._early_reports:
            self.report(key, self._early_reports.pop(key))
        if above_ns := clock.above_ns(arrival_ns):
            self._raise(clock, above_ns, arrival_ns)
        return clock

    def forget_timeline(self, key: str) -> None:
        """Another SSRC: a new RTP timeline with the next frame, through a pipeline as slow as before."""
        old = self._streams.pop(key, None)
        self._early_reports.pop(key, None)
        if old is not None and old.bound:
            self._leads[key] = old.lead_ns

    def forget(self, key: str) -> None:
        """The stream ended."""
        self._streams.pop(key, None)
        self._early_reports.pop(key, None)
        self._leads.pop(key, None)

    def awaited(self, key: str) -> Iterator[tuple[int, int | None]]:
        """Since when frames of this stream are better not placed yet, and from which timestamp on (or all).

        That is while no report binds a new stream to others of its sender, and where its clock may have
        stood still.
        """
        clock = self._streams.get(key)
        if clock is None:
            return
        if not clock.reported and len(self._streams) > 1 and clock.began_ns is not None:
            yield clock.began_ns, None
        if (doubt := clock.doubt) is not None:
            yield doubt.since_ns, doubt.rtp_timestamp

    def report(self, key: str, report: SenderReport) -> None:
        """Take a sender report of one stream, and judge all of them again."""
        clock = self._streams.get(key)
        if clock is None:
            return  # a report before the first frame; there will be another
        if clock.relate(report):
            self._judge(report.arrival_ns)
        else:
            self._early_reports[key] = report

    def settle(self) -> None:
        """Nothing more comes from this sender."""
        for stream in self._streams.values():
            stream.settle()

    def _judge(self, now_ns: int, *, anew: bool = False) -> None:
        """Find the leads of all streams that have believable reports."""
        offsets = [
            (stream, offset)
            for stream in self._streams.values()
            if (offset := stream.sender_offset(now_ns)) is not None
        ]
        if len(offsets) < 2:
            return
        quickest = min(offset for _, offset in offsets)
        leads = [(stream, offset - quickest) for stream, offset in offsets]
        if all(lead <= LEAD_NS_MAX for _, lead in leads):
            self._judged_ns = now_ns
            for stream, lead in leads:
                stream.bind(lead, anew=anew)

    def _raise(self, late: StreamClock, late_ns: int, now_ns: int) -> None:
        """Follow a way that got longer for all streams; one that alone is late is kept from being lost."""
        living = [
            stream for stream in self._streams.values() if now_ns - stream.last_arrival_ns < RAISE_AFTER_NS
        ]
        common_ns = min(stream.above_ns(now_ns) for stream in living)
        if common_ns:
            for stream in living:
                stream.raise_floor(common_ns)
        elif late_ns > LATE_NS_MAX:
            late.raise_floor(late_ns - LATE_NS_MAX // 2)

    def _sound_behind(self, now_ns: int) -> int:
        """How far the sender's sound is from where it should be, while there is any."""
        for stream in self._streams.values():
            if stream.is_sound and now_ns - stream.last_arrival_ns < FOLLOWED_NS_MAX:
                return stream.behind_ns
        return 0
