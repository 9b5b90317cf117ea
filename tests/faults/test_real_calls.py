"""The same with a whole server and a participant who goes on sending: what a kill costs in seconds."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import pytest

from media.check import check_file
from storage.objects import open_store
from tests.faults.conftest import Figure
from tests.faults.scene import leftovers
from tests.faults.seeds import seeds
from tests.storage.stores import s3_settings
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, ServerProcess
from tests.support.server import RunningServer, running_server, start_server

MEDIA_LOST_S_MAX = 2.0  # what a kill -9 may cost
TAIL_S = 1.0


def on_s3(server: ServerProcess, prefix: str) -> dict[str, str]:
    return {
        "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/{prefix}",
        "BYSTANDER_STORAGE__ENDPOINT": server.endpoint,
        "BYSTANDER_STORAGE__REGION": "us-east-1",
        "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
        "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "BYSTANDER_STORAGE__TAIL_INTERVAL_S": str(TAIL_S),
    }


async def recording_for(api: ApiClient, call: AsyncExitStack, seconds: float) -> tuple[str, float]:
    """A recording, so long after its first media; its id, and when (Unix time) that was."""
    recording = await api.start()
    card = Card((200, 40, 40))
    await call.enter_async_context(
        joined(recording["entry_point"], *camera(card, 700), participant="ada", name="Ada")
    )
    told = await api.until_it(recording["id"], lambda now: now["state"] == "RECORDING")
    await asyncio.sleep(seconds)
    return recording["id"], datetime.fromisoformat(told["started_at"]).timestamp()


async def duration_s(store_server: ServerProcess, prefix: str, recording: str, tmp_path: Path) -> float:
    """Of the one object, which is whole; nothing lies beside it."""
    store = open_store(s3_settings(store_server.endpoint, prefix=prefix))
    (info,) = [info async for info in store.list_objects() if info.key.endswith(f"{recording}.mp4")]
    target = tmp_path / "object.mp4"
    with target.open("wb") as file:
        async for chunk in store.read(info.key, 0, info.size):
            file.write(chunk)
    assert await leftovers(store) == []
    await store.close()
    report = await asyncio.to_thread(check_file, target)
    assert report.ok, report.problems
    return report.duration_s


@pytest.mark.parametrize("seed", seeds(0, 8))
async def test_the_worker_of_a_call_is_killed(
    seed: int, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    prefix = f"call-{seed}"
    with running_server(tmp_path / "data", settings=on_s3(store_server, prefix)) as server:
        async with ApiClient(server) as api, AsyncExitStack() as call:
            recording, began_s = await recording_for(api, call, random.Random(seed).uniform(2.5, 6))
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)
            received_s = time.time() - began_s
            await api.until(recording, "AVAILABLE", "FAILED")
    lost_s = received_s - await duration_s(store_server, prefix, recording, tmp_path)
    figure("worker of a call killed", "media lost, s", lost_s)
    assert lost_s <= MEDIA_LOST_S_MAX + 0.5  # of coding, and of the time until the kill is heard of


def kill_all(server: RunningServer) -> None:
    workers = server.workers()
    server.kill()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["serve", "recover"])
async def test_a_call_whose_node_lost_its_spool(
    how: str, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    prefix, data_dir = f"lost-{how}", tmp_path / "data"
    settings = on_s3(store_server, prefix)
    killed = await asyncio.to_thread(start_server, data_dir, settings=settings)
    async with AsyncExitStack() as call:
        async with ApiClient(killed) as api:
            recording, began_s = await recording_for(api, call, 6.0)
        kill_all(killed)
        received_s = time.time() - began_s
    shutil.rmtree(data_dir / "spool" / recording)
    if how == "recover":
        for expected in (recording, ""):  # the second time there is nothing to do
            command = [sys.executable, "-m", "recorder", "recover", "--data-dir", str(data_dir)]
            told = await asyncio.to_thread(
                subprocess.run, command, env={**os.environ, **settings}, capture_output=True, text=True
            )
            assert told.returncode == 0, told.stderr
            assert expected in told.stdout
    with running_server(data_dir, settings=settings) as server:
        async with ApiClient(server) as api:
            over = await api.until(recording, "AVAILABLE", "FAILED")
            assert over["bytes"] > 0
    lost_s = received_s - await duration_s(store_server, prefix, recording, tmp_path)
    figure("spool of a call deleted (tail 1 s)", "media lost, s", lost_s)
    assert lost_s <= TAIL_S + MEDIA_LOST_S_MAX + 0.5
