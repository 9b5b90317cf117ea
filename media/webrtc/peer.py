"""The peer of one WHIP session: an offer in, encoded frames out."""

import asyncio
import secrets
from collections.abc import Callable

from media.handover.encoded_frame import EncodedSink
from media.rtp.receiver import RtpReceiver
from media.rtp.router import Route, Router
from media.rtp.ssrc_receiver import SsrcCounters
from media.rtp.stall_compensator import StallCompensator
from media.rtp.wire.packet import PacketBuffer, RtpPacket, parse_rtp
from media.rtp.wire.rtcp import Bye, SenderInfo, parse_rtcp, receiver_report, source_description
from media.rtp.wire.rtx import unwrap_rtx
from media.rtp.wire.transport_cc import TransportFeedback
from media.sdp.answer import write_answer, write_fragment
from media.sdp.offer import Offer, read_fragment, read_offer
from media.sdp.parse import malformed
from media.sdp.transport import IceParameters
from media.webrtc.network.udp import BEAT_S, next_beat
from media.webrtc.transport import MediaTransport
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.ids import new_id
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork

REPORT_INTERVAL_S = 1.0  # RFC 3550 6.2 scaled for video: losses and round trips are told in time
CONGESTION_INTERVAL_S = 0.1  # transport-cc feedback, as browsers send it to each other
_EVERYWHERE = MediaNetwork()
BYE_GRACE_S = 1.0  # a sender that changes its SSRC says BYE for the old one first


