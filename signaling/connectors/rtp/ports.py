"""Ports for plain RTP: whose they are, which may be asked for, and which are given out."""

import secrets
import socket
from collections.abc import Iterable, Iterator

import msgspec

from recorder.kernel.connectors.source import RtpSource, RtpStream
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.network.media import PortRange

ANY_PORTS = PortRange(20_000, 59_999)  # even ones with those after them
TRIES_MAX = 200  # pairs that are tried to be bound
ACCOUNT_PART = 0.5  # of the pairs: one account leaves as many to all others
PAIRS_PER_ACCOUNT_MIN = 2  # one sender's sound and pictures, however small the range is


class RtpPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where this node receives plain RTP, and what others call that."""

    address: str  # of this machine
    announced: str
    ports: PortRange = ANY_PORTS


class PortsHeld(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of connectors that there are, heard from or not: of the account that asks, and of others."""

    by_account: frozenset[int] = frozenset()
    by_others: frozenset[int] = frozenset()


def ports_of(source: RtpSource) -> frozenset[int]:
    """All that it has, those of RTCP among them."""
    return frozenset(number for stream in _fixed(source) for number in _numbers(source, stream))


def pairs_per_account(ports: PortRange) -> int:
    """How many pairs of the range the connectors of one account may have."""
    return max(PAIRS_PER_ACCOUNT_MIN, int(len(_pairs(ports)) * ACCOUNT_PART))


def check_ports(source: RtpSource, ports: PortRange) -> None:
    """Raises 422 invalid_port where one is asked for outside the range, or twice."""
    numbers = [number for stream in _fixed(source) for number in _numbers(source, stream)]
    if len(set(numbers)) < len(numbers) or any(not ports.first <= one <= ports.last for one in numbers):
        detail = "A port has to be from connectors.rtp_port_min to rtp_port_max, with that of its RTCP."
        raise caller_error("invalid_port", detail, status=422)


def given_out(source: RtpSource, place: RtpPlace, held: PortsHeld) -> Iterator[int]:
    """Ports for the streams that ask for none, after a look at those that do.

    Raises 422 invalid_port, 409 rtp_port_taken, too_many_rtp_ports, 503 media_ports_exhausted.
    """
    check_ports(source, place.ports)
    fixed = ports_of(source)
    _check_share(source, held.by_account | fixed, place.ports)
    everyones = held.by_account | held.by_others
    if fixed & everyones or not _are_free(place.address, fixed):
        raise caller_error("rtp_port_taken", "The port that is asked for is somebody else's.", status=409)
    return _free(place, everyones | fixed)


def _check_share(source: RtpSource, numbers: frozenset[int], ports: PortRange) -> None:
    pairs = len({number // 2 for number in numbers}) + len(source.streams) - len(_fixed(source))
    if pairs > pairs_per_account(ports):
        detail = "The account's connectors have as many RTP ports as they may: end one of them."
        raise caller_error("too_many_rtp_ports", detail, status=409)


def _free(place: RtpPlace, taken: frozenset[int]) -> Iterator[int]:
    pairs = [port for port in _pairs(place.ports) if port not in taken and port + 1 not in taken]
    for port in secrets.SystemRandom().sample(pairs, min(TRIES_MAX, len(pairs))):
        if _are_free(place.address, (port, port + 1)):
            yield port
    detail = "No two ports beside each other are free for RTP (connectors.rtp_port_min to rtp_port_max)."
    raise BystanderError("media_ports_exhausted", detail, fault=Fault.RESOURCE, status=503)


def _pairs(ports: PortRange) -> range:
    """Their first, even ports."""
    return range(ports.first + ports.first % 2, ports.last, 2)


def _fixed(source: RtpSource) -> list[RtpStream]:
    return [stream for stream in source.streams if stream.port]


def _numbers(source: RtpSource, stream: RtpStream) -> tuple[int, ...]:
    return (stream.port,) if source.rtcp_mux else (stream.port, stream.port + 1)


def _are_free(address: str, numbers: Iterable[int]) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for number in numbers:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, number))
            except OSError:
                return False
    return True
