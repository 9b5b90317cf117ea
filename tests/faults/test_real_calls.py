"""kill -9 in the middle of whole calls, whose participants go on sending: what it costs in seconds."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.faults.calls import (
    MEDIA_LOST_S_MAX,
    Call,
    begin,
    kept,
    nothing_beside,
    on_s3,
    workers_by_recording,
)
from tests.faults.conftest import Figure
from tests.support.api_client import ApiClient
from tests.support.s3_servers import ServerProcess
from tests.support.server import running_server, start_server

CALLS = 10  # at once, the worker of each killed at an instant of its own
CALLS_OF_A_SERVER = 3
KILLS = 10  # of one server, one after the other, while its calls go on
LONGEST_S = 8.0

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", range(5))
async def test_the_workers_of_calls_are_killed(
    seed: int, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    prefix, chance = f"calls-{seed}", random.Random(seed)
    with running_server(tmp_path / "data", settings=on_s3(store_server, prefix)) as server:
        async with ApiClient(server) as api, AsyncExitStack() as stack:
            calls = await asyncio.gather(*(begin(api, stack, still=n % 2 > 0) for n in range(CALLS)))
            workers = await asyncio.to_thread(workers_by_recording, server.data_dir)

            async def killed(call: Call, after_s: float) -> float:
                await asyncio.sleep(after_s)
                os.kill(workers[call.recording], signal.SIGKILL)
                received_s = call.lasts_s
                over = await api.until(call.recording, "AVAILABLE", "FAILED")
                assert (over["end_reason"], over["failure"]) == ("ABORT_UNEXPECTED", "worker_died")
                return received_s

            received = await asyncio.gather(*(killed(call, chance.uniform(0.5, LONGEST_S)) for call in calls))
    for number, (call, received_s) in enumerate(zip(calls, received, strict=True)):
        lost_s = received_s - (await kept(store_server, prefix, call.recording, tmp_path)).duration_s
        figure(f"worker of a call {('that moves', 'at rest')[number % 2]} killed", "media lost, s", lost_s)
        assert lost_s <= MEDIA_LOST_S_MAX
    assert await nothing_beside(store_server, prefix)


@pytest.mark.parametrize(("seed", "kills"), [(0, 0), *((seed, KILLS) for seed in range(5))])
async def test_the_server_of_calls_is_killed_again_and_again(
    seed: int, kills: int, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    """Every call is one recording from its first media to its end, whatever became of the server.

    One whose server was never killed is the measure: a recording ends somewhat later than it is asked to.
    """
    prefix, data_dir, chance = f"servers-{seed}-{kills}", tmp_path / "data", random.Random(f"server:{seed}")
    settings = on_s3(store_server, prefix)
    server = await asyncio.to_thread(start_server, data_dir, settings=settings)
    async with AsyncExitStack() as stack:
        async with ApiClient(server) as api:
            calls = await asyncio.gather(*(begin(api, stack) for _ in range(CALLS_OF_A_SERVER)))
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.0, LONGEST_S / 3))
            server.kill()
            server = await asyncio.to_thread(start_server, data_dir, settings=settings)
        async with ApiClient(server) as api:
            lasted = {}
            for call in calls:
                assert (await api.recording(call.recording))["state"] == "RECORDING"
                await api.stop(call.recording)
                lasted[call.recording] = call.lasts_s
            for call in calls:
                over = await api.until(call.recording, "AVAILABLE", "FAILED")
                assert (over["state"], over["end_reason"]) == ("AVAILABLE", "NORMAL")
        assert await asyncio.to_thread(server.stop) == 0
    for recording, received_s in lasted.items():
        lost_s = received_s - (await kept(store_server, prefix, recording, tmp_path)).duration_s
        figure(f"server of calls killed {kills} times", "media lost, s", lost_s)
        assert lost_s <= MEDIA_LOST_S_MAX
    assert await nothing_beside(store_server, prefix)
