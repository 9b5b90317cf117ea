"""HTTP client of connectors: reaches listed targets alone, follows no redirect, never waits without end."""

import errno
import socket
from typing import Any

import aiohttp

from signaling.connectors.targets import ConnectorTargets

CONNECT_S_MAX = 5.0
REQUEST_S_MAX = 10.0


class TargetNotAllowedError(OSError):
    """A name led to an address that is not listed."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "target not allowed")


class RedirectedError(aiohttp.ClientError):
    """An answer led elsewhere: only the address of the named host was judged, so nobody follows."""


def client_session(host: str, targets: ConnectorTargets, *, carried: bool) -> aiohttp.ClientSession:
    """A session that reaches `host`, at addresses that are allowed, and nothing else.

    `carried` by a proxy: then it is the proxy whose address is connected to.
    """

    def open_socket(address: Any) -> socket.socket:
        """Called with the very address that is connected to: no later look-up can answer otherwise."""
        family, kind, protocol, _, where = address
        if not targets.admits(host, str(where[0])):
            raise TargetNotAllowedError
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(use_dns_cache=False, socket_factory=None if carried else open_socket),
        timeout=aiohttp.ClientTimeout(total=REQUEST_S_MAX, sock_connect=CONNECT_S_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_no_redirects()],
    )


def _no_redirects() -> aiohttp.TraceConfig:
    """Holds for WebSockets too, whose handshake aiohttp gives no `allow_redirects`."""

    async def refuse(_: Any, __: Any, redirected: aiohttp.TraceRequestRedirectParams) -> None:
        redirected.response.close()
        raise RedirectedError

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace
