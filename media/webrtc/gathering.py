"""The gathering of local candidates: sockets on the machine's addresses, and allocations at TURN servers.

Leans on the inside of aioice for STUN and TURN; tests/media/test_transport.py says on what.
"""

import asyncio
import errno
import logging
import random
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import aioice
import ifaddr
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, relayed_candidate, server_reflexive_candidate

from media.webrtc.network.addresses import LOOPBACK, announced, local_addresses, ports_to_try
from media.webrtc.network.ice_urls import StunUrl, TurnUrl
from media.webrtc.network.tcp import Address, TcpCandidateSocket
from media.webrtc.network.udp import BatchedUdpSocket, Receive, open_socket
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.network.media import MediaNetwork

logger = logging.getLogger(__name__)

DATAGRAM_BYTES_MAX = 2048  # RTP fits an Ethernet frame; a little more for tunnels with jumbo frames
GATHERING_S_MAX = 3.0  # a STUN or TURN server that has not answered by then is left out of the answer
OTHERS_S_MAX = 0.5  # once one has answered, for the rest: nobody waits long for a spare
RELAYS_MAX = 4  # allocations of one session: a server by UDP, TCP and TLS, and a spare
COMPONENT = 1  # RTP and RTCP share it
_LOCAL_PREFERENCE_MAX = 65_535
_TCP_TYPE_PREFERENCE = 90  # RFC 6544 4.2: below every way by UDP but relays
_TCP_PASSIVE = 4 << 13  # RFC 6544 4.2: the direction's part of the local preference


@dataclass(frozen=True, slots=True)
class Plug:
    """How datagrams of local sockets reach an ICE connection."""

    receiver: aioice.Connection
    receive_for: Callable[[StunProtocol], Receive]
    validated: Callable[[Address], bool]
    monotonic_ns: Callable[[], int]


def adapters() -> list[tuple[str, str]]:
    """(interface, address) of this machine; those of a link carry their zone."""
    return [
        (adapter.name, ip.ip if isinstance(ip.ip, str) else ip.ip[0] + (f"%{ip.ip[2]}" if ip.ip[2] else ""))
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]


async def open_hosts(network: MediaNetwork, plug: Plug) -> list[StunProtocol]:
    """A UDP socket on each chosen address, and where it is set one of TCP; those that can be had.

    Raises media_ports_exhausted (503) where every port of the range is taken.
    """
    addresses = local_addresses(network, adapters())
    opened: list[StunProtocol] = []
    for index, address in enumerate(addresses):
        udp = _bound(network, address, socket.SOCK_DGRAM)
        if udp is not None:
            opened.append(_udp_host(udp, index, plug))
        tcp = _bound(network, address, socket.SOCK_STREAM) if network.tcp else None
        if tcp is not None:
            opened.append(await _tcp_host(tcp, index, plug))
    return opened


async def ask(
    stun: Sequence[StunUrl],
    turn: Sequence[TurnUrl],
    hosts: Sequence[StunProtocol],
    network: MediaNetwork,
    plug: Plug,
    *,
    hide_base: bool,
) -> tuple[list[aioice.Candidate], list[StunProtocol]]:
    """Candidates that servers tell: reflexive ones of `hosts`, and relays with their protocols.

    All are asked at once. `hide_base`: a relay says nothing of who has it (RFC 9429 3.5.3).
    """
    asking = [_reflexive(host, stun[0]) for host in hosts if stun and host.local_candidate.transport == "udp"]
    asking += [
        _relay(index, url, network, plug, hide_base=hide_base) for index, url in enumerate(turn[:RELAYS_MAX])
    ]
    found: list[aioice.Candidate] = []
    relays: list[StunProtocol] = []
    for candidate, protocol in await _first_and_soon(asking):
        found.append(candidate)
        if protocol is not None:
            relays.append(protocol)
    return found, relays


def told(network: MediaNetwork, candidate: aioice.Candidate) -> str:
    """A local candidate as publishers are told it, behind `a=candidate:`."""
    public = announced(network, candidate.host) if candidate.type == "host" else candidate.host
    words = candidate.to_sdp().split(" ")
    words[4] = public
    return " ".join(words)


