"""Network addresses: which are public, and so nothing special to this machine; and which are one's. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

HOST_BITS = 64  # of IPv6 that belong to one subscriber (RFC 6177): a whole /64 has one share
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NOWHERE = (
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: NAT64 of a local network
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated and still routed here and there
    IPv6Network("::/96"),  # RFC 4291, 2.5.5.1: IPv4-compatible, which some stacks take for the IPv4 address
)


def is_public(address: str) -> bool:
    """Whether an address is reachable from everywhere, and so nothing special to us. False for no address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(parsed) if isinstance(parsed, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    if isinstance(parsed, IPv6Address) and any(parsed in network for network in _NOWHERE):
        return False
    return parsed.is_global and not parsed.is_multicast


def share_of(address: str) -> str:
    """An IPv4 address stands for itself, an IPv6 address for its /64, which one host can have all of."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> HOST_BITS << HOST_BITS))
    return address if parsed is None else str(parsed)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without its zone, IPv4 also where it stands within IPv6; None for anything else."""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one ends up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