class Peer:
    """Receives what one publisher sends; every call and callback is on the event loop.

    `on_state` says "connected", "disconnected", "failed" or "closed". After the last two every stream has
    ended and the sockets are being closed; `close` may still be called, and waits for that.
    `on_round_trip` gets what each check of the path has measured, in nanoseconds.
    """

    def __init__(
        self,
        *,
        sink: EncodedSink,
        clock: Clock,
        ice_servers: list[IceServer],
        policy: IceTransportPolicy = IceTransportPolicy.ALL,
        network: MediaNetwork = _EVERYWHERE,
        reorder_wait_s: float = 1.0,
        on_state: Callable[[str, str | None], None] = lambda state, reason: None,
        on_round_trip: Callable[[int], None] = lambda round_trip_ns: None,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._ice_servers = ice_servers
        self._policy = policy
        self._network = network
        self._wait_ns = round(reorder_wait_s * 1e9)
        self._on_state = on_state
        self._on_round_trip = on_round_trip
        self._offer: Offer | None = None
        self._transport: MediaTransport | None = None
        self._router = Router(())
        self._streams: list[RtpReceiver] = []
        self._congestion = TransportFeedback()
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_urlsafe(12)
        self._etag = ""
        self._remote_ice: IceParameters | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._hold_up = StallCompensator()
        self._report_at = 0.0
        self._bye_at: float | None = None
        self._restarting = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self.statistics = SsrcCounters()
        self.state = "new"
        self.state_reason: str | None = None  # a stable word for why it failed or closed

    def __repr__(self) -> str:
        return f"Peer({self.state} {self._transport!r} {self._streams!r})"

    # --- signalling ----------------------------------------------------------------------------------
    async def accept(self, offer: str) -> tuple[str, str]:
        """Answer the one offer of this session: (SDP, entity tag of its ICE session).

        Raises BystanderError: malformed_sdp, sdp_too_large, unsupported_codecs, no_media_sent,
        unsupported_transport, offer_repeated (409), relay_unavailable, media_ports_exhausted (503).
        """
        if self._offer is not None or self._closing is not None:
            raise caller_error("offer_repeated", "This session has had its offer already.", status=409)
        self._offer = read = read_offer(offer)
        self._transport = transport = MediaTransport(
            events=self,
            drop=self.statistics.drop,
            clock=self._clock,
            ice_servers=self._ice_servers,
            policy=self._policy,
            network=self._network,
            dtls_server=read.peer_is_dtls_client,
            remote_is_lite=read.ice.lite,
        )
        self._router = Router(read.media)
        self._streams = [
            RtpReceiver(
                new_id("stream"),
                media,
                wait_ns=self._wait_ns,
                sink=self._sink,
                counters=self.statistics,
                feedback_due=self._feedback_due,
            )
            for media in read.media
        ]
        try:
            local = await transport.gather()
            await self._add_candidates(transport, read.candidates)
        except BystanderError:
            await self.close()
            raise
        self._remote_ice = read.ice
        transport.start(read.ice, read.fingerprints)
        self._etag = secrets.token_hex(8)
        return write_answer(read, local, session_id=secrets.randbits(62)), self._etag

    async def trickle(
        self, fragment: str, etag: str | None, ice_servers: list[IceServer] | None = None
    ) -> tuple[str, str] | None:
        """Take candidates (None is returned), or restart ICE: (SDP fragment, new entity tag).

        `ice_servers` have the credentials that are good now. Other ICE credentials than before in the
        fragment ask for the restart; `etag` should then be None or "*" (RFC 9725 4.3.3), and must never be an
        old one.
        Raises BystanderError: malformed_sdp, stale_ice_session (412), session_closed (409), and what
        MediaTransport.gather raises: then media goes on as it does, and the restart can be asked for again.
        """
        read = read_fragment(fragment)
        transport, offer = self._transport, self._offer
        if transport is None or offer is None or self._closing is not None:
            raise caller_error("session_closed", "The session has ended.", status=409)
        if etag not in (None, "*", self._etag):
            raise caller_error("stale_ice_session", "The entity tag is of an older ICE session.", status=412)
        async with self._restarting:
            if read.ice is None or read.ice.names_same_session(self._remote_ice):
                await self._add_candidates(transport, read.candidates)
                return None
            local = await transport.restart(read.ice, ice_servers or [])
            await self._add_candidates(transport, read.candidates)
            self._remote_ice = read.ice  # once it has succeeded: asked for again, it is tried again
            self._etag = secrets.token_hex(8)
            return write_fragment(offer, local), self._etag

    async def close(self) -> None:
        """End the session and free everything; may be called more than once."""
        self._finish("closed", "closed_here")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _add_candidates(self, transport: MediaTransport, candidates: tuple[str, ...]) -> None:
        for candidate in candidates:
            try:
                await transport.add_remote_candidate(candidate)
            except ValueError as error:
                raise malformed("A candidate cannot be read.") from error

    # --- what the transport tells --------------------------------------------------------------------
    def state_changed(self, state: str, reason: str | None) -> None:
        """See TransportEvents."""
        if state in ("failed", "closed"):
            self._finish(state, reason)
            return
        self.state, self.state_reason = state, reason
        if state == "connected" and self._timer is None:
            self._arm(0.0)
        self._on_state(state, reason)

    def round_trip_measured(self, round_trip_ns: int) -> None:
        """See TransportEvents."""
        self._on_round_trip(round_trip_ns)

    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None:
        """See TransportEvents."""
        packet = parse_rtp(buffer, length, arrival_ns)
        counters = self.statistics
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
        """See TransportEvents."""
        for item in parse_rtcp(data):
            match item:
                case SenderInfo():
                    section = self._router.section_of(item.ssrc)
                    if section is not None:
                        self._streams[section].sender_report(item, arrival_ns)
                case Bye():
                    self._bye(item.ssrcs)

    # --- receiving -----------------------------------------------------------------------------------
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
            self.statistics.drop("unknown_payload_type")
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
        if self._closing is not None or self.state not in ("connected", "disconnected"):
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
        self._timer = None
        if self._transport is not None:
            self._transport.read()  # nothing is asked for again that is here already
        loop_now = asyncio.get_running_loop().time()
        late_ns = round((loop_now - self._timer_at) * 1e9)
        now_ns = self._clock.monotonic_ns()
        if self._bye_at is not None and loop_now >= self._bye_at and self._end_silent_streams():
            return
        self._send_feedback(loop_now, now_ns, self._hold_up.read_up_to(now_ns, late_ns))
        for stream in self._streams:
            self._feedback_due(stream)
        self._arm(max(0.0, self._report_at - loop_now))

    def _send_feedback(self, loop_now: float, now_ns: int, read_up_to_ns: int) -> None:
        transport = self._transport
        if transport is None:
            return
        blocks = []
        due = loop_now >= self._report_at
        if due:
            self._report_at = next_beat(loop_now + REPORT_INTERVAL_S - BEAT_S / 2)
            blocks = [block for stream in self._streams for block in stream.reports(now_ns)]
        feedback = b""
        for stream in self._streams:
            feedback += stream.feedback(
                now_ns, transport.round_trip_ns, self._ssrc, read_up_to_ns=read_up_to_ns
            )
        lead = receiver_report(self._ssrc, blocks) + source_description(self._ssrc, self._cname)
        if due or feedback:
            transport.send_rtcp(lead + feedback)
        for packet in self._congestion.feedback(self._ssrc):
            transport.send_rtcp(receiver_report(self._ssrc) + packet)

    # --- ending --------------------------------------------------------------------------------------
    def _end_silent_streams(self) -> bool:
        """After BYEs: end the streams that no source came back to; True when that was the last."""
        self._bye_at = None
        for stream in self._streams:
            if stream.started and stream.silent():
                stream.end()
        started = [stream for stream in self._streams if stream.started]
        if started and all(stream.ended for stream in started):
            self._finish("closed", "bye")
            return True
        return False

    def _finish(self, state: str, reason: str | None) -> None:
        if self._closing is not None:
            return
        if self._transport is not None:
            self._transport.read()
        self._closing = asyncio.get_running_loop().create_task(self._release())
        if self._timer is not None:
            self._timer.cancel()
        for stream in self._streams:
            stream.end()
        self.state, self.state_reason = state, reason
        self._on_state(state, reason)

    async def _release(self) -> None:
        if self._transport is not None:
            await self._transport.close()
