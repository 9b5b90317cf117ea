"""The streams that a recording is made of: frames that wait for their time, decoder, place in the output."""

import time
from collections import deque
from dataclasses import dataclass

from media.audio.decoder import SoundDecoder
from media.audio.mixer import RATE, Mix, MixerInput
from media.audio.opus import packet_samples
from media.handover.encoded_frame import EncodedFrame
from media.render.readability import PictureReadability, SoundReadability
from media.sync.stream_clock import StreamClock
from media.video.decoder import PictureDecoder
from media.video.scaler import Picture

NS = 1_000_000_000
PENDING_BYTES_MAX = 8 * 1024 * 1024  # of one stream: the longest wait at 30 Mbit/s
PENDING_FRAMES_MAX = 512  # the longest wait at 250 frames a second
REST_NS = 2_000_000_000  # one fragment: long enough to catch up, short enough to be a freeze and no absence
LOOKAHEAD_NS = 6_500_000  # so late libopus at the sender puts sound into its packets (RFC 7845, 4.2)
SLACK_NS = 5_000_000  # a voice may be so far ahead of its timeline, and a little more
DOUBT_NS_MAX = 500_000_000  # rendered so far beyond it: nobody waits any more for what is doubtful
PICTURE_NS = 40_000_000  # how long the last picture of a stream is shown at least


@dataclass(frozen=True, slots=True)
class _Pending:
    frame: EncodedFrame
    clock: StreamClock  # the RTP timeline that the frame belongs to

    @property
    def capture_ns(self) -> int:
        return self.clock.capture_ns(self.frame.rtp_timestamp)


class _Source:
    """Frames that wait; mapped to capture times only when asked, with what is known by then."""

    lookahead_ns = 0  # so much before its capture time a frame is placed

    def __init__(self, key: str, session: str) -> None:
        self.key = key
        self.session = session
        self.last_arrival_ns: int | None = None
        self._pending: deque[_Pending] = deque()
        self.pending_bytes = 0
        self._newest: _Pending | None = None
        self.changes: list[tuple[str, int, dict[str, object]]] = []  # kind, capture time, detail

    @property
    def head_ns(self) -> int | None:
        """Capture time of the oldest pending frame."""
        return self._pending[0].capture_ns if self._pending else None

    def open_ns(self, rtp_timestamp: int | None) -> int | None:
        """Where the oldest pending frame from this timestamp on is placed; None where there is none."""
        if rtp_timestamp is None or not self._pending:
            return self.head_ns
        oldest = max(rtp_timestamp, self._pending[0].frame.rtp_timestamp)
        return self._pending[-1].clock.capture_ns(oldest) - self.lookahead_ns

    def _tell_readability(self, at_ns: int, *, unreadable: bool) -> None:
        kind = "stream_unreadable" if unreadable else "stream_readable"
        self.changes.append((kind, at_ns, {}))

    @property
    def full(self) -> bool:
        """Whether the stream has used up its share of memory."""
        return self.pending_bytes >= PENDING_BYTES_MAX or len(self._pending) >= PENDING_FRAMES_MAX

    def accept(self, frame: EncodedFrame, clock: StreamClock) -> None:
        """Take a frame in decoding order."""
        self.last_arrival_ns = frame.arrival_ns
        self._newest = _Pending(frame, clock)
        self._pending.append(self._newest)
        self.pending_bytes += len(frame.data)

    def _pop(self) -> _Pending:
        pending = self._pending.popleft()
        self.pending_bytes -= len(pending.frame.data)
        return pending


class SoundSource(_Source):
    """One Opus stream and its voice in the mix."""

    lookahead_ns = LOOKAHEAD_NS + SLACK_NS

    def __init__(self, key: str, session: str, mix: Mix, channels: int) -> None:
        super().__init__(key, session)
        self.voice = MixerInput(mix)
        self.decoder = SoundDecoder(channels)
        self._clock: StreamClock | None = None
        self._shift = 0  # for how long that clock had stood still before what was placed last
        self._ends: int | None = None  # the timestamp at which the last packet says that it ends
        self._readability = SoundReadability()

    def accept(self, frame: EncodedFrame, clock: StreamClock) -> None:
        """Take a packet; of a sender that floods, the oldest go."""
        if self.full:
            self._pop()
            self.decoder.dropped["audio_overflow"] += 1
        super().accept(frame, clock)

    def play(self, until_ns: int, zero_ns: int) -> None:
        """Decode and place every packet that has sound from before `until_ns` (local time)."""
        until = (until_ns - zero_ns) * RATE // NS
        while self._pending:
            head = self._pending[0]
            if head.clock is not self._clock:
                self._clock, self._shift, self._ends = head.clock, 0, None
                self.voice.begin_anew()
            if self._doubtful(head, until_ns):
                return
            wanted = (head.capture_ns - LOOKAHEAD_NS - zero_ns) * RATE // NS
            if self.voice.earliest(head.clock.steady(head.frame.rtp_timestamp), wanted) >= until:
                return
            self._place(self._pop(), wanted)

    @property
    def delivered_ns(self) -> int | None:
        """Capture time at which the sound of the newest packet ends."""
        if self._newest is None:
            return None
        length_ns = packet_samples(self._newest.frame.data) * NS // RATE
        return self._newest.capture_ns + length_ns - LOOKAHEAD_NS

    def _doubtful(self, pending: _Pending, until_ns: int) -> bool:
        """Whether it may have to be placed later, because the sender's clock stood still before it."""
        doubt = pending.clock.doubt
        if doubt is None or until_ns >= doubt.since_ns + DOUBT_NS_MAX:
            return False
        return pending.frame.rtp_timestamp >= doubt.rtp_timestamp

    def _overlaps(self, frame: EncodedFrame) -> bool:
        """Whether the packet begins before the last one ends: the lengths of what is encrypted are any."""
        before, length = self._ends, packet_samples(frame.data)
        self._ends = frame.rtp_timestamp + length
        overlaps = before is not None and frame.rtp_timestamp < before
        self.decoder.dropped["audio_unreadable"] += overlaps
        return overlaps

    def _place(self, pending: _Pending, wanted: int) -> None:
        frame, steady = pending.frame, pending.clock.steady(pending.frame.rtp_timestamp)
        stood_still, self._shift = steady - frame.rtp_timestamp - self._shift, steady - frame.rtp_timestamp
        missing = self.voice.missing(steady) - max(0, stood_still)
        if missing > 0 and (frame.after_loss or frame.lost_packets):
            bridge = self.decoder.bridge(missing, frame.data)
            self.voice.put(steady - missing, wanted - missing, bridge)
        samples = None if self._overlaps(frame) else self.decoder.decode(frame.data)
        if self._readability.packet(refused=samples is None):
            self._tell_readability(pending.capture_ns, unreadable=self._readability.unreadable)
        if samples is not None and not self._readability.unreadable:
            early = min(max(0, -wanted), samples.shape[1])  # before the recording's zero
            self.voice.put(steady + early, wanted + early, samples[:, early:])


