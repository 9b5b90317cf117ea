"""Locked objects are refused with their date; versions do not outlive a deletion."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import boto3
import msgspec
import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectProperties
from storage.stores import probe
from storage.stores.memory import MemoryStore
from storage.stores.object_lock import Hold, check_deletable
from storage.stores.s3.store import S3Store
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ACCESS_KEY_ID, SECRET_ACCESS_KEY, ServerProcess

NOW = datetime.now(UTC)


@pytest.fixture
async def locking(moto_server: ServerProcess) -> AsyncIterator[tuple[str, StorageSettings]]:
    """A bucket of its own with object lock, and so with versions."""
    bucket = f"locked-{uuid.uuid4().hex}"
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1")
    session.client("s3", endpoint_url=moto_server.endpoint).create_bucket(
        Bucket=bucket, ObjectLockEnabledForBucket=True
    )
    yield bucket, s3_settings(moto_server.endpoint, url=f"s3://{bucket}")


def versions(endpoint: str, bucket: str) -> int:
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1")
    found = session.client("s3", endpoint_url=endpoint).list_object_versions(Bucket=bucket)
    return len(found.get("Versions", ())) + len(found.get("DeleteMarkers", ()))


async def stored(settings: StorageSettings, **lock: object) -> S3Store:
    store = open_store(msgspec.structs.replace(settings, **lock))
    assert isinstance(store, S3Store)
    await store.put("conv/call.mp4", b"media", ObjectProperties())
    return store


async def test_a_lock_refuses_with_its_date(locking: tuple[str, StorageSettings]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    store = await stored(locking[1], object_lock_mode="GOVERNANCE", object_lock_days=30)
    try:
        hold = await store.hold_of("conv/call.mp4")
        assert hold.until is not None
        assert before <= hold.until - timedelta(days=30) <= datetime.now(UTC)
        with pytest.raises(BystanderError) as caught:
            await check_deletable(store, ["conv/none.mp4", "conv/call.mp4"], NOW)
        assert (caught.value.code, caught.value.status) == ("object_locked", 409)
        assert f"locked until {hold.until:%Y-%m-%dT%H:%M:%SZ}" in caught.value.detail
        await check_deletable(store, ["conv/call.mp4"], NOW + timedelta(days=31))
        await check_deletable(store, ["conv/none.mp4"], NOW)
    finally:
        await store.close()


async def test_a_legal_hold_refuses_at_any_time(locking: tuple[str, StorageSettings]) -> None:
    store = await stored(locking[1], legal_hold=True)
    try:
        with pytest.raises(BystanderError, match="legal hold"):
            await check_deletable(store, ["conv/call.mp4"], NOW + timedelta(days=36_500))
    finally:
        await store.close()


@pytest.mark.parametrize(
    "lock", [{"object_lock_mode": "COMPLIANCE", "object_lock_days": 30}, {"legal_hold": True}]
)
async def test_the_storage_test_leaves_nothing_locked(
    moto_server: ServerProcess, locking: tuple[str, StorageSettings], lock: dict[str, object]
) -> None:
    bucket, settings = locking
    store = open_store(msgspec.structs.replace(settings, storage_class="GLACIER", **lock))
    result = await probe.test_store(store)
    await store.close()
    assert result.ok, result.steps
    assert versions(moto_server.endpoint, bucket) == 0


async def test_a_bucket_that_keeps_no_locks_is_refused(moto_server: ServerProcess) -> None:
    store = open_store(s3_settings(moto_server.endpoint, legal_hold=True))
    result = await probe.test_store(store)
    await store.close()
    (refused,) = [step for step in result.steps if not step.ok]
    assert (refused.name, (refused.detail or "").partition(":")[0]) == ("existence", "store_failed")


async def test_every_version_is_deleted_and_no_neighbour(
    moto_server: ServerProcess, locking: tuple[str, StorageSettings]
) -> None:
    bucket, settings = locking
    store = await stored(settings)
    try:
        await store.put("conv/call.mp4", b"media again", ObjectProperties())
        await store.put("conv/call.mp4.other", b"a neighbour", ObjectProperties())
        await store.delete("conv/call.mp4")
        await store.delete("conv/call.mp4")
        assert versions(moto_server.endpoint, bucket) == 1
        assert (await store.head("conv/call.mp4.other")).size == 11
    finally:
        await store.close()


async def test_stores_without_locks_refuse_nothing() -> None:
    await check_deletable(MemoryStore(), ["a"], NOW)
    assert not Hold().keeps(NOW)
    assert not Hold(until=NOW).keeps(NOW)
