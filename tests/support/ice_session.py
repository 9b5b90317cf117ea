"""A second ICE session for a publisher that has one: an ICE restart (RFC 8445 9), unknown to aiortc."""

import re
from typing import Any

import aioice

from media.webrtc.network.ice_urls import read_servers
from recorder.kernel.media import IceServer


class IceRestarts:
    """The sessions after a publisher's first, one after the other."""

    def __init__(self) -> None:
        self._sessions: list[aioice.Connection] = []

    async def ask(self, relay: IceServer | None = None) -> str:
        """Gather a session's candidates; the SDP fragment that asks for it (RFC 9725 4.3.3).

        With a `relay`, by UDP, nothing else is gathered, and its candidates are in the fragment.
        """
        session = aioice.Connection(ice_controlling=True, **_relayed_through(relay))
        await session.gather_candidates()
        self._sessions.append(session)
        lines = [f"a=ice-ufrag:{session.local_username}", f"a=ice-pwd:{session.local_password}"]
        if relay is not None:
            lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in session.local_candidates]
        return "\r\n".join(lines) + "\r\n"

    async def answered(self, fragment: str) -> aioice.Connection:
        """The session that was asked for last, connected to what the restart was answered with."""
        session = self._sessions[-1]
        session.remote_username = _attribute(fragment, "ice-ufrag")
        session.remote_password = _attribute(fragment, "ice-pwd")
        for value in re.findall(r"^a=candidate:(.*?)\r?$", fragment, re.MULTILINE):
            await session.add_remote_candidate(aioice.Candidate.from_sdp(value))
        await session.add_remote_candidate(None)
        await session.connect()
        return session

    async def close(self) -> None:
        """Close all of them."""
        for session in self._sessions:
            await session.close()


def _relayed_through(relay: IceServer | None) -> dict[str, Any]:
    if relay is None:
        return {}
    _, (turn, *_) = read_servers([relay])
    return {
        "transport_policy": aioice.TransportPolicy.RELAY,
        "turn_server": (turn.host, turn.port),
        "turn_username": turn.username,
        "turn_password": turn.credential,
    }


def _attribute(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(\S+)\r?$", sdp, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name} in the SDP")
    return found[1]
