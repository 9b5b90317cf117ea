"""The store is killed or paused at seeded instants, mostly in mid-part; the object is the same."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.scene import kept, quick_settings, recording, shipping
from tests.faults.seeds import seeds
from tests.support.s3_servers import rclone

FRAGMENTS, PACE_S = 18, 0.1
OUTAGE_S_MAX = 1.0
DECODED = 5


@pytest.mark.parametrize("seed", seeds(0, 20))
@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_the_store_breaks(how: str, seed: int, footage: Path, tmp_path: Path, figure: Figure) -> None:
    """rclone forgets its uploads when it is killed: then all of it comes again from the spool."""
    chance = random.Random(f"{how}:{seed}")
    with rclone(tmp_path / "data") as server:
        settings = quick_settings(server.endpoint, "")
        async with (
            recording(footage, tmp_path / "spool", FRAGMENTS, PACE_S) as recorder,
            shipping(tmp_path / "spool", settings) as shipper,
        ):
            await asyncio.sleep(chance.uniform(0.0, FRAGMENTS * PACE_S))
            server.kill() if how == "killed" else server.pause()
            await asyncio.sleep(chance.uniform(0.1, OUTAGE_S_MAX))
            await asyncio.to_thread(server.start) if how == "killed" else server.resume()
            back_s = time.monotonic()
            await recorder.over()
            ended_s = time.monotonic()
            await shipper.stored()
        count = await kept(settings, footage, decode=seed % DECODED == 0)
    assert count == recorder.acknowledged == FRAGMENTS
    figure(f"store {how}", "media lost, s", 0.0)
    figure(f"store {how}", "verified after store and end, s", time.monotonic() - max(back_s, ended_s))
