"""The RTP receiver of one media section: follows its sender over SSRCs, simulcast layers and codecs."""

from collections.abc import Callable, Sequence

from media.handover.encoded_frame import EncodedFrame, EncodedSink
from media.rtp.formats import MediaFormat, PayloadFormat
from media.rtp.simulcast_layers import LayerChoice
from media.rtp.ssrc_receiver import SsrcCounters, SsrcReceiver
from media.rtp.wire.packet import RtpPacket
from media.rtp.wire.red import split_red
from media.rtp.wire.rtcp import ReportBlock, SenderInfo, full_intra_request, nack, picture_loss_indication

KEYFRAME_REQUEST_NS_MIN = 500_000_000  # one PLI is answered within a round trip; more only cost bitrate
KEYFRAME_REPEAT_NS = 1_000_000_000  # a PLI can get lost too; sooner, its key frame may be under way
KEYFRAME_PATIENCE = 10  # requests without an answer: then half as often each time
KEYFRAME_DOUBLINGS_MAX = 4  # every 16 s at last: frames that nobody here can tell key frames among
GAP_RESOLUTION_NS = 10_000_000  # how finely requests and giving up are timed while a packet is missing
SOURCES_KEPT_MAX = 8  # those before it are kept for their last packets, which are late and not new
SOURCE_SILENT_NS = 500_000_000  # an SSRC that came back may take over from one that fell silent


