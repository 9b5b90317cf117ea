"""STUN and TURN servers by their URLs (RFC 7064, RFC 7065). Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import IceServer

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:?\[\]/@\s]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?\Z"
)


@dataclass(frozen=True, slots=True)
class StunUrl:
    """A STUN server, asked by UDP."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TurnUrl:
    """A TURN server, reached by `transport`, over TLS where `secure`."""

    host: str
    port: int
    transport: str
    secure: bool
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


def read_servers(servers: Iterable[IceServer]) -> tuple[list[StunUrl], list[TurnUrl]]:
    """What they name, in order; what cannot be reached from here (DTLS) is left out.

    Raises malformed_ice_server (500).
    """
    stun: list[StunUrl] = []
    turn: list[TurnUrl] = []
    for server in servers:
        for url in server.urls:
            found = _URL.match(url)
            if found is None:
                detail = "An ICE server's URL is malformed."
                raise BystanderError("malformed_ice_server", detail, fault=Fault.SERVER, status=500)
            secure = found["scheme"].endswith("s")
            host, port = found["v6"] or found["host"], int(found["port"] or (5349 if secure else 3478))
            transport = found["transport"] or ("tcp" if secure else "udp")
            if found["scheme"] == "stun":
                stun.append(StunUrl(host, port))
            elif found["scheme"].startswith("turn") and not (secure and transport == "udp"):
                turn.append(TurnUrl(host, port, transport, secure, server.username, server.credential))
    return stun, turn