# --- hosts --------------------------------------------------------------------------------------------
def _bound(network: MediaNetwork, address: str, kind: int) -> socket.socket | None:
    for port in ports_to_try(network.ports, random.getrandbits(16)):
        try:
            return open_socket(address, port, kind=kind)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                logger.debug("an address cannot be bound: %s", error.strerror)
                return None
    if network.ports is not None:
        detail = "Every port for media (call.udp_port_min to call.udp_port_max) is taken."
        raise BystanderError("media_ports_exhausted", detail, fault=Fault.RESOURCE, status=503)
    return None


def _udp_host(bound: socket.socket, index: int, plug: Plug) -> StunProtocol:
    protocol = StunProtocol(plug.receiver)
    opened = BatchedUdpSocket(
        bound,
        receive=plug.receive_for(protocol),
        owner=protocol,
        monotonic_ns=plug.monotonic_ns,
        datagram_bytes_max=DATAGRAM_BYTES_MAX,
    )
    protocol.connection_made(opened)
    preference = _LOCAL_PREFERENCE_MAX - index  # RFC 8445 5.1.2.1: no two alike
    protocol.local_candidate = _host(bound, "udp", candidate_priority(COMPONENT, "host", preference))
    return protocol


async def _tcp_host(bound: socket.socket, index: int, plug: Plug) -> StunProtocol:
    protocol = StunProtocol(plug.receiver)
    opened = TcpCandidateSocket(
        bound,
        receive=plug.receive_for(protocol),
        owner=protocol,
        validated=plug.validated,
        monotonic_ns=plug.monotonic_ns,
        datagram_bytes_max=DATAGRAM_BYTES_MAX,
    )
    protocol.connection_made(opened)
    preference = _TCP_PASSIVE + (1 << 13) - 1 - index
    priority = (_TCP_TYPE_PREFERENCE << 24) + (preference << 8) + 256 - COMPONENT
    protocol.local_candidate = _host(bound, "tcp", priority, tcptype="passive")
    await opened.open()
    return protocol


def _host(
    bound: socket.socket, transport: str, priority: int, *, tcptype: str | None = None
) -> aioice.Candidate:
    host, port = bound.getsockname()[:2]
    return aioice.Candidate(
        foundation=candidate_foundation("host", transport, host),
        component=COMPONENT,
        transport=transport,
        priority=priority,
        host=host,
        port=port,
        type="host",
        tcptype=tcptype,
    )


# --- servers ------------------------------------------------------------------------------------------
Answer = tuple[aioice.Candidate, StunProtocol | None]


async def _reflexive(host: StunProtocol, url: StunUrl) -> Answer:
    if ":" in host.local_candidate.host or host.local_candidate.host == LOOPBACK:
        raise OSError("not asked for: IPv6 has no such NAT")
    candidate, _ = await server_reflexive_candidate(host, (url.host, url.port))
    return candidate, None


async def _relay(index: int, url: TurnUrl, network: MediaNetwork, plug: Plug, *, hide_base: bool) -> Answer:
    candidate, protocol = await relayed_candidate(
        component=COMPONENT,
        hide_related_address=hide_base,
        protocol_factory=lambda: StunProtocol(plug.receiver),
        turn_server=(url.host, url.port),
        turn_username=url.username,
        turn_password=url.credential,
        turn_ssl=_vouching(network.turn_certificates) if url.secure else False,  # type: ignore[arg-type]
        turn_transport=url.transport,
    )
    candidate.priority = candidate_priority(COMPONENT, "relay", _LOCAL_PREFERENCE_MAX - index)
    # aioice's TURN client looks this up for each datagram.
    protocol.datagram_received = _without_time(plug.receive_for(protocol))  # type: ignore[method-assign]
    return candidate, protocol


def _without_time(receive: Receive) -> Callable[..., None]:
    return lambda data, address: receive(data, address, None)


@cache
def _vouching(certificates: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=certificates)


async def _first_and_soon(asking: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """What comes within GATHERING_S_MAX, and once something has come, within OTHERS_S_MAX of it."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(one) for one in asking]
    waiting, until = set(tasks), loop.time() + GATHERING_S_MAX
    while waiting and (left_s := until - loop.time()) > 0:
        done, waiting = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if any(task.exception() is None for task in done):
            until = min(until, loop.time() + OTHERS_S_MAX)
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)  # each closes what it had opened
    return [task.result() for task in tasks if not task.cancelled() and task.exception() is None]
