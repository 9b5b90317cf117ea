"""The receiving half of one connection: RTP and RTCP in, encoded frames and feedback out."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from media.handover.encoded_frame import EncodedSink
from media.rtp.formats import MediaFormat
from media.rtp.receiver import RtpReceiver
from media.rtp.router import Route, Router
from media.rtp.ssrc_receiver import SsrcCounters
from media.rtp.stall_compensator import StallCompensator
from media.rtp.wire.packet import PacketBuffer, RtpPacket, parse_rtp
from media.rtp.wire.rtcp import Bye, SenderInfo, parse_rtcp, receiver_report, source_description
from media.rtp.wire.rtx import unwrap_rtx
from media.rtp.wire.transport_cc import TransportFeedback
from media.webrtc.network.udp import BEAT_S, next_beat
from recorder.kernel.clock import Clock
from recorder.kernel.ids import new_id

REPORT_INTERVAL_S = 1.0  # RFC 3550 6.2 scaled for video: losses and round trips are told in time
CONGESTION_INTERVAL_S = 0.1  # transport-cc feedback, as browsers send it to each other
BYE_GRACE_S = 1.0  # a sender that changes its SSRC says BYE for the old one first


class FeedbackPath(Protocol):
    """What brings the packets, and takes feedback back to their sender."""

    @property
    def round_trip_ns(self) -> int: ...
    def send_rtcp(self, data: bytes) -> None: ...
    def read(self) -> None:
        """Hand over now what lies in the sockets."""
        ...


class RtpSession:
    """Every call on the event loop; `on_silence` when all that had begun has said BYE.

    Packets may come before `start`; feedback is sent from then on, until `end`.
    """

    def __init__(
        self,
        *,
        sink: EncodedSink,
        clock: Clock,
        counters: SsrcCounters,
        reorder_wait_s: float,
        on_silence: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._counters = counters
        self._wait_ns = round(reorder_wait_s * 1e9)
        self._on_silence = on_silence
        self._router = Router(())
        self._streams: list[RtpReceiver] = []
        self._congestion = TransportFeedback()
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_urlsafe(12)
        self._path: FeedbackPath | None = None  # from `start` to `end`
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._hold_up = StallCompensator()
        self._report_at = 0.0
        self._bye_at: float | None = None

    def __repr__(self) -> str:
        return f"RtpSession({self._streams!r})"

    def expect(self, sections: tuple[MediaFormat, ...]) -> None:
        """What was negotiated, first or anew: sections go on by their mid, the others end or begin."""
        before = {stream.media.mid: stream for stream in self._streams if not stream.ended}
        self._router = Router(sections)
        self._streams = []
        for media in sections:
            known = before.get(media.mid)
            if known is not None and known.continue_as(media):
                self._streams.append(before.pop(media.mid))
            else:
                self._streams.append(self._receiver(media))
        for stream in before.values():
            stream.end()

    def start(self, path: FeedbackPath) -> None:
        """Feedback can be sent from now on; once."""
        if self._path is None:
            self._path = path
            self._arm(0.0)

    def end(self) -> None:
        """Nothing more is received; every stream ends."""
        self._path = None
        if self._timer is not None:
            self._timer.cancel()
        for stream in self._streams:
            stream.end()

    # --- receiving -----------------------------------------------------------------------------------
    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None:
        """See media.webrtc.srtp.MediaEvents."""
        packet = parse_rtp(buffer, length, arrival_ns)
        counters = self._counters
        if packet is None:
            counters.drop("malformed_rtp")
            return
        counters.add_packet(length)
        route = self._router.route(packet)
        if route is None:
            counters.drop("unroutable")
            return
        stream = self._streams[route.section]
        if stream.ended:
            counters.drop("stream_ended")
            return
        media = stream.media
        if media.transport_cc_extension:
            self._note_congestion(packet, media.transport_cc_extension)
        payload = media.payloads.get(packet.payload_type)
        if payload is not None:
            stream.receive(packet, payload, route.rid)
        else:
            self._repair(stream, packet, route)

    def rtcp_received(self, data: bytes, arrival_ns: int) -> None:
        """See media.webrtc.srtp.MediaEvents."""
        for item in parse_rtcp(data):
            match item:
                case SenderInfo():
                    section = self._router.section_of(item.ssrc)
                    if section is not None:
                        self._streams[section].sender_report(item, arrival_ns)
                case Bye():
                    self._bye(item.ssrcs)

    def _receiver(self, media: MediaFormat) -> RtpReceiver:
        return RtpReceiver(
            new_id("stream"),
            media,
            wait_ns=self._wait_ns,
            sink=self._sink,
            counters=self._counters,
            feedback_due=self._feedback_due,
        )

    def _note_congestion(self, packet: RtpPacket, extension: int) -> None:
        for identifier, value in packet.header_extensions():
            if identifier == extension and len(value) == 2:
                if not self._congestion.pending:
                    now = asyncio.get_running_loop().time()
                    self._arm(next_beat(now + CONGESTION_INTERVAL_S - BEAT_S) - now)
                self._congestion.arrived(value[0] << 8 | value[1], packet.ssrc, packet.arrival_ns)
                return

    def _repair(self, stream: RtpReceiver, packet: RtpPacket, route: Route) -> None:
        payload = stream.media.primary_of(packet.payload_type)
        ssrc = route.repairs
        if ssrc is None and route.repaired_rid is not None:
            ssrc = stream.source_of_rid(route.repaired_rid)
        if payload is None:
            self._counters.drop("unknown_payload_type")
            return
        original = unwrap_rtx(packet, payload.payload_type, ssrc or 0)
        if original is not None:
            stream.receive_retransmission(original, payload, ssrc)

    def _bye(self, ssrcs: tuple[int, ...]) -> None:
        for ssrc in ssrcs:
            section = self._router.section_of(ssrc)
            if section is not None and self._streams[section].knows(ssrc):
                self._streams[section].bye(ssrc)
                self._bye_at = asyncio.get_running_loop().time() + BYE_GRACE_S
                self._arm(BYE_GRACE_S)
            self._router.forget(ssrc)

    # --- the one timer -------------------------------------------------------------------------------
    def _feedback_due(self, stream: RtpReceiver) -> None:
        delay_ns = stream.feedback_in_ns(self._clock.monotonic_ns())
        if delay_ns is not None:
            self._arm(delay_ns / 1e9)

    def _arm(self, delay_s: float) -> None:
        """See to it that feedback is sent no later than in `delay_s`."""
        if self._path is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + delay_s
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer, path = None, self._path
        if path is None:
            return
        path.read()  # nothing is asked for again that is here already
        loop_now = asyncio.get_running_loop().time()
        late_ns = round((loop_now - self._timer_at) * 1e9)
        now_ns = self._clock.monotonic_ns()
        if self._bye_at is not None and loop_now >= self._bye_at and self._end_silent_streams():
            return
        self._send_feedback(path, loop_now, now_ns, self._hold_up.read_up_to(now_ns, late_ns))
        for stream in self._streams:
            self._feedback_due(stream)
        self._arm(max(0.0, self._report_at - loop_now))

    def _send_feedback(self, path: FeedbackPath, loop_now: float, now_ns: int, read_up_to_ns: int) -> None:
        blocks = []
        due = loop_now >= self._report_at
        if due:
            self._report_at = next_beat(loop_now + REPORT_INTERVAL_S - BEAT_S / 2)
            blocks = [block for stream in self._streams for block in stream.reports(now_ns)]
        feedback = b""
        for stream in self._streams:
            feedback += stream.feedback(now_ns, path.round_trip_ns, self._ssrc, read_up_to_ns=read_up_to_ns)
        lead = receiver_report(self._ssrc, blocks) + source_description(self._ssrc, self._cname)
        if due or feedback:
            path.send_rtcp(lead + feedback)
        for packet in self._congestion.feedback(self._ssrc):
            path.send_rtcp(receiver_report(self._ssrc) + packet)

    def _end_silent_streams(self) -> bool:
        """After BYEs: end the streams that no source came back to; True when that was the last."""
        self._bye_at = None
        for stream in self._streams:
            if stream.started and stream.silent():
                stream.end()
        started = [stream for stream in self._streams if stream.started]
        if started and all(stream.ended for stream in started):
            self._on_silence()
            return True
        return False
