"""kill -9 at seeded instants: of the worker, of the server, of both, and of the node with its disk.

Here a recording has several parts in two seconds; test_real_calls does the same to whole calls.
"""

import asyncio
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.scene import kept, quick_settings, recording, shipping
from tests.faults.seeds import seeds
from tests.support.footage import FRAGMENT_US
from tests.support.s3_servers import ServerProcess

FRAGMENTS, PACE_S = 18, 0.1  # 19 MB in four parts, in two seconds
LONGEST_S = FRAGMENTS * PACE_S
FRAGMENT_S = FRAGMENT_US / 1e6
DECODED = 5  # every so many-th object is also decoded: that takes longer than all the rest


@pytest.mark.parametrize("seed", seeds(0, 15))
async def test_the_worker_is_killed(
    seed: int, footage: Path, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    settings = quick_settings(store_server.endpoint, f"worker-{seed}")
    chance = random.Random(seed)
    async with (
        recording(footage, tmp_path, FRAGMENTS, PACE_S) as recorder,
        shipping(tmp_path, settings) as shipper,
    ):
        await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
        await recorder.kill()
        killed_s = time.monotonic()
        if recorder.acknowledged < 1:
            return  # no media yet, so no object
        await shipper.stored()
    count = await kept(settings, footage, decode=seed % DECODED == 0)
    assert recorder.acknowledged <= count <= recorder.acknowledged + 1
    figure("worker killed", "acknowledged media lost, s", (recorder.acknowledged - count) * FRAGMENT_S)
    figure("worker killed", "from kill to verified object, s", time.monotonic() - killed_s)


@pytest.mark.parametrize("seed", seeds(1, 15))
async def test_the_server_is_killed(
    seed: int, footage: Path, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    """The worker goes on. A server that comes back at once, or after the end, makes the same object."""
    settings = quick_settings(store_server.endpoint, f"server-{seed}")
    chance = random.Random(seed)
    async with recording(footage, tmp_path, FRAGMENTS, PACE_S) as recorder:
        async with shipping(tmp_path, settings) as shipper:
            await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
            await shipper.kill()
        if seed % 2:
            await recorder.over()
        async with shipping(tmp_path, settings) as again:
            await again.stored()
            took_s = time.monotonic() - again.ready_s
        await recorder.over()
    count = await kept(settings, footage, decode=seed % DECODED == 0)
    assert count == recorder.acknowledged == FRAGMENTS
    figure("server killed", "media lost, s", (FRAGMENTS - count) * FRAGMENT_S)
    if seed % 2:
        figure("server killed, back after the end", "from start to verified object, s", took_s)


@pytest.mark.parametrize("seed", seeds(0, 10))
async def test_both_are_killed(
    seed: int, footage: Path, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    settings = quick_settings(store_server.endpoint, f"both-{seed}")
    chance = random.Random(seed)
    async with recording(footage, tmp_path, FRAGMENTS, PACE_S) as recorder:
        async with shipping(tmp_path, settings) as shipper:
            await asyncio.sleep(chance.uniform(0.3, LONGEST_S))
            await shipper.kill()
            await recorder.kill()
        async with shipping(tmp_path, settings) as again:
            await again.stored()
            took_s = time.monotonic() - again.ready_s
    count = await kept(settings, footage, decode=seed % DECODED == 0)
    assert recorder.acknowledged <= count <= recorder.acknowledged + 1
    figure("server and worker killed", "acknowledged media lost, s", 0.0)
    figure("server and worker killed", "from start to verified object, s", took_s)


@pytest.mark.parametrize("seed", seeds(0, 20))
async def test_the_node_is_lost_with_its_disk(
    seed: int, footage: Path, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    """A tail a second here, and five fragments of 0.2 s in it: at most a tail and a fragment are lost."""
    interval_s, pace_s = 1.0, 0.2
    settings = quick_settings(store_server.endpoint, f"disk-{seed}", tail_interval_s=interval_s)
    chance = random.Random(seed)
    async with recording(footage, tmp_path, 200, pace_s) as recorder:
        async with shipping(tmp_path, settings) as shipper:
            await asyncio.sleep(chance.uniform(1.6, 5.0))
            await shipper.kill()
            recorded_s = time.monotonic() - recorder.began_s
            await recorder.kill()
        shutil.rmtree(tmp_path / "rec_00000000000000000000000001")
        async with shipping(tmp_path, settings) as again:
            stored = await again.stored()
            took_s = time.monotonic() - again.ready_s
    assert stored.damaged_fragments == 0
    count = await kept(settings, footage, decode=seed % DECODED == 0)
    lost_s = recorded_s - count * pace_s
    figure("node lost with its disk (tail 1 s, fragment 0.2 s)", "lost, s", lost_s)
    figure("node lost with its disk (tail 1 s, fragment 0.2 s)", "from start to verified object, s", took_s)
    assert lost_s <= interval_s + pace_s + 0.8  # for a request or two on a machine that does other things
