"""ICE candidates of a publisher, and the addresses that are answered and checked for it. Pure.

A candidate makes this machine send to an address that somebody else chose. Nobody's camera is at an address
of this machine alone, of a link, of a group, or of a cloud's metadata service; those are left alone.
"""

import ipaddress
from collections.abc import Iterable

_WELL_KNOWN_PORTS = 1024  # no publisher sends from one, but for TURN servers behind strict firewalls
_FIREWALL_PORTS = (80, 443)
_METADATA = frozenset(  # beside 169.254.169.254, which is link-local
    ipaddress.ip_address(address)
    for address in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
_EMBEDDING_IPV4 = tuple(
    ipaddress.IPv6Network(network) for network in ("::/96", "64:ff9b::/96")
)  # the last 32 bits are an address of IPv4: RFC 4291 2.5.5.1, RFC 6052 2.1

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressFilter:
    """The addresses that may be answered and checked.

    Loopback is among them only where we are on loopback ourselves: a call inside one machine. Where
    networks of `peers` are named, those and no others.
    """

    def __init__(self, local: Iterable[str], peers: Iterable[str] = ()) -> None:
        self._loopback = any(ipaddress.ip_address(host).is_loopback for host in local)
        self._peers = [ipaddress.ip_network(network, strict=False) for network in peers]

    def allows(self, host: str, port: int) -> bool:
        """Whether datagrams may be sent there."""
        if not 0 < port < 1 << 16 or (port < _WELL_KNOWN_PORTS and port not in _FIREWALL_PORTS):
            return False
        try:
            address = _behind(ipaddress.ip_address(host))
        except ValueError:
            return False
        if self._peers:
            return any(address in network for network in self._peers)
        if address.is_loopback:
            return self._loopback
        return not (
            address.is_link_local
            or address.is_multicast
            or address.is_unspecified
            or address in _METADATA
            or (address.version == 4 and address.is_reserved)  # with 255.255.255.255
        )


def _behind(address: Address) -> Address:
    """The address of IPv4 that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _EMBEDDING_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
