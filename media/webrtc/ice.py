"""An ICE connection (RFC 8445) that media is taken from as it arrives; leans on the inside of aioice.

aioice gathers, checks and relays. tests/media/test_transport.py says what is leaned on, and fails when a new
version moves it.
"""

import asyncio
import functools
import ipaddress
import logging
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import aioice
from aioice.ice import StunProtocol

from media.webrtc import gathering
from media.webrtc.candidates import AddressFilter
from media.webrtc.gathering import Plug
from media.webrtc.network.ice_urls import read_servers
from media.webrtc.network.udp import BatchedUdpSocket, Receive
from recorder.kernel.clock import Clock
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork

logger = logging.getLogger(__name__)

CONSENT_INTERVAL_S = 4.0  # RFC 7675 5.1 wants a check every 4 to 6 s
PEER_REFLEXIVE_MAX = 16  # addresses that only its checks tell: a publisher behind a few NATs has a few
UNANSWERED_CHECKS_MAX = 200  # sent for one publisher to addresses that were not heard from: what it may aim
CANDIDATE_CHARS_MAX = 512  # a browser's have some 150
CLOSING_S_MAX = 2.0  # an unreachable TURN server must not hold up the end of a recording


_POLICIES = {
    IceTransportPolicy.ALL: aioice.TransportPolicy.ALL,
    IceTransportPolicy.RELAYED: aioice.TransportPolicy.RELAY,
}


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
    """aioice's connection, with six differences.

    Local candidates are those of `network`, and of several TURN servers; where everything is to be relayed,
    nobody but a relay is answered; media leaves at once, before any parsing of STUN; lost consent
    closes nothing, because a recording outlives a gap in the network; what is no STUN is taken only from
    addresses that a check has validated; and where checks may go has bounds.
    """

    def __init__(
        self,
        *,
        network: MediaNetwork,
        servers: Sequence[IceServer],
        policy: IceTransportPolicy,
        clock: Clock,
        on_media: Callable[[bytes, int], None],
        on_dtls: Callable[[bytes], None],
        on_consent: Callable[[int], None],
        drop: Callable[[str], None],
        allowance: CheckAllowance,
        controlling: bool,
    ) -> None:
        super().__init__(ice_controlling=controlling, transport_policy=_POLICIES[policy])
        self._network = network
        self._stun, self._turn = read_servers(servers)
        self._relayed = policy is IceTransportPolicy.RELAYED
        self._relays_refused = False  # candidates came, and none of them was a relay's
        self._relay_hosts: set[str] = set()  # of the peer's relays
        self._monotonic_ns = clock.monotonic_ns
        self._on_media = on_media
        self._on_dtls = on_dtls
        self._on_consent = on_consent
        self._drop = drop
        self._allowance = allowance
        self._filter = AddressFilter((), network.peers)
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
        self, component: int, addresses: list[str], timeout: int = 0
    ) -> list[aioice.Candidate]:
        """What this connection's network and servers give; raises media_ports_exhausted (503)."""
        plug = Plug(self, self._receive_for, self._validated.__contains__, self._monotonic_ns)
        hosts = [] if self._relayed else await gathering.open_hosts(self._network, plug)
        self._protocols += hosts
        for protocol in hosts:
            self._watch_requests(protocol)
        stun = [] if self._relayed else self._stun
        candidates, relays = await gathering.ask(
            stun, self._turn, hosts, self._network, plug, hide_base=self._relayed
        )
        self._protocols += relays
        for protocol in relays:
            self._watch_requests(protocol)
        found = [protocol.local_candidate for protocol in hosts] + candidates
        self._filter = AddressFilter([candidate.host for candidate in found], self._network.peers)
        return found

    def told_candidates(self) -> list[str]:
        """The local candidates as the peer is told them."""
        return [gathering.told(self._network, candidate) for candidate in self.local_candidates]

    @property
    def why_unpaired(self) -> str:
        """A stable word for why no pair was found, as far as it is known."""
        return "no_relay_candidate" if self._relays_refused and not self._relay_hosts else "ice_timeout"

    def _watch_requests(self, protocol: StunProtocol) -> None:
        protocol.send_stun = functools.partial(  # type: ignore[method-assign]
            self._send_stun, protocol.send_stun
        )

    def _receive_for(self, protocol: StunProtocol) -> Receive:
        return functools.partial(self._datagram_received, protocol.datagram_received)

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
        if remote_candidate is None or self._may_pair(remote_candidate):
            await super().add_remote_candidate(remote_candidate)

    def _may_pair(self, remote: aioice.Candidate) -> bool:
        if self._relayed and remote.type != "relay":
            self._relays_refused = True
            self._drop("candidate_not_relayed")
            return False
        if not self._filter.allows(remote.host, remote.port):
            self._drop("candidate_not_allowed")
            return False
        if self._relayed:
            self._relay_hosts.add(str(ipaddress.ip_address(remote.host)))
        return True

    def request_received(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        if self._relayed and addr[0] not in self._relay_hosts:
            self._drop("candidate_not_relayed")
        elif self._filter.allows(*addr):
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
