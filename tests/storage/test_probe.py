"""The storage test finds out what a store can do, and says clearly what is wrong with it."""

from pathlib import Path

import pytest

from storage import probe
from storage.memory import Faults, MemoryStore
from storage.objects import ObjectStore, open_store
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ServerProcess, free_port

ALL = ["existence", "write", "read", "range", "multipart", "delete"]


async def test_a_working_store_passes_and_nothing_is_left_in_it(
    any_store: ObjectStore, request: pytest.FixtureRequest
) -> None:
    result = await probe.test_store(any_store)
    assert result.ok, result.steps
    assert [step.name for step in result.steps] == ALL
    assert all(step.seconds >= 0 for step in result.steps)
    once = request.node.callspec.params["any_store"] in ("rclone", "memory-once")
    assert result.replaces_parts is not once
    assert [info.key async for info in any_store.list_objects()] == []
    assert [upload.key async for upload in any_store.uploads.list_uploads()] == []


async def test_the_first_failure_ends_the_test() -> None:
    result = await probe.test_store(MemoryStore(faults=Faults(outage="store_denied")))
    assert not result.ok
    assert [(step.name, step.ok) for step in result.steps] == [("existence", False)]
    assert (result.steps[0].detail or "").startswith("store_denied")


async def test_a_server_that_is_not_there() -> None:
    store = open_store(s3_settings(f"http://127.0.0.1:{free_port()}"))
    result = await probe.test_store(store)
    await store.close()
    assert not result.ok
    assert (result.steps[0].detail or "").startswith("store_unreachable")


async def test_a_bucket_that_is_not_there(rclone_server: ServerProcess) -> None:
    settings = s3_settings(rclone_server.endpoint, url="s3://no-such-bucket")
    store = open_store(settings)
    result = await probe.test_store(store)
    await store.close()
    assert (result.steps[0].detail or "").startswith("bucket_missing")


async def test_a_wrong_key_is_denied(rclone_server: ServerProcess) -> None:
    store = open_store(s3_settings(rclone_server.endpoint, secret_access_key="wrong-and-long-enough"))
    result = await probe.test_store(store)
    await store.close()
    assert (result.steps[0].detail or "").startswith("store_denied")


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store(s3_settings("", url="file/objects"), data_dir=tmp_path)
    result = await probe.test_store(store)
    assert not result.ok
    assert [step.name for step in result.steps] == ["existence"]
