"""Which addresses webhooks may reach: who registers one must not reach what only the server can. Pure."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import inet_aton, inet_ntoa  # arithmetic; nothing is opened
from urllib.parse import urlsplit

from recorder.kernel.errors import BystanderError, caller_error

URL_CHARS_MAX = 2048
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NOWHERE = (
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: NAT64 of a local network
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated and still routed here and there
    IPv6Network("::/96"),  # RFC 4291, 2.5.5.1: IPv4-compatible, which some stacks take for the IPv4 address
)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")  # RFC 6761, RFC 6762, and reserved by ICANN


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


def check_target(url: str, *, allow_private: bool) -> None:
    """Raise BystanderError 422 invalid_url or private_network unless an event may be posted there.

    A name is looked up only when something is sent to it, and its addresses are judged then.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused("invalid_url", "This is no URL.") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise _refused("invalid_url", "The URL has to be http or https, with a host.")
    if parts.username is not None or parts.password is not None:
        raise _refused("invalid_url", "The URL must not carry a user or a password.")
    if not allow_private and _is_local(host):
        raise _refused("private_network", "Webhooks may not reach private networks of this server.")


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(_LOCAL_SUFFIXES):
        return True
    literal = _literal(name)
    return literal is not None and not is_public(literal)


def _literal(host: str) -> str | None:
    """The address that a host is, in whichever of its spellings (127.1, 0x7f000001); None for a name."""
    with suppress(ValueError):  # it may still be one of the older spellings
        return str(ip_address(host))
    try:
        return inet_ntoa(inet_aton(host))
    except OSError:
        return None


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one ends up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None


def _refused(code: str, detail: str) -> BystanderError:
    return caller_error(code, detail, status=422)
