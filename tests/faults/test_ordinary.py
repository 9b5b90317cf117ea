"""kill -9 of the server while it makes an ordinary file: the next one makes the same file, once."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from storage.open_store import open_store
from storage.settings import StorageSettings
from tests.faults.conftest import Figure
from tests.faults.recording_process import KEY
from tests.faults.scene import leftovers, quick_settings, recording, shipping
from tests.faults.seeds import seeds
from tests.support.footage import load
from tests.support.ordinary import ordinary_file
from tests.support.s3_servers import ServerProcess

FRAGMENTS, PACE_S = 12, 0.05
FINISHING_S = 0.6  # on a busy machine; instants after the end try that nothing is done twice


@pytest.mark.parametrize("seed", seeds(0, 15))
@pytest.mark.parametrize("kind", ["s3", "directory"])
async def test_the_server_is_killed_while_it_finishes(
    kind: str, seed: int, footage: Path, store_server: ServerProcess, tmp_path: Path, figure: Figure
) -> None:
    root = tmp_path / "spool"
    settings = quick_settings(store_server.endpoint, f"ordinary-{seed}", container="mp4")
    if kind == "directory":
        settings = StorageSettings(url=str(tmp_path / "objects"), container="mp4")
    async with recording(footage, root, FRAGMENTS, PACE_S) as recorder:
        async with shipping(root, settings) as shipper:
            await recorder.over()
            await asyncio.sleep(random.Random(seed).uniform(0.0, FINISHING_S))
            await shipper.kill()
        async with shipping(root, settings) as again:
            stored = await again.stored()
            figure("server killed at the end, mp4", "to verified object, s", time.monotonic() - again.ready_s)
    source = load(footage)
    store = open_store(settings)
    try:
        data = b"".join([chunk async for chunk in store.read(KEY, 0, stored.size)])
        assert (await store.head(KEY)).size == stored.size
        assert await leftovers(store) == []
    finally:
        await store.close()
    assert data == ordinary_file([source.fragment(number) for number in range(FRAGMENTS + 1)])
