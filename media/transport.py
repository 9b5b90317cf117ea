"""One bundled ICE, DTLS and SRTP transport, receive only: the one file that leans on its libraries' inside.

aioice gathers, checks and relays; aiortc's RTCDtlsTransport makes the handshake and the keys; SRTP datagrams
are taken where aioice receives them and unprotected in place: no queue, no task, no object per packet.
tests/media/test_transport.py says what is leaned on, and fails when a new version moves it.
"""

import asyncio
import functools
import logging
import random
import struct
from collections.abc import Callable
from typing import Any, Protocol

import aioice
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceServer
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import connection_kwargs
from pylibsrtp import ERRORS
from pylibsrtp import Error as SrtpError
from pylibsrtp._binding import ffi, lib

from media.datagrams import BeatSocket, unplug
from media.negotiation import Fingerprint, IceParameters, LocalTransport
from media.rtp.packet import PacketBuffer
from recorder.clock import Clock
from recorder.errors import BystanderError, Fault
from recorder.limits import CANDIDATES_PER_PUBLISHER_MAX
from recorder.values import IceServer, IceTransportPolicy

logger = logging.getLogger(__name__)

# --- how long is waited, and for what ----------------------------------------------------------------
GATHERING_S_MAX = 3  # a STUN or TURN server that has not answered by then is left out of the answer
SETUP_S_MAX = 30.0  # from the answer to the end of the DTLS handshake: people may have to allow their camera
WATCH_INTERVAL_S = 1.0
PROBED_SILENCE_S = 2.0  # after this much silence the peer is asked for a sign of life at every watch
SILENCE_S_MAX = 5.0  # and after this much it is "disconnected", as browsers say of each other
VANISHED_S_MAX = 60.0  # and after this much it has "failed": a gap or an ICE restart takes less
CONSENT_INTERVAL_S = 4.0  # RFC 7675 5.1 wants a check every 4 to 6 s
CONSENT_EXPIRY_S = 30.0  # RFC 7675 5.1: without a response for this long nothing but checks may be sent
CLOSING_S_MAX = 2.0  # an unreachable TURN server must not hold up the end of a recording

# --- how much is held --------------------------------------------------------------------------------
DATAGRAM_BYTES_MAX = 2048  # RTP fits an Ethernet frame; a little more for tunnels with jumbo frames
EARLY_DATAGRAMS_MAX = 512  # media ahead of its keys: half a second of 10 Mbit/s, at most 1 MiB
DTLS_DATAGRAMS_MAX = 64  # a handshake is about ten, retransmitted
SOURCES_MAX = 128  # SSRCs that libsrtp keeps state for; a section has two, six with simulcast
_RTP_BYTES_MIN = 12
_TRAILER_BYTES = 4 + 16 + 128  # what libsrtp may append: SRTCP index, tag, MKI

_SSRC = struct.Struct("!I")


class TransportEvents(Protocol):
    """Who receives. Buffers are only valid during the call; nothing here may raise."""

    def rtp_received(self, buffer: PacketBuffer, length: int, arrival_ns: int) -> None: ...
    def rtcp_received(self, data: bytes, arrival_ns: int) -> None: ...
    def state_changed(self, state: str, reason: str | None) -> None: ...
    def round_trip_measured(self, round_trip_ns: int) -> None: ...