class RtpReceiver:
    """A StreamControl: the packets of one media section in, calls of the sink out. Event loop only."""

    def __init__(
        self,
        key: str,
        media: MediaFormat,
        *,
        wait_ns: int,
        sink: EncodedSink,
        counters: SsrcCounters,
        feedback_due: Callable[["RtpReceiver"], None],
    ) -> None:
        self.media = media
        self._key = key
        self._wait_ns = wait_ns
        self._sink = sink
        self._counters = counters
        self._feedback_due = feedback_due
        self._sources: dict[int, SsrcReceiver] = {}
        self._rids: dict[int, str] = {}  # SSRC -> rid
        self._active: SsrcReceiver | None = None
        self._layers = LayerChoice() if len(media.rids) > 1 else None
        self._keyframe_wanted = False
        self._keyframe_asked_ns: int | None = None
        self._keyframe_awaited = False  # asked for, and none has come since
        self._keyframes_unanswered = 0
        self._fir_count = 0
        self.started = False
        self.ended = False

    def __repr__(self) -> str:
        return f"RtpReceiver({self._key} mid={self.media.mid!r} sources={len(self._sources)})"

    @property
    def key(self) -> str:
        """See StreamControl."""
        return self._key

    @property
    def blocked_since_ns(self) -> int | None:
        """See StreamControl."""
        return None if self._active is None else self._active.blocked_since_ns

    def continue_as(self, media: MediaFormat) -> bool:
        """Go on with what was negotiated anew; False where that is another stream."""
        if media.video != self.media.video or media.rids != self.media.rids:
            return False
        self.media = media
        return True

    def request_keyframe(self) -> None:
        """See StreamControl: a PLI leaves with the next feedback.

        At most one per KEYFRAME_REQUEST_NS_MIN, or KEYFRAME_REPEAT_NS while the one before is not answered.
        """
        if self.media.video and not self._keyframe_wanted:
            self._keyframe_wanted = True
            self._feedback_due(self)

    def feedback_in_ns(self, now_ns: int) -> int | None:
        """How long from now feedback should be made at the latest; None while there is nothing to say."""
        if self._keyframe_wanted and self._active is not None:
            return max(0, self._keyframe_request_ns() - now_ns)
        if any(source.blocked_since_ns is not None for source in self._sources.values()):
            return GAP_RESOLUTION_NS
        return None

    def receive(self, packet: RtpPacket, payload: PayloadFormat, rid: str | None) -> None:
        """A packet of a primary SSRC."""
        repeated: Sequence[RtpPacket] = ()
        if payload.redundant:
            split = split_red(packet)
            if split is None or split[0].payload_type != payload.repeats:
                self._counters.drop("malformed_payload")
                return
            packet, repeated = split
        source = self._sources.get(packet.ssrc)
        if source is None:
            source = self._new_source(packet, payload, rid)
        if source is not self._active and not self._listens_to(source, packet):
            self._counters.drop("inactive_source")
            return
        source.receive(packet, payload.codec)
        for earlier in repeated:
            if earlier.payload_type == payload.repeats:
                source.receive_repeated(earlier, payload.codec)
        if source.blocked_since_ns is not None:
            self._feedback_due(self)

    def receive_retransmission(self, packet: RtpPacket, payload: PayloadFormat, ssrc: int | None) -> None:
        """An unwrapped RTX packet for the primary `ssrc`; None where only the section is known."""
        source = self._active if ssrc is None else self._sources.get(ssrc)
        if source is None:
            self._counters.drop("retransmission_unknown")
            return
        source.receive_retransmission(packet, payload.codec)

    def source_of_rid(self, rid: str) -> int | None:
        """The newest SSRC that carries this simulcast layer."""
        return next((ssrc for ssrc, known in reversed(self._rids.items()) if known == rid), None)

    def sender_report(self, info: SenderInfo, arrival_ns: int) -> None:
        """A sender report of one of this section's SSRCs."""
        source = self._sources.get(info.ssrc)
        if source is None:
            return
        report = source.sender_report(info, arrival_ns)
        if source is self._active:
            self._sink.sender_report(self, report)

    def bye(self, ssrc: int) -> None:
        """The source stops; if it was the active one, what it sent is released."""
        source = self._sources.pop(ssrc, None)
        self._rids.pop(ssrc, None)
        if source is not None and source is self._active:
            source.flush()
            self._active = None

    def knows(self, ssrc: int) -> bool:
        """Whether this is a primary SSRC that has sent something."""
        return ssrc in self._sources

    def silent(self) -> bool:
        """Whether no source is left to wait for: the active one said BYE."""
        return self._active is None

    def end(self) -> None:
        """Release what is held and tell the sink, once."""
        if self.ended:
            return
        self.ended = True
        if self._active is not None:
            self._active.flush()
        self._sources.clear()
        if self.started:
            self._sink.stream_ended(self)

    def reports(self, now_ns: int) -> list[ReportBlock]:
        """Reception report blocks of the sources that are listened to."""
        sources = self._sources.values() if self._layers is not None else (self._active,)
        return [source.report(now_ns) for source in sources if source is not None]

    def feedback(
        self, now_ns: int, round_trip_ns: int, own_ssrc: int, *, read_up_to_ns: int | None = None
    ) -> bytes:
        """NACK, PLI and FIR that are due; gaps that were waited for too long are given up first.

        `read_up_to_ns`: what came later may still lie in a socket; see media.rtp.stall_compensator.
        """
        read_up_to_ns = now_ns if read_up_to_ns is None else read_up_to_ns
        out = b""
        wanted = self._layers.wanted if self._layers is not None else None
        for source in list(self._sources.values()):
            missing = source.missing(read_up_to_ns, round_trip_ns)
            if missing and source in (self._active, wanted):
                out += nack(own_ssrc, source.ssrc, missing)
        if self._layers is not None and self._layers.decide(now_ns, self._sources.values(), self._active):
            self._keyframe_wanted = True
        if self._keyframe_wanted:
            out += self._keyframe_request(now_ns, own_ssrc)
        return out

    def _keyframe_request(self, now_ns: int, own_ssrc: int) -> bytes:
        source = self._layers.wanted if self._layers is not None else None
        source = source or self._active
        if source is None or now_ns < self._keyframe_request_ns():
            return b""
        self._keyframe_asked_ns = now_ns
        self._keyframes_unanswered += 1
        self._keyframe_awaited = True
        self._keyframe_wanted = False
        formats = [p for p in self.media.payloads.values() if p.codec is source.codec]
        if any(payload.pli for payload in formats):
            return picture_loss_indication(own_ssrc, source.ssrc)
        if any(payload.fir for payload in formats):
            self._fir_count += 1
            return full_intra_request(own_ssrc, source.ssrc, self._fir_count)
        self._counters.drop("keyframe_request_unsupported")
        return b""

    def _keyframe_request_ns(self) -> int:
        """When a key frame may be asked for next."""
        if self._keyframe_asked_ns is None:
            return 0
        wait_ns = KEYFRAME_REPEAT_NS if self._keyframe_awaited else KEYFRAME_REQUEST_NS_MIN
        wait_ns <<= min(KEYFRAME_DOUBLINGS_MAX, max(0, self._keyframes_unanswered - KEYFRAME_PATIENCE))
        return self._keyframe_asked_ns + wait_ns

    def _new_source(self, packet: RtpPacket, payload: PayloadFormat, rid: str | None) -> SsrcReceiver:
        source = SsrcReceiver(
            packet,
            codec=payload.codec,
            wait_ns=self._wait_ns,
            wants_retransmission=payload.nack,
            counters=self._counters,
            emit=self._frame,
        )
        self._sources[packet.ssrc] = source
        if rid is not None:
            self._rids[packet.ssrc] = rid
        if self._layers is None:
            self._activate(source)
        while len(self._sources) > SOURCES_KEPT_MAX:
            oldest = next(ssrc for ssrc, known in self._sources.items() if known is not self._active)
            del self._sources[oldest]
            self._rids.pop(oldest, None)
        return source

    def _listens_to(self, source: SsrcReceiver, packet: RtpPacket) -> bool:
        if self._layers is not None and self._active is not None:
            return True  # every layer is kept ready, so that a change needs only its key frame
        active = self._active
        if active is None or packet.arrival_ns - active.last_arrival_ns > SOURCE_SILENT_NS:
            self._activate(source)
            return True
        return False

    def _activate(self, source: SsrcReceiver) -> None:
        previous = self._active
        if previous is not None:
            previous.flush()
        self._active = source
        if not self.started:
            self.started = True
            self._sink.stream_started(self, video=self.media.video)
        else:
            self._sink.source_changed(self)
        if source.last_report is not None:
            self._sink.sender_report(self, source.last_report)
        self._keyframe_asked_ns = None
        self.request_keyframe()

    def _frame(self, source: SsrcReceiver, frame: EncodedFrame) -> None:
        if source is not self._active:
            if self._layers is None or not self._layers.takes_over(source, frame):
                return
            self._activate(source)
        if frame.keyframe and self.media.video:
            self._keyframe_wanted = self._keyframe_awaited = False
            self._keyframes_unanswered = 0
        elif frame.after_loss and self.media.video:
            self.request_keyframe()
        self._counters.add_frame()
        self._sink.frame(self, frame)
