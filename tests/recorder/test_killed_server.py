"""kill -9 of a whole server while a call waits, and while it is recorded; and of its worker with it."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_client import POLL_S, STATE_S_MAX, ApiClient
from tests.support.server import start_server

pytestmark = pytest.mark.faults


class Call:
    """A call service with one call, whose knowledge outlives the server."""

    def __init__(self) -> None:
        self.path = ""
        self.interaction = ""
        self.heard: list[dict[str, Any]] = []

    async def begin(self, api: ApiClient) -> None:
        self.path = f"/v1/conversations/{await api.conversation()}"
        begun = await api.call("POST", f"{self.path}/interactions", {"kind": "CALL"}, status=201)
        assert begun["state"] == "HELD"
        self.interaction = begun["id"]

    async def hear(self, api: ApiClient, kind: str) -> None:
        async with asyncio.timeout(STATE_S_MAX):
            while not any(one["kind"] == kind for one in self.heard):
                after = self.heard[-1]["sequence"] if self.heard else 0
                told = await api.call("GET", f"{self.path}/decisions?after={after}&wait_s=10")
                self.heard += told["items"]

    async def recordings(self, api: ApiClient) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await api.call("GET", f"{self.path}/recordings"))["items"]
        return found

    async def end(self, api: ApiClient) -> None:
        assert (await api.call("DELETE", f"{self.path}/interactions/{self.interaction}"))["state"] == "ENDED"


@pytest.mark.parametrize("worker_dies", [False, True], ids=["its worker goes on", "with its worker"])
@pytest.mark.parametrize("released", [False, True], ids=["held", "recorded"])
async def test_a_call_outlives_its_server(tmp_path: Path, released: bool, worker_dies: bool) -> None:
    call, server = Call(), start_server(tmp_path)
    try:
        async with ApiClient(server) as api:
            await call.begin(api)
            if released:
                await call.hear(api, "RELEASE")
            before = await call.recordings(api)
        workers = server.workers()
        server.kill()
        for pid in workers if worker_dies else ():
            with suppress(ProcessLookupError):  # one that had not yet begun ended with its forkserver
                os.kill(pid, signal.SIGKILL)
        server = start_server(tmp_path)
        async with ApiClient(server) as api:
            await call.hear(api, "RELEASE")
            assert [one["kind"] for one in call.heard] == ["HOLD", "RELEASE"]
            assert call.heard[1]["reason"] is None  # released because it is recorded
            after = await call.recordings(api)
            if released and not worker_dies:
                assert [one["id"] for one in after] == [one["id"] for one in before]
                assert server.workers() == workers
            async with asyncio.timeout(STATE_S_MAX):
                while after[-1]["state"] != "READY":
                    await asyncio.sleep(POLL_S)
                    after = await call.recordings(api)
            await call.end(api)
            await api.until(after[-1]["id"], "FAILED")  # nobody sent anything: there is nothing to keep
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
