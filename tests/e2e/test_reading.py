"""Reading a recording back, while it runs and afterwards: ranges, links, the check; what operators see."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate
from yarl import URL

from media.check.file import check_file
from tests.support.api_client import ApiClient
from tests.support.participants import Card, camera, joined
from tests.support.server import RunningServer

WAITING = 'bystander_recordings{state="READY"}'
START_S_MAX = 2.0  # on a machine that also runs the rest of the suite; the bench measures it on an idle one


@pytest.fixture
async def http(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.base_url, headers=server.headers) as session:
        yield session


async def part(http: aiohttp.ClientSession, path: str, wanted: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with http.get(path, headers={"Range": wanted}) as response:
        return response, await response.read()


async def test_a_recording_is_read_while_it_runs_and_afterwards(
    server: RunningServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with ApiClient(server) as api:
        recording = await api.start()
        identity, path = recording["id"], f"/v1/recordings/{recording['id']}/media"
        async with http.get(path) as response:
            assert (response.status, (await response.json())["code"]) == (409, "no_media")
        who = {"participant": "ada", "name": "Ada", "role": "AGENT"}
        async with joined(recording["entry_point"], *camera(Card((200, 40, 40)), 700), **who):
            await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 1)
            early = await api.media(identity)
            response, first = await part(http, path, "bytes=0-99")
            assert (response.status, first) == (206, early[:100])
            assert response.headers["Content-Range"].startswith("bytes 0-99/")
            await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 2)
            response, rest = await part(http, path, f"bytes={len(early)}-")
            assert response.status == 206
            await asyncio.to_thread((tmp_path / "early.mp4").write_bytes, early)
            await asyncio.to_thread((tmp_path / "later.mp4").write_bytes, early + rest)
        await api.stop(identity)
        over = await api.until(identity, "AVAILABLE", "FAILED")
        whole = await api.media(identity)

    for name in ("early.mp4", "later.mp4"):  # appended, never rewritten: a reader goes on where it stopped
        report = await asyncio.to_thread(check_file, tmp_path / name)
        assert report.ok, (name, report.problems)
    assert len(whole) == over["bytes"]
    known = len(early) + len(rest)  # finalising fills room that was kept for it, and moves nothing
    assert whole[known - 1000 : known] == rest[-1000:]
    for wanted, expected in (("bytes=100-199", whole[100:200]), ("bytes=-64", whole[-64:])):
        response, got = await part(http, path, wanted)
        assert (response.status, got) == (206, expected)
        assert response.headers["Content-Range"].endswith(f"/{len(whole)}")
    response, _ = await part(http, path, f"bytes={len(whole)}-")
    assert response.status == 416
    async with http.head(path) as response:
        assert (response.content_length, response.content_type) == (len(whole), "video/mp4")
    await links_need_no_key(over, whole)
    await the_check_agrees(server, identity)


async def links_need_no_key(recording: dict[str, Any], whole: bytes) -> None:
    """What a page is given to play the recording works by itself, and only as it was given."""
    media_link = URL(recording["links"]["media"])
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(media_link, headers={"Range": "bytes=0-9"}) as response:
            assert (response.status, await response.read()) == (206, whole[:10])
        async with stranger.get(recording["links"]["watch"]) as response:
            assert (response.status, response.content_type) == (200, "text/html")
        signature = media_link.query["signature"]
        forged = media_link.update_query(signature=signature[::-1])
        async with stranger.get(forged) as response:
            assert response.status in (401, 403)
        async with stranger.get(media_link.with_query(None)) as response:
            assert response.status == 401


async def the_check_agrees(server: RunningServer, recording: str) -> None:
    """`bystander check` takes the id of a recording, while the server runs."""

    config = server.data_dir / "bystander.toml"

    def check(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "recorder", "check", *arguments, "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    by_id = await asyncio.to_thread(check, recording, "--data-dir", str(server.data_dir))
    assert (by_id.returncode, by_id.stdout.splitlines()[0]) == (0, "whole"), by_id
    nowhere = server.data_dir / "nothing-here"
    for name, data_dir in (("rec_unknown", server.data_dir), (recording[:-1] + "0", nowhere)):
        unknown = await asyncio.to_thread(check, name, "--data-dir", str(data_dir))
        assert unknown.returncode == 1
        assert unknown.stderr == "bystander: not_found: There is no such file or recording.\n"
    assert not nowhere.exists()


async def test_what_operators_look_at(server: RunningServer, http: aiohttp.ClientSession) -> None:
    async with aiohttp.ClientSession(server.base_url) as nobody:
        for path in ("/healthz", "/readyz", "/docs", "/"):
            async with nobody.get(path) as response:
                assert response.status == 200, (path, await response.text())
        async with nobody.get("/openapi.json") as response:
            described = await response.json()
        async with nobody.get("/v1/conversations") as response:
            assert (response.status, (await response.json())["code"]) == (401, "unauthorized")
    validate(described)
    assert "/v1/conversations/{conversation}/recordings" in described["paths"]
    async with ApiClient(server) as api:
        tried = await api.call("POST", "/v1/storage/test")
        assert tried["ok"] and {"write", "read", "delete"} <= {step["name"] for step in tried["steps"]}
        before = (await metrics(http))[WAITING]
        recording = await api.start()
        figures = await metrics(http)
        assert figures[WAITING] == before + 1
        assert (
            figures["bystander_recording_start_seconds_sum"]
            < START_S_MAX * figures["bystander_recording_start_seconds_count"]
        )
        await api.stop(recording["id"])
        over = await api.until(recording["id"], "AVAILABLE", "FAILED")
    assert (over["state"], over["failure"], over["bytes"]) == ("FAILED", "no_media", 0)
    assert (await metrics(http))[WAITING] == before


async def metrics(http: aiohttp.ClientSession) -> dict[str, float]:
    """Every sample of /metrics by its name and labels."""
    async with http.get("/metrics") as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in samples}
