"""A real server with real workers, media and storage: what a call service sees of a recording."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import media.check.file
from tests.support.api_client import ApiClient
from tests.support.server import running_server, start_server


def has_media(recording: dict[str, Any]) -> bool:
    return (recording["duration_s"] or 0) > 1


async def is_whole(data: bytes, directory: Path) -> bool:
    """Whether `bystander check` finds nothing wrong with the file."""
    file = directory / "recording.mp4"
    await asyncio.to_thread(file.write_bytes, data)
    return await asyncio.to_thread(media.check.file.main, str(file)) == 0


async def test_a_call_is_recorded_from_offer_to_mp4(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            assert recording["state"] == "READY"
            identity = recording["id"]
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada", role="AGENT"):
                await api.until(identity, "RECORDING")
                await api.until_it(identity, has_media)
                assert len(await api.media(identity)) > 1000  # while it is still being recorded
            await api.stop(identity)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
            data = await api.media(identity)
            assert len(data) == over["bytes"]
    assert await is_whole(data, tmp_path)


@pytest.mark.slow
async def test_who_is_gone_for_long_ends_the_recording_and_stands_in_it(tmp_path: Path) -> None:
    settings = {"BYSTANDER_RECORDING__NO_MEDIA_TIMEOUT_S": "4"}
    with running_server(tmp_path / "data", settings=settings) as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            identity = recording["id"]
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                await api.until_it(identity, has_media)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            assert (over["state"], over["end_reason"]) == ("AVAILABLE", "ABORT_TIMEOUT")
            (ada,) = (await api.call("GET", f"/v1/recordings/{identity}/details"))["participants"]
            assert (ada["id"], ada["name"]) == ("p1", "Ada")
            assert over["started_at"] <= ada["joined_at"] < ada["left_at"] <= over["ended_at"]
        offers = [line for line in server.log.read_text().splitlines() if "POST /whip/" in line]
        assert offers
        assert all(f"recording={identity}" in line for line in offers)


async def test_a_killed_worker_is_a_gap(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            identity, entry_point = recording["id"], recording["entry_point"]
            async with api.publishing(entry_point, participant="p1", name="Ada"):
                await api.until_it(identity, has_media)
                (killed,) = server.workers()
                os.kill(killed, signal.SIGKILL)
                await api.until(identity, "INTERRUPTED")
            await api.until_it(identity, lambda now: now["entry_point"] is not None)
            async with api.publishing(entry_point, participant="p1", name="Ada"):
                again = await api.until(identity, "RECORDING")
                await api.until_it(identity, lambda now: now["duration_s"] > again["duration_s"] + 1)
                assert server.workers() != [killed]
                await api.stop(identity)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            assert (over["state"], over["end_reason"], over["failure"]) == ("AVAILABLE", "NORMAL", None)
            data = await api.media(identity)
            assert len(data) == over["bytes"]
            answer = await api.call("GET", f"/v1/conversations/{recording['conversation']}/recordings")
            assert [one["id"] for one in answer["items"]] == [identity]
    assert await is_whole(data, tmp_path)


async def test_a_killed_worker_ends_the_recording_where_a_new_one_is_wanted(tmp_path: Path) -> None:
    settings = {"BYSTANDER_RECORDING__AFTER_INTERRUPTION": "new"}
    with running_server(tmp_path / "data", settings=settings) as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                await api.until_it(recording["id"], has_media)
                (worker,) = server.workers()
                os.kill(worker, signal.SIGKILL)
                over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", "worker_died")
            data = await api.media(recording["id"])
            assert len(data) == over["bytes"]
            await api.start()  # the server goes on
    assert await is_whole(data, tmp_path)


async def test_a_killed_server_loses_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    first = start_server(tmp_path / "data")
    async with ApiClient(first) as api:
        recording = await api.start()
        async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
            before = await api.until_it(recording["id"], has_media)
            (worker,) = first.workers()
            first.kill()
            with running_server(tmp_path / "data") as second:
                assert second.workers() == [worker]
                async with ApiClient(second) as again:
                    found = await again.recording(recording["id"])
                    assert found["state"] == "RECORDING"
                    longer = before["duration_s"] + 2
                    await again.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > longer)
                    await again.stop(recording["id"])
                    over = await again.until(recording["id"], "AVAILABLE", "FAILED")
                    assert (over["state"], over["end_reason"]) == ("AVAILABLE", "NORMAL")
                    data = await again.media(recording["id"])
    assert await is_whole(data, tmp_path)


async def test_sigterm_finishes_what_runs_and_leaves_nobody(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                await api.until_it(recording["id"], has_media)
                assert await asyncio.to_thread(server.stop) == 0
                assert server.workers() == []
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api:
            over = await api.recording(recording["id"])
            assert (over["state"], over["end_reason"]) == ("AVAILABLE", "ABORT_SYSTEM")
            assert await is_whole(await api.media(recording["id"]), tmp_path)


async def test_health_metrics_and_keys_of_a_real_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        async with ApiClient(server) as api, aiohttp.ClientSession(server.base_url) as anybody:
            recording = await api.start()
            ready = await (await anybody.get("/readyz")).json()
            assert all(ready.values()) or all(ready.get("checks", {}).values()), ready
            told = await (await anybody.get("/metrics")).text()
            assert 'bystander_recordings{state="READY"} 1.0' in told
            assert "bystander_recording_start_seconds_count 1.0" in told
            refused = await anybody.get(f"/v1/recordings/{recording['id']}")
            assert refused.status == 401
        log = await asyncio.to_thread(server.log.read_text)
        assert server.api_key not in log
        assert recording["entry_point"]["token"] not in log
