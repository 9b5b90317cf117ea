"""Connector targets: where the operator lets connectors connect to. Pure.

An entry is a host name (`*.` before it: also those below it), an address or network, or the word `public`
for every address that is reachable from everywhere. A named host is trusted wherever its name leads.
"""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.network.addresses import is_public
from recorder.kernel.network.proxy import Proxy

PUBLIC = "public"


class ConnectorTargets:
    """The allow-list; what is not on it is not connected to."""

    def __init__(self, entries: Iterable[str] = (), proxy: Proxy | None = None) -> None:
        """`proxy` carries what it carries; what a name leads to is then the proxy's to find out."""
        self._proxy = proxy
        self._names: list[str] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        self._public = False
        for entry in entries:
            self._add(entry.strip().lower())

    def check_url(self, url: str, schemes: Iterable[str]) -> str:
        """The host of a URL that may be connected to; its addresses are judged when they are known.

        Raises BystanderError: 422 invalid_url, 403 target_not_allowed.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise _invalid("This is no URL.") from None
        if parts.scheme not in schemes or not host or not url.isprintable() or " " in url:
            raise _invalid(f"The URL has to begin with one of {', '.join(schemes)}, and name a host.")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise _invalid("The URL must carry neither a user, nor a password, nor a fragment.")
        if not self._may_lead_there(host):
            raise not_allowed()
        return host

    def check_address(self, address: str) -> None:
        """Raises 403 target_not_allowed for one that is not listed, and 422 invalid_address for none."""
        try:
            ip_address(address)
        except ValueError:
            raise caller_error("invalid_address", "This is no IP address.", status=422) from None
        if not self._admits(address):
            raise not_allowed()

    def proxy_for(self, host: str) -> str | None:
        """The URL of the proxy that carries connections to this host, if one does.

        Raises target_not_allowed where the host is not listed by its name: nobody here sees its address.
        """
        proxy = None if self._proxy is None else self._proxy.for_host(host)
        if proxy is not None and not (self._is_named(host) or self._admits(host)):
            raise not_allowed()
        return proxy

    def admits(self, host: str, address: str) -> bool:
        """Whether this address, which `host` led to, may be connected to."""
        return self._is_named(host) or self._admits(address)

    def _add(self, entry: str) -> None:
        if entry == PUBLIC:
            self._public = True
            return
        try:
            self._networks.append(ip_network(entry))
        except ValueError:
            self._names.append(entry.rstrip("."))

    def _may_lead_there(self, host: str) -> bool:
        with suppress(ValueError):
            return self._admits(str(ip_address(host)))
        return self._is_named(host) or self._public or bool(self._networks)

    def _is_named(self, host: str) -> bool:
        name = host.rstrip(".").lower()
        return any(
            name.endswith(entry[1:]) if entry.startswith("*.") else name == entry for entry in self._names
        )

    def _admits(self, address: str) -> bool:
        if self._public and is_public(address):
            return True
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def not_allowed() -> BystanderError:
    """The operator does not let connectors go there."""
    detail = "connectors.targets does not list where this connector would connect to."
    return caller_error("target_not_allowed", detail, status=403)


def _invalid(detail: str) -> BystanderError:
    return caller_error("invalid_url", detail, status=422)
