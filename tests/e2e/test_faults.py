"""Things break in the middle of a call: a recording says so, and what was received is kept and plays."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from media.check.file import Report, check_file
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.server import RunningServer, running_server, start_server
from tests.support.stored import stored_media

DISK_BYTES = 8 * 1024 * 1024  # room for the database and a few seconds of media
MEDIA_S_MIN = 1.0
EXIT_S_MAX = 5.0  # what a server started notices its end by a pipe, and goes
SMALL_DISK = {"BYSTANDER_LIMITS__SPOOL_FREE_BYTES_MIN": "0"}  # or nothing would begin on it


async def talking(api: ApiClient, call: AsyncExitStack, conversation: str | None = None) -> dict[str, Any]:
    """A recording that has some media of a participant who goes on sending."""
    recording = await api.start(conversation)
    card = Card((200, 40, 40))
    await call.enter_async_context(
        joined(recording["entry_point"], *camera(card, 700), participant="ada", name="Ada")
    )
    await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > MEDIA_S_MIN)
    return recording


async def kept(data_dir: Path, recording: str, at_least_s: float = MEDIA_S_MIN) -> Report:
    """The object in the local store is whole and has what was recorded until then."""
    path = stored_media(data_dir / "recordings", recording)
    report = await asyncio.to_thread(check_file, path)
    assert report.ok, report.problems
    assert report.duration_s >= at_least_s
    return report


def alive_after(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after this time. A zombie does not: nobody may be there to reap it."""
    deadline = time.monotonic() + timeout_s
    while (left := [one for one in processes if runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
async def test_a_worker_is_killed(server: RunningServer) -> None:
    async with ApiClient(server) as api, AsyncExitStack() as call:
        others = server.workers()
        conversation = await api.conversation()
        ends_there = {"values": {"recording.after_interruption": "new"}}
        await api.call("PUT", f"/v1/conversations/{conversation}/settings", ends_there)
        recording = await talking(api, call, conversation)
        (worker,) = set(server.workers()).difference(others)
        os.kill(worker, signal.SIGKILL)
        over = await api.until(recording["id"], "AVAILABLE", "FAILED")
        assert (over["state"], over["end_reason"], over["failure"]) == (
            "AVAILABLE",
            "ABORT_UNEXPECTED",
            "worker_died",
        )
        assert len(await api.media(recording["id"])) == over["bytes"]
        report = await kept(server.data_dir, recording["id"])
        assert over["duration_s"] == pytest.approx(report.duration_s, abs=0.05)
        another = await talking(api, call, recording["conversation"])  # the server has survived
        await api.stop(another["id"])
        await api.until(another["id"], "AVAILABLE")


@pytest.mark.slow
async def test_sigterm_finishes_every_recording(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, SHORT_FRAGMENTS) as server:
        async with ApiClient(server) as api, AsyncExitStack() as call:
            running = [await talking(api, call) for _ in range(2)]
            await api.start()  # nobody ever publishes here
            family = psutil.Process(server.pid).children(recursive=True)
            assert len(family) >= len(running)
            assert await asyncio.to_thread(server.stop) == 0
    assert await asyncio.to_thread(alive_after, family, EXIT_S_MAX) == []
    for recording in running:
        await kept(data_dir, recording["id"])
    with serving(data_dir) as server:  # what it wrote down is still so
        async with ApiClient(server) as api:
            for recording in running:
                told = await api.recording(recording["id"])
                assert (told["state"], told["end_reason"]) == ("AVAILABLE", "ABORT_SYSTEM")


@pytest.mark.slow
async def test_a_killed_server_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    killed = await asyncio.to_thread(start_server, data_dir, settings=SHORT_FRAGMENTS)
    async with AsyncExitStack() as call:
        async with ApiClient(killed) as api:
            lost = await talking(api, call)
            (worker_of_lost,) = killed.workers()
            kept_on = await talking(api, call)
            before_s = (await api.recording(kept_on["id"]))["duration_s"]
        killed.kill()
        os.kill(worker_of_lost, signal.SIGKILL)
        with serving(data_dir, SHORT_FRAGMENTS) as server:
            async with ApiClient(server) as api:
                over = await api.until(lost["id"], "AVAILABLE", "FAILED")
                assert (over["state"], over["end_reason"]) == ("AVAILABLE", "ABORT_UNEXPECTED")
                await kept(data_dir, lost["id"])
                await goes_on(api, kept_on["id"], before_s)
                over = await api.until(kept_on["id"], "AVAILABLE", "FAILED")
                assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
                report = await kept(data_dir, kept_on["id"], before_s + 1)
                assert over["duration_s"] == pytest.approx(report.duration_s, abs=0.05)


async def goes_on(api: ApiClient, recording: str, before_s: float) -> None:
    """The recording of a publisher who noticed nothing still grows; then it is stopped."""
    told = await api.until_it(recording, lambda now: (now["duration_s"] or 0) > before_s + 1)
    assert told["state"] == "RECORDING"
    await api.stop(recording)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_the_disk_is_full(tmp_path: Path, small_disk: Path) -> None:
    store, data_dir = tmp_path / "store", small_disk / "data"
    settings = SHORT_FRAGMENTS | {"BYSTANDER_STORAGE__URL": str(store), **SMALL_DISK}
    with running_server(data_dir, settings=settings) as server:
        async with ApiClient(server) as api, AsyncExitStack() as call:
            recording = await talking(api, call)
            filler = data_dir / "filler"
            await asyncio.to_thread(fill, filler)
            over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["end_reason"], over["failure"]) == (
                "AVAILABLE",
                "ABORT_SYSTEM",
                "disk_full",
            )
            path = stored_media(store, recording["id"])
            report = await asyncio.to_thread(check_file, path)
            assert report.ok, report.problems
            assert report.duration_s >= MEDIA_S_MIN
            filler.unlink()
            another = await talking(api, call, recording["conversation"])
            await api.stop(another["id"])
            await api.until(another["id"], "AVAILABLE")
    assert "Traceback" not in server.log.read_text()


def fill(path: Path) -> None:
    """Take all that is left of a disk, as another process would, down to the last block."""
    with path.open("ab", buffering=0) as other:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    other.write(bytes(size))
            except OSError:
                continue
