"""ICE servers with short-lived credentials, as a TURN server with a shared secret checks them; pure.

draft-uberti-behave-turn-rest-00, which coturn speaks with `use-auth-secret`: the user name is
`<Unix time of expiry>:<who>`, the password the base64 of its HMAC-SHA1 under the shared secret.
"""

import base64
import hashlib
import hmac

from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.settings.definitions import CallSettings, TurnSettings


def turn_credential(secret: str, username: str) -> str:
    """The password that belongs to a user name."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


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