class PictureSource(_Source):
    """One video stream and the picture that its tile shows."""

    def __init__(self, key: str, session: str, decoder: PictureDecoder) -> None:
        super().__init__(key, session)
        self.decoder = decoder
        self.size: tuple[int, int] | None = None
        self.shown_ns: int | None = None  # capture time of the last picture
        self.frames = 0
        self.spent_ns = 0  # processor time of its decoder since `reset_spent`
        self._resting_until_ns = 0
        self._readability = PictureReadability()

    def accept(self, frame: EncodedFrame, clock: StreamClock) -> None:
        """Take a frame; a sender that floods loses what is pending and waits for its next key frame."""
        if self.full:
            self._drop_pending("video_overflow")
        if frame.arrival_ns < self._resting_until_ns:
            self.decoder.skip("video_overload")
            return
        super().accept(frame, clock)

    def reset_spent(self) -> None:
        """Begin to count the processor time anew."""
        self.spent_ns = 0

    def rest(self) -> None:
        """Cost nothing for a while: the machine cannot do it all, and this stream asks the most of it."""
        self._drop_pending("video_overload")
        self._resting_until_ns = (self.last_arrival_ns or 0) + REST_NS

    @property
    def delivered_ns(self) -> int | None:
        """Capture time at which the newest picture has been shown for as long as pictures usually are."""
        return None if self._newest is None else self._newest.capture_ns + PICTURE_NS

    @property
    def unreadable(self) -> bool:
        """Whether its pictures cannot be decoded, though they come."""
        return self._readability.unreadable

    def asks_for_keyframe(self, now_ns: int) -> bool:
        """Whether one is wanted, and asking for it makes sense."""
        return self.wants_keyframe and self._readability.may_ask(now_ns)

    @property
    def wants_keyframe(self) -> bool:
        """Whether nothing can be shown until the sender makes a key frame: none waits for its time either."""
        return self.decoder.wants_keyframe and not any(p.frame.keyframe for p in self._pending)

    def drop_unusable(self) -> None:
        """Forget pending frames that no key frame precedes: nothing can be made of them."""
        while self._pending and self.decoder.wants_keyframe and not self._pending[0].frame.keyframe:
            self._pop()
            self.decoder.dropped["video_without_keyframe"] += 1

    def show(self, until_ns: int, *, only_first: bool = False) -> tuple[Picture, int] | None:
        """Decode what was captured up to `until_ns` (local time); return the newest picture and its time.

        With `only_first` the oldest picture instead, leaving the others pending.
        """
        shown = None
        for _ in range(self._superseded(until_ns) if not only_first else 0):
            self._pop()
            self.decoder.dropped["video_superseded"] += 1
        while self._pending and (capture_ns := self._pending[0].capture_ns) <= until_ns:
            picture = self._decode(self._pop().frame, capture_ns)
            if picture is None:
                continue
            shown = (picture, capture_ns)
            if only_first:
                break
        if shown is not None:
            self.shown_ns = shown[1]
        return shown

    def _drop_pending(self, reason: str) -> None:
        while self._pending:
            self._pop()
            self.decoder.skip(reason)

    def _decode(self, frame: EncodedFrame, capture_ns: int) -> Picture | None:
        codec = self.decoder.codec
        began_ns = time.thread_time_ns()
        picture = self.decoder.decode(frame)
        self.spent_ns += time.thread_time_ns() - began_ns
        if codec is not None and codec is not frame.codec:
            self.changes.append(("codec_changed", capture_ns, {"codec": frame.codec.value}))
        if picture is None:
            if self._readability.refused(capture_ns, keyframe=frame.keyframe):
                self._tell_readability(capture_ns, unreadable=True)
            return None
        if self._readability.decoded():
            self._tell_readability(capture_ns, unreadable=False)
        self.frames += 1
        size = (picture.width, picture.height)
        if size != self.size:
            detail: dict[str, object] = {"width": size[0], "height": size[1]}
            self.changes.append(("size_changed", capture_ns, detail))
            self.size = size
        return picture

    def _superseded(self, until_ns: int) -> int:
        """How many due frames come before a due key frame: they would be decoded for nothing."""
        count = 0
        for index, pending in enumerate(self._pending):
            if pending.capture_ns > until_ns:
                break
            if pending.frame.keyframe:
                count = index
        return count
