"""Two servers of one installation on one bucket, each with its own disk: who goes on with what."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from storage.open_store import open_store
from storage.store import ObjectProperties
from storage.takeover.journal_format import NODES_PREFIX
from storage.takeover.lease import SignOfLife
from tests.faults.calls import MEDIA_LOST_S_MAX, TAIL_S, begin, kept, kill_all, nothing_beside, on_s3
from tests.storage.stores import make_bucket, s3_settings
from tests.support.api_client import ApiClient
from tests.support.s3_servers import ServerProcess, moto
from tests.support.server import running_server, start_server

PREFIX = "shared"
RECORDED_S = 4.0

pytestmark = pytest.mark.faults


async def recover(data_dir: Path, settings: dict[str, str]) -> str:
    """What `bystander recover` says."""
    command = [sys.executable, "-m", "recorder", "recover", "--data-dir", str(data_dir)]
    ran = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def silent_for(server: ServerProcess, data_dir: Path, seconds: float) -> None:
    """Have the sign of life of a node that is gone be so old, without waiting for it."""
    store = open_store(s3_settings(server.endpoint, prefix=PREFIX))
    node = await asyncio.to_thread((data_dir / "node").read_text)
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    sign = SignOfLife(installation="ours", node=node, at=at)
    await store.put(f"{NODES_PREFIX}{node}", msgspec.json.encode(sign), ObjectProperties("application/json"))
    await store.close()


async def listed(server: ServerProcess) -> list[str]:
    """All that is in the bucket, without signs of life."""
    store = open_store(s3_settings(server.endpoint, prefix=PREFIX))
    uploads = [f"{upload.key} {upload.id}" async for upload in store.uploads.list_uploads()]
    objects = [f"{info.key} {info.etag}" async for info in store.list_objects() if "/nodes/" not in info.key]
    await store.close()
    return sorted(uploads + objects)


async def test_one_takes_up_what_the_other_left_and_only_then(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with moto() as store:
        make_bucket(store.endpoint)
        settings = on_s3(store, PREFIX) | {"BYSTANDER_STORAGE__INSTALLATION": "ours"}
        stranger = open_store(s3_settings(store.endpoint, prefix=PREFIX))
        dangling = await stranger.uploads.begin("somebody/else.mp4", ObjectProperties())
        server = await asyncio.to_thread(start_server, first, settings=settings)
        async with AsyncExitStack() as stack:
            async with ApiClient(server) as api:
                call = await begin(api, stack)
                await asyncio.sleep(RECORDED_S)
            os.kill(server.pid, signal.SIGSTOP)  # so that the bucket stands still; its worker records on
            before = await listed(store)
            told = await recover(second, settings)
            assert f"{call.recording}  without a spool: node_lives" in told
            assert "somebody/else.mp4  an upload of unknown origin, left alone" in told
            assert await listed(store) == before
            kill_all(server)
            received_s = call.lasts_s

        await silent_for(store, first, 3600)
        assert f"{call.recording}  without a spool: restored" in await recover(second, settings)
        taken = await kept(store, PREFIX, call.recording, tmp_path)
        assert taken.duration_s >= RECORDED_S - TAIL_S - MEDIA_LOST_S_MAX
        assert call.recording not in await recover(second, settings)

        with running_server(first, settings=settings) as again:  # its spool has what came after the last tail
            async with ApiClient(again) as api:
                over = await api.until(call.recording, "AVAILABLE", "FAILED")
        whole = await kept(store, PREFIX, call.recording, tmp_path)
        assert over["bytes"] == (tmp_path / f"{call.recording}.mp4").stat().st_size
        assert taken.duration_s <= whole.duration_s <= received_s
        assert [upload.key async for upload in stranger.uploads.list_uploads()] == ["somebody/else.mp4"]
        await stranger.uploads.abort(dangling)
        assert await nothing_beside(store, PREFIX)
        await stranger.close()
