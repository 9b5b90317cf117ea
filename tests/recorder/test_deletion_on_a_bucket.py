"""Deleting a conversation by its API on a real bucket with object lock: its objects go, and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.faults.calls import SMALL, begin
from tests.support.api_client import ApiClient
from tests.support.s3_servers import ACCESS_KEY_ID, SECRET_ACCESS_KEY, moto
from tests.support.server import running_server

BUCKET = "kept"
RECORDED_S = 2.0

pytestmark = pytest.mark.stores


class Bucket:
    """What somebody else's program sees of it."""

    def __init__(self, endpoint: str) -> None:
        session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1")
        self.s3: Any = session.client("s3", endpoint_url=endpoint)
        self.s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)

    def versions(self) -> set[str]:
        """The keys of all versions and of all marks of deletion, but for what nodes say of themselves."""
        found = self.s3.list_object_versions(Bucket=BUCKET)
        everything = found.get("Versions", []) + found.get("DeleteMarkers", [])
        return {one["Key"] for one in everything if "/nodes/" not in one["Key"]}

    def hold(self, key: str, *, on: bool) -> None:
        status = {"Status": "ON" if on else "OFF"}
        self.s3.put_object_legal_hold(Bucket=BUCKET, Key=key, LegalHold=status)


@contextmanager
def bucket_and_settings() -> Iterator[tuple[Bucket, dict[str, str]]]:
    with moto() as server:
        yield (
            Bucket(server.endpoint),
            SMALL
            | {
                "BYSTANDER_STORAGE__URL": f"s3://{BUCKET}/calls",
                "BYSTANDER_STORAGE__ENDPOINT": server.endpoint,
                "BYSTANDER_STORAGE__REGION": "us-east-1",
                "BYSTANDER_STORAGE__ACCESS_KEY_ID": ACCESS_KEY_ID,
                "BYSTANDER_STORAGE__SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
                "BYSTANDER_STORAGE__TAIL_INTERVAL_S": "0.5",
            },
        )


async def recorded(api: ApiClient) -> str:
    """The conversation of a call that was recorded and stored."""
    async with AsyncExitStack() as stack:
        call = await begin(api, stack)
        await asyncio.sleep(RECORDED_S)
        await api.stop(call.recording)
    over = await api.until(call.recording, "AVAILABLE", "FAILED")
    assert over["state"] == "AVAILABLE"
    return str(over["conversation"])


async def test_its_objects_go_with_every_version_unless_one_is_held(tmp_path: Path) -> None:
    with bucket_and_settings() as (bucket, settings):
        with running_server(tmp_path / "data", settings=settings) as server:
            async with ApiClient(server) as api:
                first, second = await recorded(api), await recorded(api)
                bucket.s3.put_object(Bucket=BUCKET, Key=f"calls/{first}/note.txt", Body=b"not ours")
                before = bucket.versions()
                of_first = {key for key in before if key.startswith(f"calls/{first}/")}
                of_second = {key for key in before if key.startswith(f"calls/{second}/")}
                assert (len(of_first), len(of_second)) == (3, 2)

                (media,) = (key for key in of_first if key.endswith(".mp4"))
                bucket.hold(media, on=True)
                refused = await api.call("DELETE", f"/v1/conversations/{first}", status=409)
                assert refused["code"] == "object_locked"
                assert bucket.versions() == before
                await api.call("GET", f"/v1/conversations/{first}")

                bucket.hold(media, on=False)
                await api.call("DELETE", f"/v1/conversations/{first}", status=204)
                await api.call("GET", f"/v1/conversations/{first}", status=404)
                assert before - bucket.versions() >= of_first - {f"calls/{first}/note.txt"}
                assert {key for key in bucket.versions() if key.startswith("calls/conv")} == {
                    f"calls/{first}/note.txt",
                    *of_second,
                }
                await api.call("DELETE", f"/v1/conversations/{second}", status=204)
        assert bucket.versions() == {f"calls/{first}/note.txt"}
