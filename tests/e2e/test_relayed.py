"""RELAYED: the recorder and its publishers meet at the owner's TURN server and nowhere else."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from media.check.file import check_file
from recorder.kernel.media import IceServer
from recorder.settings.ice_servers import turn_credential
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.aiortc_peer import AiortcPeer
from tests.support.api_client import ApiClient
from tests.support.stored import stored_media
from tests.support.turn_server import TurnServer, turn_server

PICTURES_MIN = 25
TOLD_S_MAX = 5.0


async def test_all_media_goes_through_the_relay(tmp_path: Path) -> None:
    with turn_server(tmp_path) as relay:
        with serving(tmp_path / "data", SHORT_FRAGMENTS | relay.settings) as server:
            async with ApiClient(server) as api:
                recording = await api.start()
                servers = [msgspec.convert(one, IceServer) for one in recording["entry_point"]["ice_servers"]]
                are_short_lived(servers, relay)
                async with AiortcPeer(ice_servers=servers, relay_only=True) as publisher:
                    answer = await publish(recording["entry_point"], publisher)
                    candidates = re.findall(r"^a=candidate:.* typ (\w+)(.*)$", answer, re.MULTILINE)
                    assert candidates and {kind for kind, _ in candidates} == {"relay"}
                    assert all("raddr 0.0.0.0" in rest for _, rest in candidates)  # nor our address as a hint
                    await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 1.5)
                    await api.stop(recording["id"])
                    over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", None)
            path = stored_media(server.data_dir / "recordings", recording["id"])
        report = await asyncio.to_thread(check_file, path)
        assert report.ok, report.problems
        pictures = {track.kind: track.samples for track in report.tracks}["vide"]
        assert pictures >= PICTURES_MIN
        # Both sides had an allocation of their own, and the media passed both.
        users = set(relay.allocations())
        assert len(users) == 2
        relayed = await told(relay, users)
        assert all(relayed[user] > pictures for user in users), relayed


def are_short_lived(servers: list[IceServer], relay: TurnServer) -> None:
    """What a publisher is told to use: only the relay, with credentials that expire."""
    (server,) = servers
    assert server.urls == [relay.url]
    assert server.username is not None
    expires = int(server.username.partition(":")[0])
    assert 0 < expires - time.time() <= 3600 + 5
    assert server.credential == turn_credential(relay.secret, server.username)


async def publish(entry_point: dict[str, Any], publisher: AiortcPeer) -> str:
    """Offer to the entry point; the answer."""
    answer, _ = await published(entry_point, publisher)
    return answer


async def published(entry_point: dict[str, Any], publisher: AiortcPeer) -> tuple[str, str]:
    """Offer to the entry point; the answer, and the session's URL."""
    headers = {"Authorization": f"Bearer {entry_point['token']}", "Content-Type": "application/sdp"}
    offer = await publisher.offer()
    assert set(re.findall(r"a=candidate:.* typ (\w+)", offer)) == {"relay"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(entry_point["url"], data=offer) as response,
    ):
        answer = await response.text()
        assert response.status == 201, answer
        assert 'rel="ice-server"' in response.headers["Link"]
        session = str(response.url.join(URL(response.headers["Location"])))
    await publisher.answered(answer)
    return answer, session


async def told(relay: TurnServer, users: set[str]) -> dict[str, int]:
    """coturn counts packets when an allocation has ended, some seconds after its client has gone."""
    deadline = time.monotonic() + TOLD_S_MAX
    while (relayed := relay.relayed_packets()).keys() != users or min(relayed.values()) < PICTURES_MIN:
        assert time.monotonic() < deadline, relayed
        await asyncio.sleep(0.1)
    return relayed
