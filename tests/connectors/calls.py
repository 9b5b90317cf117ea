"""Calls on other systems as a call service begins, looks at and ends them."""

import asyncio
import time
from typing import Any

from tests.support.api_client import POLL_S, STATE_S_MAX, ApiClient


class Call:
    """A conversation whose call is held on another system, and its recording."""

    def __init__(self, api: ApiClient, conversation: str, interaction: str) -> None:
        self.api = api
        self.conversation = conversation
        self.path = f"/v1/conversations/{conversation}/interactions/{interaction}"

    @classmethod
    async def begun(cls, api: ApiClient, source: dict[str, Any]) -> "Call":
        conversation = await api.conversation()
        began = await api.call(
            "POST", f"/v1/conversations/{conversation}/interactions", {"connector": source}, status=201
        )
        return cls(api, conversation, began["id"])

    async def connector(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.call("GET", self.path))["connector"]
        return found

    async def until(self, *names: str) -> dict[str, Any]:
        """The connector, once it receives exactly these people."""
        deadline = time.monotonic() + STATE_S_MAX
        while True:
            now = await self.connector()
            if sorted(one["name"] for one in now["streams"] if one["state"] == "CONNECTED") == sorted(names):
                return now
            assert time.monotonic() < deadline, now
            await asyncio.sleep(POLL_S)

    async def recording(self) -> dict[str, Any]:
        """The newest one."""
        listed = await self.api.call("GET", f"/v1/conversations/{self.conversation}/recordings")
        newest: dict[str, Any] = listed["items"][-1]
        return newest

    async def grows(self, by_s: float = 1.0) -> None:
        """Wait until so much more is recorded."""
        recording = (await self.recording())["id"]
        before = (await self.api.recording(recording))["duration_s"] or 0.0
        await self.api.until_it(recording, lambda now: (now["duration_s"] or 0.0) >= before + by_s)

    async def end(self) -> dict[str, Any]:
        await self.api.call("DELETE", self.path)
        return await self.api.until((await self.recording())["id"], "AVAILABLE", "FAILED")
