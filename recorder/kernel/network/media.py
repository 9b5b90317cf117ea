"""Where the media sockets of a node are, by which addresses others know them, and whom they may send to."""

from enum import StrEnum

import msgspec


class IpFamilies(StrEnum):
    """Which of the two internet protocols media may travel by."""

    BOTH = "BOTH"
    IPV4 = "IPV4"
    IPV6 = "IPV6"


class PortRange(msgspec.Struct, frozen=True):
    """Ports from the first to the last, both of them included."""

    first: int
    last: int


class MediaNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The network as media sees it; everything that is not said is what the machine has."""

    families: IpFamilies = IpFamilies.BOTH
    interfaces: list[str] = []  # names, addresses or networks; none: all that are not loopback
    ports: PortRange | None = None  # of media sockets; None: whichever is free
    tcp: bool = False  # ICE-TCP (RFC 6544) beside UDP, passive
    public_addresses: list[str] = []  # `public`, or `local=public`, of a NAT that changes addresses alone
    peers: list[str] = []  # networks that may be answered and checked; none: all but special ones
    turn_certificates: str | None = None  # PEM of who vouches for TURN over TLS; None: the system's
