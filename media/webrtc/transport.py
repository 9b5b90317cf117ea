"""One bundled ICE, DTLS and SRTP transport, receive only, from its first candidate to its end.

ice.py finds the way, dtls.py makes the keys, srtp.py reads what comes; here is when, and what state that is.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from media.sdp.transport import Fingerprint, IceParameters, LocalTransport
from media.webrtc.dtls import DtlsSession, IceLink
from media.webrtc.gathering import DATAGRAM_BYTES_MAX
from media.webrtc.ice import CheckAllowance, IceConnection, usable_candidate
from media.webrtc.network.ice_urls import read_servers
from media.webrtc.srtp import MediaEvents, SrtpReceiver
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import CANDIDATES_PER_PUBLISHER_MAX
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork

logger = logging.getLogger(__name__)

SETUP_S_MAX = 15.0  # from the answer to the end of the DTLS handshake: a relay over TCP takes three
WATCH_INTERVAL_S = 1.0
PROBED_SILENCE_S = 2.0  # after this much silence the peer is asked for a sign of life at every watch
SILENCE_S_MAX = 5.0  # and after this much it is "disconnected", as browsers say of each other
VANISHED_S_MAX = 60.0  # and after this much it has "failed": a gap or an ICE restart takes less
CONSENT_EXPIRY_S = 30.0  # RFC 7675 5.1: without a response for this long nothing but checks may be sent
EARLY_DATAGRAMS_MAX = 512  # media ahead of its keys: half a second of 10 Mbit/s, at most 1 MiB


class TransportEvents(MediaEvents, Protocol):
    """Who receives, and is told how the connection is. Nothing here may raise."""

    def state_changed(self, state: str, reason: str | None) -> None: ...
    def round_trip_measured(self, round_trip_ns: int) -> None: ...


class MediaTransport:
    """gather() -> start() -> connected, disconnected and back, restart() -> failed or closed.

    `state_changed` says "connected", "disconnected", "failed" or "closed"; the last two are final, and
    close() must still be called. `drop` counts datagrams that were not taken, by reason.
    """

    def __init__(
        self,
        *,
        events: TransportEvents,
        drop: Callable[[str], None],
        clock: Clock,
        ice_servers: list[IceServer],
        policy: IceTransportPolicy,
        network: MediaNetwork,
        dtls_server: bool,
        remote_is_lite: bool = False,
        leads: bool = False,
    ) -> None:
        """`leads`: we have offered, so ICE is ours to control (RFC 8445 6.1.1)."""
        self._events = events
        self._clock = clock
        self._network = network
        read_servers(ice_servers)  # malformed_ice_server
        self._ice_servers = ice_servers
        self._policy = policy
        self._remote_is_lite = remote_is_lite
        self._leads = leads or remote_is_lite  # RFC 8445 6.1.1: a lite agent never controls
        self._allowance = CheckAllowance()
        self._drop = drop
        self._link = IceLink(drop)
        self._dtls = DtlsSession(self._link, server=dtls_server)
        self._srtp: SrtpReceiver | None = None
        self._connection = self._new_connection()  # the newest; the link has the one that carries media
        self._paired = asyncio.Event()
        self._early: list[tuple[bytes, int]] = []  # media that came before its keys, and when
        self._candidates = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._monitor: asyncio.TimerHandle | None = None
        self._consent_at_ns = 0
        self.state = "new"
        self.round_trip_ns = 100_000_000  # until a consent check has measured it

    def __repr__(self) -> str:
        return f"MediaTransport({self.state})"

    async def gather(self) -> LocalTransport:
        """Find the candidates of the newest ICE session and say what the answer tells of it.

        Raises relay_unavailable (503) where everything is to be relayed and no TURN server has room, and
        media_ports_exhausted (503).
        """
        connection = self._connection
        await connection.gather_candidates()
        candidates = connection.told_candidates()
        if not candidates and self._policy is IceTransportPolicy.RELAYED:
            detail = "No TURN server gives a relay now."
            raise BystanderError("relay_unavailable", detail, fault=Fault.RESOURCE, status=503)
        return LocalTransport(
            ice=IceParameters(connection.local_username, connection.local_password),
            fingerprints=self._dtls.fingerprints(),
            candidates=tuple(candidates),
        )

    def start(
        self,
        remote: IceParameters,
        fingerprints: tuple[Fingerprint, ...],
        *,
        dtls_server: bool | None = None,
    ) -> None:
        """Connect in the background; `state_changed` tells how it went. `dtls_server` if known now."""
        if dtls_server is not None:
            self._dtls.take_role(server=dtls_server)
        self._remote_is_lite |= remote.lite
        self._spawn(self._find_pair(self._connection, remote))
        self._spawn(self._secure(fingerprints))

    async def restart(self, remote: IceParameters, ice_servers: list[IceServer]) -> LocalTransport:
        """A second ICE session (RFC 8445 9); media keeps coming on the old one until it has a pair.

        `ice_servers` have the credentials that are good now. Raises what `gather` does.
        """
        self._ice_servers = ice_servers or self._ice_servers
        unfinished = self._connection if self._connection is not self._link.connection else None
        self._connection = connection = self._new_connection()
        self._candidates = 0
        if unfinished is not None:
            await unfinished.close_in_time()
        local = await self.gather()
        self._spawn(self._find_pair(connection, remote))
        return local

    async def add_remote_candidate(self, value: str) -> None:
        """Take what stands after `candidate:`, unless it is of no use or one too many.

        Raises ValueError when it is malformed.
        """
        self._candidates += 1
        if self._candidates > CANDIDATES_PER_PUBLISHER_MAX:
            self._drop("too_many_candidates")
        elif (candidate := usable_candidate(value)) is not None:
            await self._connection.add_remote_candidate(candidate)

    def send_rtcp(self, data: bytes) -> None:
        """Protect and send one compound packet; dropped when there is no way or no consent to send."""
        connection = self._link.connection
        if self._srtp is None or connection is None:
            return
        if self._clock.monotonic_ns() - self._consent_at_ns > CONSENT_EXPIRY_S * 1e9:
            return
        connection.send_now(self._srtp.protect_rtcp(data))

    def read(self) -> None:
        """Hand over now what came: sockets are read on a beat, see media.webrtc.network.udp."""
        for connection in {self._connection, self._link.connection or self._connection}:
            connection.read()

    async def close(self) -> None:
        """End everything: close_notify, tasks, sockets. May be called twice."""
        self._change("closed", None)
        if self._monitor is not None:
            self._monitor.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._dtls.stop()
        for connection in {self._connection, self._link.connection or self._connection}:
            await connection.close_in_time()
        self._link.use(None)
        self._srtp = None

    # --- setting up ----------------------------------------------------------------------------------
    def _new_connection(self) -> IceConnection:
        return IceConnection(
            network=self._network,
            servers=self._ice_servers,
            policy=self._policy,
            clock=self._clock,
            on_media=self._early_media if self._srtp is None else self._srtp.datagram,
            on_dtls=self._link.dtls_received,
            on_consent=self._consent,
            drop=self._drop,
            allowance=self._allowance,
            controlling=self._leads,
        )

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the transport failed", exc_info=error)
            self._change("failed", "transport_defect")

    async def _find_pair(self, connection: IceConnection, remote: IceParameters) -> None:
        """Connect one ICE session, then let it carry the media in place of the one before."""
        connection.set_remote(remote.username_fragment, remote.password, lite=self._remote_is_lite)
        try:
            async with asyncio.timeout(SETUP_S_MAX):
                await connection.connect()
        except (TimeoutError, ConnectionError):
            logger.info("an ICE session found no pair; the one before it, if any, goes on")
            return
        previous = self._link.connection
        self._use(connection)
        self._heard()
        if previous is not None:
            previous.read()  # what came on the old way and was not looked at yet
            await previous.close_in_time()

    async def _secure(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Once there is a pair, run the DTLS handshake over it."""
        step = None
        try:
            async with asyncio.timeout(SETUP_S_MAX):
                await self._paired.wait()
                step = "dtls_timeout"
                succeeded = await self._dtls.handshake(fingerprints)
        except TimeoutError:
            self._change("failed", step or self._connection.why_unpaired)
            return
        if not succeeded:
            self._change("failed", self._dtls.failure or "dtls_failed")
            return
        self._dtls.add_listener("statechange", self._dtls_changed)
        self._srtp = SrtpReceiver(self._dtls, self._events, self._clock, self._drop)
        for connection in (self._link.connection, self._connection):
            if connection is not None:
                connection.hand_media_to(self._srtp.datagram)
        self._change("connected", None)
        early, self._early = self._early, []
        for data, arrival_ns in early:
            self._srtp.datagram(data, arrival_ns)
        self._heard()
        self._watch()

    def _use(self, connection: IceConnection) -> None:
        self._link.use(connection)
        connection.probe()  # how far away the peer is, before its first media
        self._paired.set()
        self._consent_at_ns = self._clock.monotonic_ns()

    # --- receiving -----------------------------------------------------------------------------------
    def _early_media(self, data: bytes, arrival_ns: int) -> None:
        """Often the first key frame, on its way while our end of the handshake was.

        The first ones are kept: what follows a key frame is worth nothing without it.
        """
        if len(data) > DATAGRAM_BYTES_MAX:
            self._drop("datagram_size")
        elif len(self._early) == EARLY_DATAGRAMS_MAX:
            self._drop("before_dtls")
        else:
            self._early.append((data, arrival_ns))

    def _consent(self, round_trip_ns: int) -> None:
        self._consent_at_ns = self._clock.monotonic_ns()
        self.round_trip_ns = round_trip_ns
        self._events.round_trip_measured(round_trip_ns)
        self._heard()

    def _heard(self) -> None:
        if self._srtp is not None:
            self._srtp.heard(self._clock.monotonic_ns())
            self._change("connected", None)

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed":
            self._change("closed", "close_notify")

    # --- watching ------------------------------------------------------------------------------------
    def _watch(self) -> None:
        """Whether anything is still heard; in silence, ask."""
        if self.state in ("failed", "closed") or self._srtp is None:
            return
        self._monitor = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._watch)
        silent_s = (self._clock.monotonic_ns() - self._srtp.last_arrival_ns) / 1e9
        if silent_s > PROBED_SILENCE_S and self._link.connection is not None:
            self._link.connection.probe()
        if silent_s > VANISHED_S_MAX:
            self._change("failed", "peer_vanished")
        elif silent_s > SILENCE_S_MAX:
            self._change("disconnected", "silence")
        else:
            self._change("connected", None)

    def _change(self, state: str, reason: str | None) -> None:
        if state == self.state or self.state in ("failed", "closed"):
            return
        self.state = state
        self._events.state_changed(state, reason)
