"""The peer of one WHIP session: an offer in, encoded frames out."""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable

from media.handover.encoded_frame import EncodedSink
from media.rtp.ssrc_receiver import SsrcCounters
from media.rtp.wire.packet import PacketBuffer
from media.sdp.answer import write_answer, write_fragment
from media.sdp.offer import Offer, read_fragment, read_offer
from media.sdp.own_offer import read_answer, write_offer
from media.sdp.parse import malformed
from media.sdp.transport import IceParameters, LocalTransport
from media.webrtc.rtp_session import RtpSession
from media.webrtc.transport import MediaTransport
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork

_EVERYWHERE = MediaNetwork()


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
        stereo: bool = False,
        on_state: Callable[[str, str | None], None] = lambda state, reason: None,
        on_round_trip: Callable[[int], None] = lambda round_trip_ns: None,
    ) -> None:
        self._clock = clock
        self._ice_servers = ice_servers
        self._policy = policy
        self._network = network
        self._stereo = stereo
        self._on_state = on_state
        self._on_round_trip = on_round_trip
        self._offer: Offer | None = None
        self._transport: MediaTransport | None = None
        self._local: LocalTransport | None = None  # as it was told last
        self._session_id = secrets.randbits(62)
        self._answers = 0
        self._etag = ""
        self._remote_ice: IceParameters | None = None
        self._restarting = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self.statistics = SsrcCounters()
        self._session = RtpSession(
            sink=sink,
            clock=clock,
            counters=self.statistics,
            reorder_wait_s=reorder_wait_s,
            on_silence=lambda: self._finish("closed", "bye"),
        )
        self.state = "new"
        self.state_reason: str | None = None  # a stable word for why it failed or closed

    def __repr__(self) -> str:
        return f"Peer({self.state} {self._transport!r} {self._session!r})"

    # --- signalling ----------------------------------------------------------------------------------
    async def accept(self, offer: str) -> tuple[str, str]:
        """Answer the one offer of this session: (SDP, entity tag of its ICE session).

        Raises BystanderError: malformed_sdp, sdp_too_large, unsupported_codecs, no_media_sent,
        bundle_required, unsupported_transport, offer_repeated (409), relay_unavailable,
        media_ports_exhausted (503).
        """
        if self._offer is not None or self._closing is not None:
            raise caller_error("offer_repeated", "This session has had its offer already.", status=409)
        if self._transport is not None:
            raise caller_error("offer_repeated", "This session has offered by itself.", status=409)
        self._offer = read = read_offer(offer)
        transport = self._new_transport(dtls_server=read.peer_is_dtls_client, lite=read.ice.lite)
        self._session.expect(read.media)
        try:
            local = await transport.gather()
            await self._add_candidates(transport, read.candidates)
        except BystanderError:
            await self.close()
            raise
        self._remote_ice = read.ice
        self._local = local
        transport.start(read.ice, read.fingerprints)
        self._etag = secrets.token_hex(8)
        return self._answer(read), self._etag

    async def offer(self) -> str:
        """Offer to receive, where the other side answers; `answered` comes next, once.

        Raises BystanderError: offer_repeated (409), and what MediaTransport.gather raises.
        """
        if self._transport is not None or self._closing is not None:
            raise caller_error("offer_repeated", "This session has had its offer already.", status=409)
        transport = self._new_transport(dtls_server=True, leads=True)
        try:
            self._local = await transport.gather()
        except BystanderError:
            await self.close()
            raise
        return write_offer(self._local, session_id=self._session_id)

    async def answered(self, answer: str) -> None:
        """The answer to our offer. Raises BystanderError: what read_answer does, session_closed (409)."""
        read, transport = read_answer(answer), self._transport
        if transport is None or self._remote_ice is not None or self._closing is not None:
            raise caller_error("session_closed", "The session waits for no answer.", status=409)
        self._session.expect(read.media)
        self._remote_ice = read.ice
        await self._add_candidates(transport, read.candidates)
        transport.start(read.ice, read.fingerprints, dtls_server=read.peer_is_dtls_client)

    async def renegotiate(self, offer: str, ice_servers: list[IceServer] | None = None) -> tuple[str, str]:
        """Answer one more offer on the same transport: (SDP, entity tag of its ICE session).

        Other ICE credentials than before restart ICE, with the `ice_servers` that are good now. What is
        refused leaves everything as it was.
        Raises BystanderError: what `accept` does, session_closed (409), transport_changed (422).
        """
        read, before = read_offer(offer), self._offer
        transport = self._transport
        if transport is None or before is None or self._closing is not None:
            raise caller_error("session_closed", "The session has ended.", status=409)
        if read.fingerprints != before.fingerprints:
            detail = "The offer is of another DTLS session: publish it as a new one."
            raise caller_error("transport_changed", detail, status=422)
        async with self._restarting:
            if not read.ice.names_same_session(self._remote_ice):
                await self._restart(transport, read.ice, read.candidates, ice_servers)
            self._offer = dataclasses.replace(read, peer_is_dtls_client=before.peer_is_dtls_client)
            self._session.expect(read.media)
            return self._answer(self._offer), self._etag

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
            local = await self._restart(transport, read.ice, read.candidates, ice_servers)
            return write_fragment(offer, local), self._etag

    async def close(self) -> None:
        """End the session and free everything; may be called more than once."""
        self._finish("closed", "closed_here")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def _new_transport(self, *, dtls_server: bool, lite: bool = False, leads: bool = False) -> MediaTransport:
        self._transport = transport = MediaTransport(
            events=self,
            drop=self.statistics.drop,
            clock=self._clock,
            ice_servers=self._ice_servers,
            policy=self._policy,
            network=self._network,
            dtls_server=dtls_server,
            remote_is_lite=lite,
            leads=leads,
        )
        return transport

    async def _restart(
        self,
        transport: MediaTransport,
        ice: IceParameters,
        candidates: tuple[str, ...],
        ice_servers: list[IceServer] | None,
    ) -> LocalTransport:
        self._local = local = await transport.restart(ice, ice_servers or [])
        await self._add_candidates(transport, candidates)
        self._remote_ice = ice  # once it has succeeded: asked for again, it is tried again
        self._etag = secrets.token_hex(8)
        return local

    def _answer(self, offer: Offer) -> str:
        if self._local is None:
            raise RuntimeError("nothing was gathered that an answer could tell")
        self._answers += 1
        return write_answer(
            offer,
            self._local,
            session_id=self._session_id,
            version=self._answers,
            stereo=self._stereo,
        )

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
        if state == "connected" and self._transport is not None:
            self._session.start(self._transport)
        self._on_state(state, reason)

    def round_trip_measured(self, round_trip_ns: int) -> None:
        """See TransportEvents."""
        self._on_round_trip(round_trip_ns)

    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None:
        """See TransportEvents."""
        self._session.rtp_received(buffer, length, arrival_ns)

    def rtcp_received(self, data: bytes, arrival_ns: int) -> None:
        """See TransportEvents."""
        self._session.rtcp_received(data, arrival_ns)

    # --- ending --------------------------------------------------------------------------------------
    def _finish(self, state: str, reason: str | None) -> None:
        if self._closing is not None:
            return
        if self._transport is not None:
            self._transport.read()
        self._closing = asyncio.get_running_loop().create_task(self._release())
        self._session.end()
        self.state, self.state_reason = state, reason
        self._on_state(state, reason)

    async def _release(self) -> None:
        if self._transport is not None:
            await self._transport.close()
