"""The HTTP proxy that carries what is no media: stores, webhooks, token endpoints, connectors. Pure."""

from base64 import b64encode
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

import msgspec


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy by its URL, perhaps with credentials, and who is reached without it.

    `no_proxy` has hosts (`db.example.org`), domains with all below them (`.example.org`), addresses, networks
    (`10.0.0.0/8`) and `*`. This machine's own addresses are never the proxy's: its loopback is another one.
    """

    url: str
    no_proxy: list[str] = []

    def __repr__(self) -> str:
        """Without the credentials."""
        parts = urlsplit(self.url)
        return f"Proxy({parts.scheme}://{parts.hostname}:{parts.port}, no_proxy={self.no_proxy})"

    def for_url(self, url: str) -> str | None:
        """The proxy's URL where it carries requests to `url`; None where they go straight."""
        return self.for_host(urlsplit(url).hostname or "")

    def for_host(self, host: str) -> str | None:
        """As `for_url`, of a host by its name or address."""
        name = host.strip("[]").rstrip(".").lower()
        own = name == "localhost" or _in(name, "127.0.0.0/8") or _in(name, "::1")
        return None if own or any(_covers(entry, name) for entry in self.no_proxy) else self.url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the proxy itself."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def authorization(self) -> str | None:
        """The value of Proxy-Authorization (RFC 7617); None without credentials."""
        parts = urlsplit(self.url)
        if parts.username is None:
            return None
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return "Basic " + b64encode(pair.encode()).decode()


def _covers(entry: str, host: str) -> bool:
    wanted = entry.strip().rstrip(".").lower()
    if wanted == "*" or wanted == host or _in(host, wanted):
        return True
    return host.endswith("." + wanted.lstrip(".")) if wanted.startswith(".") else False


def _in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network.strip("[]"), strict=False)
    except (ValueError, TypeError):
        return False
