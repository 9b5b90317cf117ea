"""The renderer of one recording: encoded frames in, fragments out, driven by the timeline.

No thread, no clock, no socket: whoever calls `accept` and `advance` says what happened and what time it is,
so a live call and a replayed one give the same file. Everything runs on one thread, the one that calls.

Local times are nanoseconds of the monotonic clock; the recording's clock is the local one minus `zero`.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from media.handover.encoded_frame import EncodedFrame
from media.handover.render_queue import (
    Arrived,
    Item,
    Joined,
    Left,
    Reported,
    RoundTripMeasured,
    StreamEnded,
    StreamStarted,
    TimelineChanged,
)
from media.mux.fragmenter import Fragmenter
from media.render.audio_track import AudioTrackRenderer
from media.render.roster import Roster
from media.render.scene import Scene
from media.render.streams import PictureSource, SoundSource
from media.sync.event_log import EventLog
from media.sync.watermark import MARGIN_NS_MIN, Progress, Watermark
from media.video.quality_control import QualityController, QualityLevel
from recorder.kernel.limits import FRAGMENT_DURATION_S_MAX
from recorder.kernel.media import Fragment, MediaEvent
from recorder.kernel.recording import RecordingPlan, RecordingType

REPORTS_AWAITED_NS_MAX = (
    1_000_000_000  # most senders report within their first second; Chromium's voice does not
)
DOUBTS_AWAITED_NS_MAX = 1_500_000_000  # until it is certain whether a sender's clock stood still
LONGEST_WAITS = 5  # so many times the agreed wait a receiver may ask again for what is missing
WAITS_OF_SILENCE = 2  # ... and so many times all streams of a sender that fell silent at once are waited for
SILENT_NS = 150_000_000  # nothing of a sender for so long: its way stalls, or it does
STEP_NS = 600_000_000  # a batch at most; sound is mixed in steps no longer than this, bounding every buffer
NS = 1_000_000_000


class Renderer:
    """Accepts what happened, renders up to the watermark, writes fragments."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        write: Callable[[Fragment], None],
        emit: Callable[[MediaEvent], None],
        want_keyframe: Callable[[str], None],
    ) -> None:
        self._want_keyframe = want_keyframe
        self._fragment_ns = round(min(plan.fragment_duration_s, FRAGMENT_DURATION_S_MAX) * NS)
        wait_ns = round(plan.reorder_wait_s * NS)
        self._watermark = Watermark(reorder_wait_ns=LONGEST_WAITS * wait_ns)
        self._silence_wait_ns = WAITS_OF_SILENCE * wait_ns
        self._reports_wait_ns = min(wait_ns, REPORTS_AWAITED_NS_MAX)
        self._load = QualityController()
        self._sound = AudioTrackRenderer(
            channels=plan.audio_channels, bitrate=plan.audio_bitrate, fragment_ns=self._fragment_ns
        )
        self._picture = None if plan.type is RecordingType.AUDIO else Scene(plan, self._fragment_ns)
        self.fragmenter = Fragmenter(
            video=None if self._picture is None else self._picture.track,
            audio=self._sound.track,
            write=write,
            written=plan.written,
        )
        self._begun_before_ns = plan.zero_ns
        self._chronicle = EventLog(emit, origin_ns=self.fragmenter.origin_ns)
        self._attendance = Roster(self._chronicle, self._sound, self._picture, pixels_max=plan.max_pixels)
        self._zero_ns: int | None = None
        self._rendered_ns = 0  # on the recording's clock

    # --- what it says about itself --------------------------------------------------------------------
    @property
    def begun(self) -> bool:
        """Whether the recording's zero is fixed: media is being recorded."""
        return self._zero_ns is not None

    @property
    def duration_ns(self) -> int:
        """How much of the recording is rendered."""
        return self._rendered_ns

    @property
    def frames_composed(self) -> int:
        return 0 if self._picture is None else self._picture.composed

    @property
    def frames_skipped(self) -> int:
        return 0 if self._picture is None else self._picture.skipped

    @property
    def pending_bytes(self) -> int:
        """What waits for its time, of all streams together."""
        return sum(source.pending_bytes for source in self._attendance.sources())

    @property
    def effort(self) -> QualityLevel:
        """What pictures may cost now; see media.video.quality_control.Load."""
        return self._load.effort

    def dropped(self) -> dict[str, int]:
        """Frames and samples that are not in the recording, by reason, of all streams so far.

        On the thread that calls `accept` alone: counters get new reasons there.
        """
        return {reason: count for reason, count in sorted(self._attendance.all_dropped().items()) if count}

    def on_recording_clock(self, local_ns: int) -> float:
        """Seconds on the recording's clock; zero before it began."""
        return self._chronicle.recorded_s(local_ns)

    @property
    def recording_zero_ns(self) -> int | None:
        """Local time of the recording's zero, whichever worker fixed it; None before it is fixed."""
        if self._begun_before_ns is not None:
            return self._begun_before_ns
        return self._zero_ns

    # --- what happened --------------------------------------------------------------------------------
    def accept(self, item: Item, now_ns: int) -> None:
        """Take one thing that happened on the receiving side; in order."""
        match item:
            case Arrived(key, frame, at_ns):
                self._arrived(key, frame, now_ns if at_ns is None else at_ns)
            case Reported(key, report):
                if (session := self._attendance.session_of(key)) is not None:
                    session.clock.report(key, report)
            case RoundTripMeasured(key, round_trip_ns, at_ns):
                if (measured := self._attendance.session(key)) is not None:
                    measured.clock.distance.measured(round_trip_ns, at_ns)
            case TimelineChanged(key):
                if (session := self._attendance.session_of(key)) is not None:
                    session.clock.forget_timeline(key)
            case StreamStarted():
                self._attendance.started(item)
            case Joined():
                self._attendance.joined(item)
            case Left() | StreamEnded():
                self._attendance.wait(item)

    def _arrived(self, key: str, frame: EncodedFrame, at_ns: int) -> None:
        session = self._attendance.session_of(key)
        source = None if session is None else session.streams.get(key)
        if session is None or source is None or frame.codec.is_video != isinstance(source, PictureSource):
            self._attendance.dropped["unexpected_codec"] += session is not None
            return
        clock = session.clock.observe(key, frame.codec, frame.rtp_timestamp, frame.arrival_ns)
        source.accept(frame, clock)
        session.presence.observe(key, frame.arrival_ns)
        self._watermark.observe(at_ns - clock.capture_ns(frame.rtp_timestamp))

    # --- time passes ----------------------------------------------------------------------------------
    def advance(self, now_ns: int, blocked: Mapping[str, int], *, lag_ns: int = 0) -> None:
        """Render as far as nothing can come any more that belongs before; raises what `write` raises.

        `lag_ns`: how late this call comes; when it is too late too often, fewer pictures are made.
        """
        if self._picture is not None and self._load.observe(now_ns, lag_ns):
            effort = self._load.effort
            self._picture.spend(effort)
            if self._load.strained:
                self._picture.relieve()
            self._chronicle.say(
                "degraded",
                now_ns,
                frame_rate_divisor=effort.frame_rate_divisor,
                thorough=effort.thorough,
                resolution_divisor=effort.resolution_divisor,
            )
        if self._zero_ns is None and not self._begin(now_ns):
            return
        waiting = chain(self._progress(blocked), self._awaited(now_ns), self._stalled(now_ns))
        instant = self._watermark.advance(now_ns, waiting)
        self._render(instant - (self._zero_ns or 0))
        self._attendance.tell_changes(now_ns)

    def finish(self, now_ns: int) -> None:
        """Render everything that was received, flush the encoders, write the last fragment."""
        if self._zero_ns is None and not self._begin(now_ns, at_once=True):
            return
        zero = self._zero_ns or 0
        for session in self._attendance.sessions():
            session.clock.settle()
        self._render(max(self._rendered_ns, min(self._last_ns(), now_ns + MARGIN_NS_MIN) - zero))
        if self._picture is not None:
            self.fragmenter.add_pictures(self._picture.finish(self._rendered_ns, zero))
        self.fragmenter.add_sounds(self._sound.finish())
        self.fragmenter.finish(self._rendered_ns * 9 // 100_000)
        end_ns = self.fragmenter.written_us * 1000 - self.fragmenter.origin_ns
        self._chronicle.end(end_ns)  # who is still here leaves with it
        self._attendance.come_and_go(now_ns)

    def _begin(self, now_ns: int, *, at_once: bool = False) -> bool:
        """Fix zero at the oldest media once its companions and their first reports had the time to arrive."""
        for source in self._attendance.sources():
            if isinstance(source, PictureSource):
                source.drop_unusable()
        heads = [head for source in self._attendance.sources() if (head := source.head_ns) is not None]
        if not heads:
            self._attendance.come_and_go(now_ns)
            return False
        if not at_once and (now_ns - min(heads) < MARGIN_NS_MIN or any(self._awaited(now_ns))):
            return False
        first_ns = min(heads)
        if self._begun_before_ns is None:
            self._zero_ns = first_ns
        else:  # what lies between becomes silence and an empty canvas: time goes on, and files are whole
            self._zero_ns = min(first_ns, self._begun_before_ns + self.fragmenter.origin_ns)
        self._chronicle.begin(self._zero_ns)
        self._watermark.begin(self._zero_ns)
        self._attendance.seat_all()
        self.fragmenter.begin()
        if self._begun_before_ns is None:
            self._chronicle.say("recording_started", self._zero_ns)
        else:
            length_s = round(max(0, first_ns - self._zero_ns) / NS, 3)
            self._chronicle.say("gap", self._zero_ns, length_s=length_s)
        return True

    def _progress(self, blocked: Mapping[str, int]) -> Iterator[Progress]:
        for key, since in blocked.items():
            session = self._attendance.session_of(key)
            if session is not None and (source := session.streams.get(key)) is not None:
                yield Progress(source.delivered_ns, since)

    def _awaited(self, now_ns: int) -> Iterator[Progress]:
        """Streams of which it is open how they lie against the others of their sender."""
        for session in self._attendance.sessions():
            for key, source in session.streams.items():
                for since_ns, timestamp in session.clock.awaited(key):
                    open_ns = source.open_ns(timestamp)
                    wait_ns = self._reports_wait_ns if timestamp is None else DOUBTS_AWAITED_NS_MAX
                    if open_ns is not None and now_ns - since_ns < wait_ns:
                        yield Progress(open_ns, since_ns)

    def _stalled(self, now_ns: int) -> Iterator[Progress]:
        """Senders of which nothing at all comes: what a queue holds up is not lost, and comes late."""
        for session in self._attendance.sessions():
            newest_ns = max((source.last_arrival_ns or 0 for source in session.streams.values()), default=0)
            if not newest_ns or not SILENT_NS < now_ns - newest_ns < self._silence_wait_ns:
                continue
            for source in session.streams.values():
                yield Progress(source.delivered_ns, newest_ns)

    def _render(self, until_ns: int) -> None:
        while self._rendered_ns < until_ns:
            step_ns = min(until_ns, self._rendered_ns + STEP_NS, self._next_change_ns())
            self._render_sound(step_ns)
            if self._picture is not None:
                self._render_pictures(step_ns)
            self._rendered_ns = step_ns
            self.fragmenter.keep()
            self._chronicle.rendered((self._zero_ns or 0) + step_ns)
            self._attendance.come_and_go((self._zero_ns or 0) + step_ns)

    def _next_change_ns(self) -> int:
        """When somebody comes or goes next, on the recording's clock and after what is rendered."""
        at_ns = self._attendance.next_ns
        if at_ns is None:
            return self._rendered_ns + STEP_NS
        return max(self._rendered_ns + 1, at_ns - (self._zero_ns or 0))

    def _render_sound(self, until_ns: int) -> None:
        sources = (source for source in self._attendance.sources() if isinstance(source, SoundSource))
        self.fragmenter.add_sounds(self._sound.render(sources, until_ns, self._zero_ns or 0))
        if self._picture is None:
            for at in self._sound.cuts():
                self.fragmenter.cut(at)

    def _render_pictures(self, until_ns: int) -> None:
        if self._picture is None:
            return
        for made in self._picture.render(until_ns, self._zero_ns or 0):
            self.fragmenter.add_pictures(made.pictures)
            if made.cut_at:
                self.fragmenter.cut(made.cut_at, provisional=not made.keyframe)
        for source in self._attendance.sources():
            if isinstance(source, PictureSource) and source.asks_for_keyframe(until_ns):
                self._want_keyframe(source.key)

    def _last_ns(self) -> int:
        return max(
            (end for source in self._attendance.sources() if (end := source.delivered_ns) is not None),
            default=0,
        )