class IceConnection(aioice.Connection):
    """aioice's connection, with three differences.

    Host candidates can be restricted to one address; media leaves through `on_media` before any parsing of
    STUN; and lost consent closes nothing, because a recording outlives a gap in the network.
    """

    def __init__(
        self,
        *,
        bind_host: str | None,
        clock: Clock,
        on_media: Callable[[bytes, int], None],
        on_dtls: Callable[[bytes], None],
        on_consent: Callable[[int], None],
        **arguments: Any,
    ) -> None:
        super().__init__(ice_controlling=False, **arguments)
        self._bind_host = bind_host
        self._monotonic_ns = clock.monotonic_ns
        self.on_media = on_media
        self._on_dtls = on_dtls
        self._on_consent = on_consent
        self._stun_arrival_ns = 0
        self._probes: set[asyncio.Task[None]] = set()

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = GATHERING_S_MAX
    ) -> list[aioice.Candidate]:
        if self._transport_policy is aioice.TransportPolicy.ALL:
            if self._bind_host is not None:
                addresses = [self._bind_host]
            elif not addresses:
                addresses = ["127.0.0.1"]  # a machine without any network still records itself
        found = await super().get_component_candidates(component, addresses, GATHERING_S_MAX)
        for protocol in self._protocols:
            receive = functools.partial(self._datagram_received, protocol.datagram_received)
            if protocol.local_candidate.type == "host":
                protocol.transport = BeatSocket(
                    unplug(protocol.transport),
                    receive=receive,
                    owner=protocol,
                    monotonic_ns=self._monotonic_ns,
                    datagram_bytes_max=DATAGRAM_BYTES_MAX,
                )
            else:
                # aioice's TURN client looks this up for each datagram.
                protocol.datagram_received = receive  # type: ignore[method-assign]
        return found

    def _datagram_received(
        self,
        stun_received: Callable[[bytes, Any], None],
        data: bytes,
        address: tuple[Any, ...],
        arrival_ns: int | None = None,
    ) -> None:
        if arrival_ns is None:
            arrival_ns = self._monotonic_ns()
        first = data[0] if data else 255
        if 128 <= first <= 191:  # RFC 7983 7
            self.on_media(data, arrival_ns)
        elif first < 4:
            self._stun_arrival_ns = arrival_ns
            try:
                stun_received(data, address)
            except (ValueError, KeyError, IndexError, AssertionError, struct.error) as error:
                logger.debug("unreadable STUN from %s: %r", address, error)
        else:
            self._on_dtls(data)

    def data_received(self, data: bytes, component: int) -> None:
        """What aioice takes for data: it came before our hook, or is no STUN message after all."""
        if data and 20 <= data[0] <= 63:
            self._on_dtls(data)

    async def query_consent(self) -> None:
        """RFC 7675, without the end: how consent stands is told, and what to do is decided by who listens."""
        while True:
            await asyncio.sleep(CONSENT_INTERVAL_S * random.uniform(0.8, 1.2))
            for pair in list(self._nominated.values()):
                await self._check_consent(pair)

    async def _check_consent(self, pair: Any) -> None:
        assert self.remote_password is not None
        sent_ns = self._monotonic_ns()
        try:
            await pair.protocol.request(
                self.build_request(pair, nominate=False),
                pair.remote_addr,
                integrity_key=self.remote_password.encode(),
                retransmissions=0,
            )
        except aioice.stun.TransactionError:
            return
        self._on_consent(max(0, self._stun_arrival_ns - sent_ns))

    def read(self) -> None:
        """Hand over what lies in the sockets, without waiting for their beat."""
        for protocol in self._protocols:
            if isinstance(protocol.transport, BeatSocket):
                protocol.transport.read()

    def probe(self) -> None:
        """Check consent out of turn: half a second later it was answered, or was not."""
        for pair in self._nominated.values():
            task = asyncio.get_running_loop().create_task(self._check_consent(pair))
            self._probes.add(task)
            task.add_done_callback(self._probes.discard)

    async def close(self) -> None:
        """End it, with its tasks and sockets."""
        for task in self._probes:
            task.cancel()
        if self._probes:
            await asyncio.wait(self._probes)
        await super().close()

    def send_now(self, data: bytes) -> bool:
        """Send one datagram on the nominated pair, if there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True


class IceLink:
    """What RTCDtlsTransport takes for its RTCIceTransport: it stays when the ICE connection is exchanged."""

    role = "controlled"

    def __init__(self, drop: Callable[[str], None]) -> None:
        self.connection: IceConnection | None = None
        self._drop = drop
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(DTLS_DATAGRAMS_MAX)

    def dtls_received(self, data: bytes) -> None:
        """Queue one datagram for the handshake; over the bound it is dropped, DTLS sends it again."""
        if self._datagrams.full():
            self._drop("dtls_overflow")
        elif 20 <= data[0] <= 63:
            self._datagrams.put_nowait(data)
        else:
            self._drop("not_media")

    async def _recv(self) -> bytes:
        data = await self._datagrams.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if self.connection is not None:
            self.connection.send_now(data)


class DtlsSession(RTCDtlsTransport):
    """The handshake and its keys; what aiortc would do with media never happens here."""

    def __init__(self, link: IceLink, *, server: bool) -> None:
        super().__init__(link, [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
        self._set_role("server" if server else "client")

    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Ours, by SHA-256."""
        offered = self.getLocalParameters().fingerprints
        return tuple(Fingerprint(f.algorithm, f.value) for f in offered if f.algorithm == "sha-256")

    def srtp_contexts(self) -> tuple[Any, Any]:
        """libsrtp's receiving and sending context; their owners live as long as this object."""
        return self._rx_srtp._srtp[0], self._tx_srtp._srtp[0]

    async def handshake(self, fingerprints: tuple[Fingerprint, ...]) -> bool:
        """Run it; whether it succeeded."""
        remote = [RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value) for f in fingerprints]
        await self.start(RTCDtlsParameters(fingerprints=remote))
        return self.state == "connected"

    async def stop(self) -> None:
        """Say close_notify and wait for the pump to end."""
        pump = self._task
        await super().stop()
        if pump is not None:
            await asyncio.wait([pump])
            if not pump.cancelled() and (error := pump.exception()) is not None:
                logger.error("the DTLS pump failed", exc_info=error)


