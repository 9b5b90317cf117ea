"""Workers that are killed in a call whose people come back, also with their server: gaps in one object."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest
from yarl import URL

from media.check.file import check_file
from recorder.demo.call import joined
from recorder.demo.cast import CAST
from recorder.kernel.recording import EntryPoint
from tests.support.api_client import ApiClient
from tests.support.server import running_server, start_server

pytestmark = pytest.mark.faults

KILLS = 10
BETWEEN_S = 5.0  # of recording, before each kill
GAP_S_MAX = 3.0
SETTINGS = {"BYSTANDER_CALL__BIND_HOST": "127.0.0.1"}


@pytest.mark.timeout(300)
async def test_ten_kills_are_ten_gaps(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", settings=SETTINGS) as server:
        async with ApiClient(server) as api, contextlib.AsyncExitStack() as people:
            recording = await api.start()
            identity = recording["id"]
            entry_point = msgspec.convert(recording["entry_point"], EntryPoint)
            for person in CAST:
                await people.enter_async_context(
                    joined({"person": person, "width": 320, "height": 180}, entry_point)
                )
            for _ in range(KILLS):
                await records(api, identity, BETWEEN_S)
                (worker,) = server.workers()
                os.kill(worker, signal.SIGKILL)
                await api.until(identity, "INTERRUPTED")
            await records(api, identity, BETWEEN_S)
            await api.stop(identity)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            events = await api.events(identity)
            listed = await api.call("GET", f"/v1/conversations/{recording['conversation']}/recordings")
    assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
    assert len(listed["items"]) == 1
    (path,) = (tmp_path / "data" / "recordings").rglob(f"*{identity}*.mp4")
    report = await asyncio.to_thread(check_file, path)
    assert report.problems == []
    gaps = [event["detail"]["length_s"] for event in events if event["kind"] == "gap"]
    print("gaps:", gaps)  # noqa: T201 - a figure that docs quote
    assert len(gaps) == KILLS
    assert max(gaps) <= GAP_S_MAX


@pytest.mark.timeout(120)
async def test_a_worker_that_dies_with_its_server_is_a_gap(tmp_path: Path) -> None:
    data_dir, server = tmp_path / "data", start_server(tmp_path / "data", settings=SETTINGS)
    try:
        async with contextlib.AsyncExitStack() as people:
            async with ApiClient(server) as api:
                recording = await api.start()
                identity = recording["id"]
                entry_point = msgspec.convert(recording["entry_point"], EntryPoint)
                for person in CAST:
                    await people.enter_async_context(
                        joined({"person": person, "width": 320, "height": 180}, entry_point)
                    )
                await records(api, identity, BETWEEN_S)
            (worker,) = server.workers()
            server.kill()
            os.kill(worker, signal.SIGKILL)
            died = time.monotonic()
            server = start_server(data_dir, settings=SETTINGS, port=URL(server.base_url).port or 0)
            without_s = time.monotonic() - died
            async with ApiClient(server) as api:
                await records(api, identity, BETWEEN_S)
                await api.stop(identity)
                over = await api.until(identity, "AVAILABLE", "FAILED")
                events = await api.events(identity)
        assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
        (gap,) = [event["detail"]["length_s"] for event in events if event["kind"] == "gap"]
        print("without a server:", without_s, "gap:", gap)  # noqa: T201 - a figure that docs quote
        assert without_s <= gap <= without_s + GAP_S_MAX
        assert [event["kind"] for event in events].count("recording_started") == 1
        (path,) = (data_dir / "recordings").rglob(f"*{identity}*.mp4")
        assert (await asyncio.to_thread(check_file, path)).problems == []
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()


async def records(api: ApiClient, recording: str, seconds: float) -> None:
    """Wait until it records, and until so much more is written."""
    before = (await api.until(recording, "RECORDING"))["duration_s"] or 0.0
    await api.until_it(recording, lambda now: (now["duration_s"] or 0.0) >= before + seconds)
