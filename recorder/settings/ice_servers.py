"""ICE servers with short-lived credentials, as a TURN server with a shared secret checks them; pure.

draft-uberti-behave-turn-rest-00, which coturn speaks with `use-auth-secret`: the user name is
`<Unix time of expiry>:<who>`, the password the base64 of its HMAC-SHA1 under the shared secret.
"""

import base64
import hashlib
import hmac

from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.network.media import MediaNetwork, PortRange
from recorder.settings.definitions import CallSettings, TurnSettings


def turn_credential(secret: str, username: str) -> str:
    """The password that belongs to a user name."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def recorder_name(recording: str) -> str:
    """By which the TURN server tells a recording's own allocations from those of its publishers."""
    return f"{recording}-recorder"


def media_network(call: CallSettings, turn_certificates: str | None = None) -> MediaNetwork:
    """The network of a node's workers."""
    ports = None if call.udp_port_max == 0 else PortRange(call.udp_port_min, call.udp_port_max)
    return MediaNetwork(
        families=call.ip_families,
        interfaces=call.interfaces,
        ports=ports,
        tcp=call.ice_tcp,
        public_addresses=call.public_addresses,
        peers=call.peer_networks,
        turn_certificates=turn_certificates,
    )


def ice_servers(call: CallSettings, turn: TurnSettings, *, who: str, expires_unix_s: int) -> list[IceServer]:
    """What a peer is told. In RELAYED mode only TURN: nothing else may be contacted."""
    servers = []
    if call.stun_urls and call.ice_transport_policy is IceTransportPolicy.ALL:
        servers.append(IceServer(urls=call.stun_urls))
    if turn.urls:
        servers.append(_relay(turn, who, expires_unix_s))
    return servers


def _relay(turn: TurnSettings, who: str, expires_unix_s: int) -> IceServer:
    if turn.secret is None:
        return IceServer(urls=turn.urls, username=turn.username, credential=turn.credential)
    username = f"{expires_unix_s}:{who}"
    return IceServer(urls=turn.urls, username=username, credential=turn_credential(turn.secret, username))
