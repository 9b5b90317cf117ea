"""Recordings that go to real S3 servers over HTTP while people talk, and stores that cannot be used."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import numpy as np
import pytest
from PIL import Image

from media.check.file import check_file
from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.storage.stores import make_bucket
from tests.support.api_client import ApiClient
from tests.support.participants import camera, joined
from tests.support.ports import free_port
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, moto, rclone
from tests.support.swift_server import SWIFT_ACCESS_KEY_ID, swift

PREFIX = "calls"
# Noise, hardly compressed: several parts in a few seconds.
HEAVY = {
    "BYSTANDER_RECORDING__VIDEO_CRF": "1",
    "BYSTANDER_RECORDING__VIDEO_BITRATE_MAX": "60000000",
}


@dataclass
class Noise:
    """A Scene that nobody can compress."""

    width: int = 640
    height: int = 360

    def __post_init__(self) -> None:
        self._chance = np.random.default_rng(5)

    def picture(self, at_s: float) -> Image.Image:
        return Image.fromarray(self._chance.integers(0, 256, (self.height, self.width, 3), np.uint8))


def s3_settings(endpoint: str, access_key_id: str = ACCESS_KEY_ID) -> dict[str, str]:
    return SHORT_FRAGMENTS | {
        "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/{PREFIX}",
        "BYSTANDER_STORAGE__ENDPOINT": endpoint,
        "BYSTANDER_STORAGE__REGION": "us-east-1",
        "BYSTANDER_STORAGE__ACCESS_KEY_ID": access_key_id,
        "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }


class Bucket:
    """The store as somebody else's program sees it."""

    def __init__(self, endpoint: str, access_key_id: str) -> None:
        session = boto3.Session(access_key_id, SECRET_ACCESS_KEY, region_name="us-east-1")
        self._s3 = session.client("s3", endpoint_url=endpoint)

    def parts(self) -> int:
        """How many parts of unfinished uploads there are."""
        try:
            uploads = self._s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        except self._s3.exceptions.NoSuchUpload:  # how rclone says that there is none
            return 0
        return sum(
            len(self._s3.list_parts(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"]).get("Parts", []))
            for one in uploads
        )

    def read(self, key: str) -> tuple[bytes, str]:
        """An object's bytes and content type."""
        answer = self._s3.get_object(Bucket=BUCKET, Key=key)
        return answer["Body"].read(), answer["ContentType"]

    def listed(self, prefix: str) -> list[str]:
        """The keys of all objects below a prefix."""
        answer = self._s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for one in answer.get("Contents", [])]


@contextmanager
def s3_server(name: str, directory: Path) -> Iterator[tuple[str, str]]:
    """The endpoint of a store with the bucket in it, and whose it is."""
    if name == "rclone":
        with rclone(directory / "objects") as server:
            yield server.endpoint, ACCESS_KEY_ID
        return
    with moto() if name == "moto" else swift(directory / "swift") as server:
        access_key_id = ACCESS_KEY_ID if name == "moto" else SWIFT_ACCESS_KEY_ID
        make_bucket(server.endpoint, access_key_id)
        yield server.endpoint, access_key_id


SLOWER = [pytest.param(name, marks=pytest.mark.stores) for name in ("moto", "swift")]


@pytest.mark.parametrize("name", ["rclone", *SLOWER])
async def test_a_recording_is_shipped_while_it_runs(name: str, tmp_path: Path) -> None:
    with (
        s3_server(name, tmp_path) as reached,
        serving(tmp_path / "data", s3_settings(*reached) | HEAVY) as server,
    ):
        bucket = Bucket(*reached)
        async with ApiClient(server) as api:
            recording = await api.start()
            tracks = camera(Noise(), 700)
            async with joined(recording["entry_point"], *tracks, participant="ada", name="Ada"):
                await until_parts(api, bucket, recording["id"])
            await api.stop(recording["id"])
            over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", None)
            served = await api.media(recording["id"])
        sidecar, key = await asyncio.to_thread(bucket.listed, f"{PREFIX}/{recording['conversation']}/")
        assert key.endswith(f"{recording['id']}.mp4")
        assert sidecar == key.replace(".mp4", ".events.jsonl")
        stored, content_type = await asyncio.to_thread(bucket.read, key)
        assert stored == served
        assert content_type == "video/mp4"
        assert len(stored) == over["bytes"] > PART_SIZE_BYTES_MIN
        assert bucket.parts() == 0  # nothing is left that somebody pays for
    file = tmp_path / "stored.mp4"
    await asyncio.to_thread(file.write_bytes, stored)
    report = await asyncio.to_thread(check_file, file)
    assert report.ok, report.problems
    assert report.duration_s == pytest.approx(over["duration_s"], abs=0.05)


async def until_parts(api: ApiClient, bucket: Bucket, recording: str) -> None:
    """Wait until a part is in the store while the recording runs."""
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(bucket.parts):
            assert (await api.recording(recording))["state"] in ("READY", "RECORDING")
            await asyncio.sleep(0.2)


async def refused_start(api: ApiClient, server_url: str, key: dict[str, str]) -> dict[str, Any]:
    """The problem that a start is answered with, once the recording it made is FAILED."""
    conversation = await api.conversation()
    async with (
        aiohttp.ClientSession(server_url, headers=key) as http,
        http.post(f"/v1/conversations/{conversation}/recordings") as response,
    ):
        problem: dict[str, Any] = await response.json()
        assert response.content_type == "application/problem+json"
    (recording,) = (await api.call("GET", f"/v1/conversations/{conversation}/recordings"))["items"]
    assert (recording["state"], recording["end_reason"]) == ("FAILED", "ABORT_BLOBSTORE_FAILURE")
    assert recording["failure"] == problem["code"]
    return problem


async def test_a_start_is_refused_while_the_store_cannot_be_used(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path / "data", s3_settings(f"http://127.0.0.1:{port}")) as server:
        async with ApiClient(server) as api:
            problem = await refused_start(api, server.base_url, server.headers)
            assert (problem["status"], problem["code"], problem["fault"]) == (
                503,
                "store_unreachable",
                "destination",
            )
            async with aiohttp.ClientSession(server.base_url) as http, http.get("/readyz") as response:
                assert response.status == 503
                assert (await response.json())["dependencies"]["store"] is False
        assert server.workers() == []


async def test_a_bucket_that_is_missing_is_said_by_name(tmp_path: Path) -> None:
    with moto() as store, serving(tmp_path / "data", s3_settings(store.endpoint)) as server:
        async with ApiClient(server) as api:
            problem = await refused_start(api, server.base_url, server.headers)
            assert (problem["status"], problem["code"]) == (503, "bucket_missing")
            await asyncio.to_thread(make_bucket, store.endpoint)
            recording = await api.start()  # no restart is needed
            await api.stop(recording["id"])