class SrtpReceiver:
    """Unprotects datagrams in one buffer of its own, and protects RTCP in another."""

    def __init__(
        self, session: DtlsSession, events: TransportEvents, clock: Clock, drop: Callable[[str], None]
    ):
        self._session = session  # owns the contexts
        self._receive_context, self._send_context = session.srtp_contexts()
        self._events = events
        self._drop = drop
        self._cdata = ffi.new("char[]", DATAGRAM_BYTES_MAX)
        self._buffer = ffi.buffer(self._cdata)
        self._length = ffi.new("int *")
        self._outgoing = ffi.new("char[]", DATAGRAM_BYTES_MAX + _TRAILER_BYTES)
        self._sources: set[int] = set()
        self.last_arrival_ns = clock.monotonic_ns()

    def datagram(self, data: bytes, arrival_ns: int) -> None:
        """One SRTP or SRTCP datagram, whatever its content."""
        size = len(data)
        if not _RTP_BYTES_MIN <= size <= DATAGRAM_BYTES_MAX:
            self._drop("datagram_size")
            return
        control = 192 <= data[1] <= 223  # RFC 5761 4
        (ssrc,) = _SSRC.unpack_from(data, 4 if control else 8)
        known = ssrc in self._sources
        if not known and len(self._sources) >= SOURCES_MAX:
            self._drop("too_many_sources")
            return
        length = self._length
        length[0] = size
        self._buffer[0:size] = data
        unprotect = lib.srtp_unprotect_rtcp if control else lib.srtp_unprotect
        status = unprotect(self._receive_context, self._cdata, length)
        if status:
            self._drop("srtp_replay" if ERRORS[status].startswith("replay") else "srtp_unauthentic")
            return
        if not known:
            self._sources.add(ssrc)
        self.last_arrival_ns = arrival_ns
        if control:
            self._events.rtcp_received(self._buffer[0 : length[0]], arrival_ns)
        else:
            self._events.rtp_received(self._buffer, length[0], arrival_ns)

    def protect_rtcp(self, data: bytes) -> bytes:
        """The SRTCP datagram of one compound packet."""
        if len(data) > DATAGRAM_BYTES_MAX:
            raise ValueError("an RTCP packet longer than a datagram")
        length = ffi.new("int *", len(data))
        ffi.memmove(self._outgoing, data, len(data))
        status = lib.srtp_protect_rtcp(self._send_context, self._outgoing, length)
        if status:
            raise SrtpError(ERRORS[status])
        return bytes(ffi.buffer(self._outgoing, length[0]))


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
        bind_host: str | None,
        dtls_server: bool,
    ) -> None:
        self._events = events
        self._clock = clock
        self._bind_host = bind_host
        self._ice_arguments = _ice_arguments(ice_servers, policy)
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
        """Find the candidates of the newest ICE session and say what the answer tells of it."""
        connection = self._connection
        await connection.gather_candidates()
        return LocalTransport(
            ice=IceParameters(connection.local_username, connection.local_password),
            fingerprints=self._dtls.fingerprints(),
            candidates=tuple(candidate.to_sdp() for candidate in connection.local_candidates),
        )

    def start(self, remote: IceParameters, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Connect in the background; `state_changed` tells how it went."""
        self._spawn(self._find_pair(self._connection, remote))
        self._spawn(self._secure(fingerprints))

    async def restart(self, remote: IceParameters) -> LocalTransport:
        """A second ICE session (RFC 8445 9); media keeps coming on the old one until it has a pair."""
        unfinished = self._connection if self._connection is not self._link.connection else None
        self._connection = connection = self._new_connection()
        self._candidates = 0
        if unfinished is not None:
            await _close_connection(unfinished)
        local = await self.gather()
        self._spawn(self._find_pair(connection, remote))
        return local

    async def add_remote_candidate(self, value: str) -> None:
        """Take what stands after `candidate:`; TCP, names and more than the limit are not used.

        Names (mDNS) need no resolving: the peer's own checks reach us and teach us its address.
        Raises ValueError when it is malformed.
        """
        candidate = aioice.Candidate.from_sdp(value)
        self._candidates += 1
        if self._candidates > CANDIDATES_PER_PUBLISHER_MAX:
            self._drop("too_many_candidates")
        elif (
            candidate.transport.lower() != "udp"
            or candidate.component != 1
            or candidate.host.endswith(".local")
        ):
            logger.debug("not used: candidate %s", candidate)
        else:
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
        """Hand over now what came: sockets are read on a beat, see media.datagrams."""
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
            await _close_connection(connection)
        self._link.connection = None
        self._srtp = None

    # --- setting up ----------------------------------------------------------------------------------
    def _new_connection(self) -> IceConnection:
        return IceConnection(
            bind_host=self._bind_host,
            clock=self._clock,
            on_media=self._early_media if self._srtp is None else self._srtp.datagram,
            on_dtls=self._link.dtls_received,
            on_consent=self._consent,
            **self._ice_arguments,
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
        connection.remote_username = remote.username_fragment
        connection.remote_password = remote.password
        connection.remote_is_lite = remote.lite
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
            await _close_connection(previous)

    async def _secure(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Once there is a pair, run the DTLS handshake over it."""
        step = "ice_timeout"
        try:
            async with asyncio.timeout(SETUP_S_MAX):
                await self._paired.wait()
                step = "dtls_timeout"
                succeeded = await self._dtls.handshake(fingerprints)
        except TimeoutError:
            self._change("failed", step)
            return
        if not succeeded:
            self._change("failed", "dtls_failed")
            return
        self._dtls.add_listener("statechange", self._dtls_changed)
        self._srtp = SrtpReceiver(self._dtls, self._events, self._clock, self._drop)
        for connection in (self._link.connection, self._connection):
            if connection is not None:
                connection.on_media = self._srtp.datagram
        self._change("connected", None)
        early, self._early = self._early, []
        for data, arrival_ns in early:
            self._srtp.datagram(data, arrival_ns)
        self._heard()
        self._watch()

    def _use(self, connection: IceConnection) -> None:
        self._link.connection = connection
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
            self._srtp.last_arrival_ns = self._clock.monotonic_ns()
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


async def _close_connection(connection: IceConnection) -> None:
    try:
        async with asyncio.timeout(CLOSING_S_MAX):
            await connection.close()
    except TimeoutError:
        for protocol in connection._protocols:
            protocol.transport.close()
        logger.info("an ICE connection did not close in time; its TURN allocation expires by itself")


def _ice_arguments(servers: list[IceServer], policy: IceTransportPolicy) -> dict[str, Any]:
    entries = [RTCIceServer(urls=s.urls, username=s.username, credential=s.credential) for s in servers]
    try:
        arguments = connection_kwargs(entries)
    except ValueError as error:
        raise BystanderError(
            "malformed_ice_server", "An ICE server's URL is malformed.", fault=Fault.SERVER, status=500
        ) from error
    relayed = policy is IceTransportPolicy.RELAYED
    arguments["transport_policy"] = aioice.TransportPolicy.RELAY if relayed else aioice.TransportPolicy.ALL
    return arguments
