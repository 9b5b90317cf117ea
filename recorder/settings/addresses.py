"""Addresses in settings: why one is none, in words that follow its value. Pure.

Each check answers None for what can be used.
"""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

# RFC 7064 and RFC 7065: scheme, host, perhaps a port, and for TURN perhaps a transport.
_ICE_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<transport>\?transport=(?:udp|tcp))?\Z"
)
# RFC 1123 2.1; what has digits and dots alone is an address, or nothing.
_HOST = re.compile(r"(?=.*[A-Za-z])(?:\*\.)?[A-Za-z0-9_\-]{1,63}(?:\.[A-Za-z0-9_\-]{1,63})*\.?\Z")
PORT_MAX = 65_535


def http_url(value: str) -> str | None:
    """Something that links can begin with."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is no http or https URL with a host"
    if parts.username is not None or parts.query or parts.fragment or not value.isprintable() or " " in value:
        return "has more than scheme, host, port and path"
    return None


def proxy_url(value: str) -> str | None:
    """A proxy, perhaps with credentials."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    usable = parts.scheme in ("http", "https") and host and port != 0 and parts.path in ("", "/")
    if not usable or parts.query or parts.fragment or not value.isprintable() or " " in value:
        return "is no proxy's URL (http://proxy.example.org:3128 is one)"
    return None


def network(value: str) -> str | None:
    """An address, or a network with its length."""
    try:
        ip_network(value)
    except ValueError:
        return "is no address or network (10.0.0.0/8 is one)"
    return None


def connector_target(value: str) -> str | None:
    """A host name, perhaps with all below it, an address, a network, or the word public."""
    if network(value) is None or _HOST.match(value):
        return None
    return "is no host name, address or network (*.example.org and 10.0.0.0/8 are some)"


def address(value: str) -> str | None:
    """An address; whether this machine has it is known at the start."""
    try:
        ip_address(value)
    except ValueError:
        return "is no IP address"
    return None


def public_address(value: str) -> str | None:
    """`public`, or `local=public`."""
    *local, public = value.split("=")
    wrong = len(local) > 1 or any(address(part) for part in (*local, public))
    return "is no address, and no local=public of two" if wrong else None


def stun_url(value: str) -> str | None:
    """RFC 7064."""
    found = _ICE_URL.match(value)
    usable = found is not None and found["scheme"].startswith("stun") and not found["transport"]
    return None if usable and _port_holds(found) else "is no STUN URL (stun:stun.example.org:3478 is one)"


def turn_url(value: str) -> str | None:
    """RFC 7065."""
    found = _ICE_URL.match(value)
    usable = found is not None and found["scheme"].startswith("turn")
    return None if usable and _port_holds(found) else "is no TURN URL (turn:turn.example.org:3478 is one)"


def _port_holds(found: re.Match[str] | None) -> bool:
    return found is not None and 0 < int(found["port"] or PORT_MAX) <= PORT_MAX
