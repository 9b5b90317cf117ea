"""An ICE connection (RFC 8445) that media is taken from as it arrives; leans on the inside of aioice.

aioice gathers, checks and relays. tests/media/test_transport.py says what is leaned on, and fails when a new
version moves it.
"""

import asyncio
import functools
import logging
import random
import struct
from collections.abc import Callable
from typing import Any

import aioice
from aiortc import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs

from media.webrtc.candidates import AddressFilter
from media.webrtc.udp import BatchedUdpSocket, unplug
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import IceServer, IceTransportPolicy

logger = logging.getLogger(__name__)

DATAGRAM_BYTES_MAX = 2048  # RTP fits an Ethernet frame; a little more for tunnels with jumbo frames
GATHERING_S_MAX = 3  # a STUN or TURN server that has not answered by then is left out of the answer
CONSENT_INTERVAL_S = 4.0  # RFC 7675 5.1 wants a check every 4 to 6 s
PEER_REFLEXIVE_MAX = 16  # addresses that only its checks tell: a publisher behind a few NATs has a few
UNANSWERED_CHECKS_MAX = 200  # sent for one publisher to addresses that were not heard from: what it may aim
CANDIDATE_CHARS_MAX = 512  # a browser's have some 150
CLOSING_S_MAX = 2.0  # an unreachable TURN server must not hold up the end of a recording


class CheckAllowance:
    """Connectivity checks that one publisher may still make us send where nobody has answered.

    Shared by its ICE sessions: a restart is no way to more.
    """

    def __init__(self) -> None:
        self._left = UNANSWERED_CHECKS_MAX

    def take(self) -> bool:
        """Whether another check may be sent."""
        if not self._left:
            return False
        self._left -= 1
        return True

    def renew(self) -> None:
        """Allow all of them again: the publisher is where it said."""
        self._left = UNANSWERED_CHECKS_MAX


class IceConnection(aioice.Connection):
    """aioice's connection, with five differences.

    Host candidates can be restricted to one address; media leaves at once, before any parsing of
    STUN; lost consent closes nothing, because a recording outlives a gap in the network; what is no STUN is
    taken only from addresses that a check has validated; and where checks may go has bounds.
    """

    def __init__(
        self,
        *,
        bind_host: str | None,
        clock: Clock,
        on_media: Callable[[bytes, int], None],
        on_dtls: Callable[[bytes], None],
        on_consent: Callable[[int], None],
        drop: Callable[[str], None],
        allowance: CheckAllowance,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._bind_host = bind_host
        self._monotonic_ns = clock.monotonic_ns
        self._on_media = on_media
        self._on_dtls = on_dtls
        self._on_consent = on_consent
        self._drop = drop
        self._allowance = allowance
        self._filter = AddressFilter(())
        self._validated: set[tuple[str, int]] = set()  # sent an authentic check, or answered one
        self._stun_arrival_ns = 0
        self._probes: set[asyncio.Task[None]] = set()

    def hand_media_to(self, on_media: Callable[[bytes, int], None]) -> None:
        """Let media go there from now on, with its time of arrival."""
        self._on_media = on_media

    def set_remote(self, username: str, password: str, *, lite: bool) -> None:
        """Note what the peer's description says of its ICE agent, before `connect`."""
        self.remote_username, self.remote_password, self.remote_is_lite = username, password, lite

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = GATHERING_S_MAX
    ) -> list[aioice.Candidate]:
        if self._transport_policy is aioice.TransportPolicy.ALL:
            if self._bind_host is not None:
                addresses = [self._bind_host]
            elif not addresses:
                addresses = ["127.0.0.1"]  # a machine without any network still records itself
        found = await super().get_component_candidates(component, addresses, GATHERING_S_MAX)
        self._filter = AddressFilter(candidate.host for candidate in found)
        for protocol in self._protocols:
            protocol.send_stun = functools.partial(  # type: ignore[method-assign]
                self._send_stun, protocol.send_stun
            )
            receive = functools.partial(self._datagram_received, protocol.datagram_received)
            if protocol.local_candidate.type == "host":
                protocol.transport = BatchedUdpSocket(
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
        if first >= 4 and (address[0], address[1]) not in self._validated:
            self._drop("address_not_validated")
        elif 128 <= first <= 191:  # RFC 7983 7
            self._on_media(data, arrival_ns)
        elif first < 4:
            self._stun_arrival_ns = arrival_ns
            try:
                stun_received(data, address)
            except (ValueError, KeyError, IndexError, AssertionError, struct.error) as error:
                logger.debug("unreadable STUN from %s: %r", address, error)
        else:
            self._on_dtls(data)

    def data_received(self, data: bytes, component: int) -> None:
        """What aioice takes for data: no STUN message after all, or it came before our hook."""
        self._drop("not_stun")

    # --- where checks come from and go to -------------------------------------------------------------
    async def add_remote_candidate(self, remote_candidate: aioice.Candidate | None) -> None:
        if remote_candidate is not None and not self._filter.allows(
            remote_candidate.host, remote_candidate.port
        ):
            self._drop("candidate_not_allowed")
            return
        await super().add_remote_candidate(remote_candidate)

    def request_received(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        if self._filter.allows(*addr):
            super().request_received(message, addr, protocol)
        else:
            self._drop("candidate_not_allowed")

    def check_incoming(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        known = any(c._network_host == addr[0] and c.port == addr[1] for c in self._remote_candidates)
        learned = sum(candidate.type == "prflx" for candidate in self._remote_candidates)
        if not known and learned >= PEER_REFLEXIVE_MAX:
            self._drop("too_many_candidates")
            return
        self._validated.add(addr)
        super().check_incoming(message, addr, protocol)

    def check_complete(self, pair: Any) -> None:
        if pair.state is aioice.ice.CandidatePair.State.SUCCEEDED:
            self._validated.add(pair.remote_addr)
            self._allowance.renew()
        super().check_complete(pair)

    def _send_stun(
        self, send: Callable[[Any, tuple[str, int]], None], message: Any, addr: tuple[str, int]
    ) -> None:
        asks = message.message_class is aioice.stun.Class.REQUEST
        if asks and addr not in self._validated and not self._allowance.take():
            self._drop("too_many_checks")
            return
        send(message, addr)

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
            if isinstance(protocol.transport, BatchedUdpSocket):
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

    async def close_in_time(self) -> None:
        """End it within CLOSING_S_MAX, whether or not a TURN server answers."""
        try:
            async with asyncio.timeout(CLOSING_S_MAX):
                await self.close()
        except TimeoutError:
            for protocol in self._protocols:
                protocol.transport.close()
            logger.info("an ICE connection did not close in time; its TURN allocation expires by itself")

    def send_now(self, data: bytes) -> bool:
        """Send one datagram on the nominated pair, if there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True


def connection_arguments(servers: list[IceServer], policy: IceTransportPolicy) -> dict[str, Any]:
    """What an IceConnection is made with; raises malformed_ice_server (500)."""
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


def usable_candidate(value: str) -> aioice.Candidate | None:
    """Read what stands after `candidate:`; None for TCP, names and other components.

    Names (mDNS) need no resolving: the peer's own checks reach us and teach us its address.
    Raises ValueError when it is malformed.
    """
    if len(value) > CANDIDATE_CHARS_MAX:
        raise ValueError("a candidate is too long")
    candidate = aioice.Candidate.from_sdp(value)
    if candidate.transport.lower() != "udp" or candidate.component != 1 or candidate.host.endswith(".local"):
        logger.debug("not used: candidate %s", candidate)
        return None
    return candidate
