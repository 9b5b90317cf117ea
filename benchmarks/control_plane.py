"""How long a call waits for its recorder, and how long nothing is recorded after a worker was killed.

Nobody publishes: what is measured is deciding, launching and telling, as a call service meets it over HTTP.
"""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from recorder.demo.main import ON_LOOPBACK
from recorder.demo.server import ServerProcess, serving

CALLS = 40
KILLS = 15
WAIT_S = 10
SETTINGS = {**ON_LOOPBACK, "BYSTANDER_RECORDING__START_MODE": "SYNCHRONOUS"}


async def measure() -> None:
    """CALLS calls one after the other, each held until it can be recorded; then KILLS killed workers."""
    with tempfile.TemporaryDirectory() as scratch:
        async with serving(Path(scratch), settings=SETTINGS) as server:
            headers = {"Authorization": f"Bearer {server.api_key}"}
            async with aiohttp.ClientSession(server.url, headers=headers, raise_for_status=True) as http:
                waits = [await _held_for(_CallService(http)) for _ in range(CALLS)]
                gaps = [await _gap(_CallService(http), server) for _ in range(KILLS)]
    for what, values in (("call announced -> released", waits), ("worker killed -> next READY", gaps)):
        p50, p95 = (float(np.percentile(values, share)) for share in (50, 95))
        print(f"  {what:<36} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   (n = {len(values)})")


class _CallService:
    """One conversation with one call, as its owner sees them."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._path = ""
        self._after = 0

    async def begin(self) -> str:
        conversation = (await self._ask("POST", "/v1/conversations", {}))["id"]
        self._path = f"/v1/conversations/{conversation}"
        return str((await self._ask("POST", f"{self._path}/interactions", {"kind": "CALL"}))["id"])

    async def released(self) -> None:
        """Ask for decisions until the call may start."""
        while True:
            query = f"after={self._after}&wait_s={WAIT_S}"
            told = await self._ask("GET", f"{self._path}/decisions?{query}")
            self._after = told["next_after"]
            if any(one["may_start"] for one in told["items"]):
                return

    async def ready(self, number: int) -> None:
        """Wait for the conversation's recording of this number to take publishers."""
        while True:
            found = (await self._ask("GET", f"{self._path}/recordings"))["items"]
            if len(found) >= number and found[number - 1]["state"] == "READY":
                return
            await asyncio.sleep(0.002)

    async def end(self, interaction: str) -> None:
        await self._ask("DELETE", f"{self._path}/interactions/{interaction}")

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._http.request(method, path, json=body) as response:
            return await response.json()


async def _held_for(service: _CallService) -> float:
    begun = time.perf_counter()
    call = await service.begin()
    await service.released()
    took = (time.perf_counter() - begun) * 1000
    await service.end(call)
    return took


async def _gap(service: _CallService, server: ServerProcess) -> float:
    call = await service.begin()
    await service.released()
    (worker,) = _workers(server)
    begun = time.perf_counter()
    os.kill(worker, signal.SIGKILL)
    await service.ready(2)
    took = (time.perf_counter() - begun) * 1000
    await service.end(call)
    while _workers(server):  # noqa: ASYNC110 - the next one is to meet a quiet machine
        await asyncio.sleep(0.05)
    return took


def _workers(server: ServerProcess) -> list[int]:
    """Processes below the server that listen on a socket in its run directory."""
    run = str(server.data_dir.absolute() / "run")
    found = []
    for process in psutil.Process(server.pid).children(recursive=True):
        try:
            sockets = process.net_connections("unix")
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if any(str(one.laddr).startswith(run) and one.status == "NONE" for one in sockets):
            found.append(process.pid)
    return found
