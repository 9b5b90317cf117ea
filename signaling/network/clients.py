"""Whose request it is, as far as the network tells: an address, and the origin that they know us by.

A reverse proxy stands between: what it says of those behind it counts where the operator named it, and
nowhere else, because an X-Forwarded-For can be made up by whoever sends it.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from aiohttp import web

from recorder.kernel.network.addresses import parse_address, share_of

HOPS_MAX = 16  # of an X-Forwarded-For; nobody has more proxies of their own in a row


class Clients:
    """Tells who asks; `trusted_proxies` are addresses and networks of reverse proxies."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        """ValueError for what is neither an address nor a network."""
        self._trusted = [ip_network(one) for one in trusted_proxies]

    def trusts(self, address: str) -> bool:
        """Whether this is one of the operator's own proxies."""
        parsed = parse_address(address)
        return parsed is not None and any(_contains(network, parsed) for network in self._trusted)

    def address(self, request: web.Request) -> str:
        """The nearest address that is none of our own proxies'; of those behind it nobody is believed."""
        nearest = request.remote or ""
        if not self._trusted:
            return nearest
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).rsplit(",", HOPS_MAX)[-HOPS_MAX:]
        while self.trusts(nearest) and hops:
            hop = hops.pop().strip()
            if parse_address(hop) is None:
                break
            nearest = hop
        return nearest

    def share(self, request: web.Request) -> str:
        """What an address's share is counted by."""
        return share_of(self.address(request))

    def origin(self, request: web.Request) -> str:
        """Scheme and host as the caller knows them."""
        scheme, host = request.scheme, request.host
        if self.trusts(request.remote or ""):
            proto = request.headers.get("X-Forwarded-Proto", "").lower()
            scheme = proto if proto in ("http", "https") else scheme
        return f"{scheme}://{host}"


def _contains(network: IPv4Network | IPv6Network, address: IPv4Address | IPv6Address) -> bool:
    return network.version == address.version and address in network
