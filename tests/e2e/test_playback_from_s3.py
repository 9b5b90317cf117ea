"""Recordings in a bucket: played by HLS and by its own links, deleted; and none while its test fails."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from yarl import URL

from tests.e2e.conftest import BY_HAND, SHORT_FRAGMENTS, serving
from tests.storage.stores import make_bucket
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, ServerProcess, moto
from tests.support.server import RunningServer

WHO = {"participant": "ada", "name": "Ada", "role": "AGENT"}
COMMAND_S_MAX = 60.0


@pytest.fixture(scope="module")
def store() -> Iterator[ServerProcess]:
    with moto() as running:
        make_bucket(running.endpoint)
        yield running


@pytest.fixture(scope="module")
def settings(store: ServerProcess) -> Mapping[str, str]:
    return {
        **SHORT_FRAGMENTS,
        **BY_HAND,
        "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/calls",
        "BYSTANDER_STORAGE__ENDPOINT": store.endpoint,
        "BYSTANDER_STORAGE__REGION": "us-east-1",
        "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
        "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, settings: Mapping[str, str]) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("data"), settings) as running:
        yield running


def keys(store: ServerProcess) -> list[str]:
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1")
    found = session.client("s3", endpoint_url=store.endpoint).list_objects_v2(
        Bucket=BUCKET, Prefix="calls/conv"
    )
    return [one["Key"] for one in found.get("Contents", ())]


@pytest.mark.slow
async def test_a_stored_recording_is_played_and_deleted(server: RunningServer, store: ServerProcess) -> None:
    async with ApiClient(server) as api:
        recording = await api.start()
        link = URL(recording["links"]["media"]).update_query(redirect="store", download="true")
        async with joined(recording["entry_point"], *camera(Card((40, 160, 40)), 600), **WHO):
            await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 1)
            async with aiohttp.ClientSession() as stranger, stranger.get(link) as response:
                assert (response.status, (await response.json())["code"]) == (409, "no_store_link")
        await api.stop(recording["id"])
        over = await api.until(recording["id"], "AVAILABLE", "FAILED")
        assert over["state"] == "AVAILABLE"
        await is_played(store, over, link, await api.media(recording["id"]))
        found = await asyncio.to_thread(keys, store)
        conversation = over["conversation"]
        assert len(found) == 2
        assert all(key.startswith(f"calls/{conversation}/") and over["id"] in key for key in found)
        await api.call("DELETE", f"/v1/conversations/{conversation}", status=204)
        assert await asyncio.to_thread(keys, store) == []


async def is_played(store: ServerProcess, over: dict[str, Any], link: URL, whole: bytes) -> None:
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(link, headers={"Range": "bytes=100-199"}) as response:
            assert str(response.url.origin()) == store.endpoint
            assert (response.status, await response.read()) == (206, whole[100:200])
            assert over["filename"] in response.headers["Content-Disposition"]
        async with stranger.get(over["links"]["hls"]) as response:
            playlist = await response.text()
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in playlist
    last = [line for line in playlist.splitlines() if line.startswith("#EXT-X-BYTERANGE")][-1]
    size, _, offset = last.rpartition(":")[2].partition("@")
    assert int(size) + int(offset) == len(whole)


def storage_test(data_dir: Path, settings: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "recorder", "storage", "test", "--data-dir", str(data_dir)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
        env={**os.environ, **settings},
    )


async def ready(server: RunningServer) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as nobody, nobody.get(f"{server.base_url}/readyz") as response:
        return response.status, (await response.json())["dependencies"]


async def test_a_failed_test_stops_recording_until_one_passes(
    server: RunningServer, settings: Mapping[str, str]
) -> None:
    wrong = {**settings, "BYSTANDER_STORAGE__CONNECT_TIMEOUT_S": "0.000001"}
    failed = await asyncio.to_thread(storage_test, server.data_dir, wrong)
    assert failed.returncode == 1, failed
    assert "FAILED   existence" in failed.stdout
    async with ApiClient(server) as api:
        conversation = await api.conversation()
        path = f"/v1/conversations/{conversation}/recordings"
        refused = await api.call("POST", path, status=503)
        assert refused["code"] == "storage_test_failed"
        assert "existence" in refused["detail"]
        async with asyncio.timeout(COMMAND_S_MAX):
            while (await ready(server))[1]["storage_test"]:  # noqa: ASYNC110 - an answer is kept for two seconds
                await asyncio.sleep(0.1)
        passed = await api.call("POST", "/v1/storage/test")
        assert passed["ok"], passed
        names = [step["name"] for step in passed["steps"]]
        assert names == [
            *("existence", "clock_skew", "write", "read", "range", "multipart"),
            *("throughput_up", "throughput_down", "delete"),
        ]
        started = await api.start(conversation)
        await api.stop(started["id"])
        await api.until(started["id"], "AVAILABLE", "FAILED")
