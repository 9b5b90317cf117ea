"""A server that is killed with undelivered events: after its restart every one arrives."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.postgres import Cluster
from tests.support.receiver import Receiver, receiver
from tests.support.server import RunningServer, running_server

RECORDINGS = 4
ALLOWED = {"BYSTANDER_WEBHOOKS__ALLOW_PRIVATE_NETWORKS": "true"}


async def test_kill_9_loses_no_event_on_sqlite(tmp_path: Path) -> None:
    await _killed_and_restarted(tmp_path, ALLOWED, longest_s=10.0)


@pytest.mark.faults  # where nobody knows whether another server lives, what it held is waited for
async def test_kill_9_loses_no_event_on_postgresql(tmp_path: Path, postgres: Cluster) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    settings = {"BYSTANDER_SERVER__DATABASE_URL": url, "BYSTANDER_WEBHOOKS__TIMEOUT_S": "1"}
    await _killed_and_restarted(tmp_path, {**ALLOWED, **settings}, longest_s=20.0)


async def _killed_and_restarted(data_dir: Path, settings: dict[str, str], *, longest_s: float) -> None:
    """One event is in the receiver's hands when the server dies, the others were refused before."""
    hanging: list[str] = []

    def busy(told: Any) -> int:
        conversation = told["data"]["conversation"]["id"]
        if not hanging:
            hanging.append(conversation)
        return 0 if conversation in hanging else 503

    async with receiver(busy) as there:
        with running_server(data_dir, settings=settings) as server:
            made = await _end_recordings(server, there)
            await there.until(lambda: len({one.id for one in there.received}) == RECORDINGS)
            await asyncio.to_thread(server.kill)
        before = list(there.received)
        there.answer = lambda told: 204
        there.hangs.set()
        with running_server(data_dir, settings=settings):
            loop = asyncio.get_running_loop()
            began = loop.time()
            await there.until(lambda: len({one.id for one in there.taken}) == RECORDINGS)
            seconds = loop.time() - began
    told = [one.json["data"]["recording"]["id"] for one in there.taken]
    assert sorted(told) == sorted(made)  # none is lost, and after the restart none comes twice
    assert {one.id for one in there.taken} == {one.id for one in before}
    duplicates = [one for one in there.taken if one.json["data"]["conversation"]["id"] in hanging]
    assert len(duplicates) == 1  # what the receiver had in its hands comes again, under the same id
    assert seconds < longest_s


async def _end_recordings(server: RunningServer, there: Receiver) -> list[str]:
    """Register the receiver; start and stop recordings without media, each of which is an event."""
    async with aiohttp.ClientSession(server.base_url, headers=server.headers) as session:

        async def post(path: str, body: Any = None) -> Any:
            async with session.post(path, json=body or {}) as answer:
                assert answer.ok, await answer.text()
                return await answer.json()

        await post("/v1/webhooks", {"url": there.url, "events": ["recording.failed"]})
        made = []
        for _ in range(RECORDINGS):
            conversation = await post("/v1/conversations")
            recording = await post(f"/v1/conversations/{conversation['id']}/recordings")
            await post(f"/v1/recordings/{recording['id']}/stop")
            made.append(recording["id"])
        return made
