"""A caller of the API, as a call service would write it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import aiohttp
from yarl import URL

from tests.support.aiortc_peer import AiortcPeer
from tests.support.server import RunningServer

STATE_S_MAX = 40.0
POLL_S = 0.05


class ApiClient:
    """Every method asserts the status that it expects, with the answer as the message."""

    def __init__(self, server: RunningServer, connector: aiohttp.BaseConnector | None = None) -> None:
        self._server = server
        self._connector = connector
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "ApiClient":
        self._session = aiohttp.ClientSession(
            self._server.base_url, headers=self._server.headers, connector=self._connector
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        async with self._session.request(method, path, json=body) as response:
            text = await response.text()
            assert response.status == status, f"{method} {path}: {response.status} {text}"
            return await response.json(content_type=None) if text else None

    async def conversation(self) -> str:
        created = await self.call("POST", "/v1/conversations", {}, status=201)
        return str(created["id"])

    async def start(self, conversation: str | None = None) -> dict[str, Any]:
        """A recording that takes publishers."""
        conversation = conversation or await self.conversation()
        recording: dict[str, Any] = await self.call(
            "POST", f"/v1/conversations/{conversation}/recordings", status=201
        )
        return recording

    async def recording(self, recording: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/v1/recordings/{recording}")
        return found

    async def stop(self, recording: str) -> dict[str, Any]:
        """Accepts both ways to say that it is being done."""
        async with self._session.post(f"/v1/recordings/{recording}/stop") as response:
            text = await response.text()
            assert response.status in (200, 202), text
            stopped: dict[str, Any] = await response.json()
            return stopped

    async def until(self, recording: str, *states: str) -> dict[str, Any]:
        """The recording, once it is in one of these states."""
        return await self.until_it(recording, lambda now: now["state"] in states)

    async def until_it(self, recording: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The recording, once that is so of it."""
        deadline = time.monotonic() + STATE_S_MAX
        while not holds(now := await self.recording(recording)):
            assert time.monotonic() < deadline, f"still {now}"
            await asyncio.sleep(POLL_S)
        return now

    async def whip(self, entry_point: dict[str, Any], offer: str) -> str:
        """The answer to somebody's offer, which is carried to the entry point for them."""
        headers = {"Authorization": f"Bearer {entry_point['token']}", "Content-Type": "application/sdp"}
        path = URL(entry_point["url"]).relative()
        async with self._session.post(path, data=offer, headers=headers) as response:
            answer = await response.text()
            assert response.status == 201, answer
            return answer

    async def media(self, recording: str) -> bytes:
        async with self._session.get(f"/v1/recordings/{recording}/media") as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def events(self, recording: str) -> list[dict[str, Any]]:
        """What happened in it, on its own clock."""
        async with self._session.get(f"/v1/recordings/{recording}/events.jsonl") as response:
            assert response.status == 200, await response.text()
            return [json.loads(line) for line in (await response.text()).splitlines()]

    @asynccontextmanager
    async def publishing(self, entry_point: dict[str, Any], **query: str) -> AsyncIterator[AiortcPeer]:
        """Picture and sound of one participant, by WHIP; left properly at the end where that is possible."""
        token = {"Authorization": f"Bearer {entry_point['token']}", "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession(headers=token) as whip, AiortcPeer() as peer:
            offer = await peer.offer()
            async with whip.post(entry_point["url"], params=query, data=offer) as response:
                assert response.status == 201, await response.text()
                location = response.url.join(URL(response.headers["Location"]))
                answer = await response.text()
            await peer.answered(answer)
            yield peer
            try:
                await whip.delete(location)
            except aiohttp.ClientConnectionError:
                return  # the test has ended the server
