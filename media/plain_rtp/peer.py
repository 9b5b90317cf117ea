"""The peer of plain RTP: one sender's streams on ports that it was told, with reports back."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address

from media.handover.encoded_frame import EncodedSink
from media.plain_rtp.formats import formats
from media.plain_rtp.ports import StreamPorts
from media.rtp.ssrc_receiver import SsrcCounters
from media.rtp.wire.packet import PacketBuffer
from media.webrtc.rtp_session import RtpSession
from media.webrtc.srtp import PlainReceiver, Receiver, keyed_receiver
from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.media import IceServer

WATCH_INTERVAL_S = 1.0
SILENCE_S_MAX = 5.0  # after so much it is "disconnected", as WebRTC's peers are
VANISHED_S_MAX = 60.0  # and after so much it has "failed"
ROUND_TRIP_NS = 100_000_000  # nothing measures it here


class PlainPeer:
    """Fulfils media.webrtc.publisher_session.PeerConnection; nothing is negotiated with it.

    "connected" with the first packet that is taken, "closed" when the sender has said BYE to everything.
    """

    def __init__(
        self,
        *,
        source: RtpSource,
        address: str,
        sink: EncodedSink,
        clock: Clock,
        reorder_wait_s: float,
        on_state: Callable[[str, str | None], None],
    ) -> None:
        self._source = source
        self._address = address
        self._clock = clock
        self._on_state = on_state
        self.statistics = SsrcCounters()
        self.state = "new"
        self.state_reason: str | None = None
        self._session = RtpSession(
            sink=sink,
            clock=clock,
            counters=self.statistics,
            reorder_wait_s=reorder_wait_s,
            on_silence=lambda: self._end("closed", "bye"),
        )
        self._ports: list[StreamPorts] = []
        self._receiver: Receiver = self._receiving()
        self._monitor: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"PlainPeer({self.state} {self._session!r})"

    async def open(self) -> None:
        """Listen. Raises media_port_taken (503)."""
        self._session.expect(formats(self._source))
        senders = frozenset(str(ip_address(sender)) for sender in self._source.senders)
        try:
            for stream in self._source.streams:
                self._ports.append(
                    StreamPorts(
                        self._address,
                        stream.port,
                        muxed=self._source.rtcp_mux,
                        senders=senders,
                        take=lambda data, arrival_ns: self._receiver.datagram(data, arrival_ns),
                        drop=self.statistics.drop,
                        clock=self._clock,
                    )
                )
        except BystanderError:
            await self.close()
            raise

    async def accept(self, offer: str) -> tuple[str, str]:
        raise _nothing_to_negotiate()

    async def offer(self) -> str:
        raise _nothing_to_negotiate()

    async def answered(self, answer: str) -> None:
        raise _nothing_to_negotiate()

    async def renegotiate(self, offer: str, ice_servers: list[IceServer] | None = None) -> tuple[str, str]:
        raise _nothing_to_negotiate()

    async def trickle(
        self, fragment: str, etag: str | None, ice_servers: list[IceServer] | None = None
    ) -> tuple[str, str] | None:
        raise _nothing_to_negotiate()

    async def close(self) -> None:
        """Free everything; may be called more than once."""
        self._end("closed", "closed_here")

    # --- FeedbackPath ---------------------------------------------------------------------------------
    @property
    def round_trip_ns(self) -> int:
        return ROUND_TRIP_NS

    def send_rtcp(self, data: bytes) -> None:
        protected = self._receiver.protect_rtcp(data)
        for port in self._ports:
            port.send_rtcp(protected)

    def read(self) -> None:
        for port in self._ports:
            port.read()

    # --- MediaEvents ----------------------------------------------------------------------------------
    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None:
        self._heard()
        self._session.rtp_received(buffer, length, arrival_ns)

    def rtcp_received(self, data: bytes, arrival_ns: int) -> None:
        self._session.rtcp_received(data, arrival_ns)

    # --- parts ----------------------------------------------------------------------------------------
    def _receiving(self) -> Receiver:
        keys = self._source.srtp
        if keys is None:
            return PlainReceiver(self, self._clock, self.statistics.drop)
        return keyed_receiver(keys, self, self._clock, self.statistics.drop)

    def _heard(self) -> None:
        if self.state == "new":
            self._monitor = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._watch)
        if self.state in ("new", "disconnected"):
            self._change("connected", None)
            self._session.start(self)

    def _watch(self) -> None:
        self._monitor = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._watch)
        silent_s = (self._clock.monotonic_ns() - self._receiver.last_arrival_ns) / 1e9
        if silent_s > VANISHED_S_MAX:
            self._end("failed", "peer_vanished")
        elif silent_s > SILENCE_S_MAX and self.state == "connected":
            self._change("disconnected", "silence")

    def _end(self, state: str, reason: str) -> None:
        if self.state in ("failed", "closed"):
            return
        self.read()
        self._session.end()
        if self._monitor is not None:
            self._monitor.cancel()
        for port in self._ports:
            port.close()
        self._change(state, reason)

    def _change(self, state: str, reason: str | None) -> None:
        self.state, self.state_reason = state, reason
        self._on_state(state, reason)


def _nothing_to_negotiate() -> BystanderError:
    return caller_error("not_negotiable", "Plain RTP is agreed on beforehand.", status=409)
