"""What the stores beside S3 do besides the contract: who is let in, lost connections, settings."""

from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectProperties
from tests.storage.conftest import refusal_of
from tests.support.ports import free_port
from tests.support.sftp_server import sftp_server


async def test_sftp_lets_only_each_other_in(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as settings:
        stranger = tmp_path / "stranger"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
        elsewhere = tmp_path / "nobody_known"
        elsewhere.touch()
        changed = msgspec.structs.replace
        assert await refusal_of(changed(settings, private_key_file=str(stranger))) == "store_denied"
        assert await refusal_of(changed(settings, known_hosts_file=str(elsewhere))) == "store_denied"
        gone = f"sftp://bystander@127.0.0.1:{free_port()}/objects"
        assert await refusal_of(changed(settings, url=gone)) == "store_unreachable"


async def test_sftp_goes_on_after_the_connection_was_lost(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as settings:
        store = open_store(settings)
        await store.put("a", b"0123456789", ObjectProperties())
        await store.close()  # as far as the store is concerned the same as a connection that broke
        assert (await store.head("a")).size == 10
        reading = store.read("a", 0, 10)
        assert await anext(reading) == b"0123456789"
        await reading.aclose()  # type: ignore[attr-defined]
        await store.close()


async def test_a_file_that_somebody_put_there_is_an_object(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as settings:
        store = open_store(settings)
        await store.check()
        (tmp_path / "remote" / "objects" / "by-hand.mp4").write_bytes(b"123")
        assert [(info.key, info.size) async for info in store.list_objects()] == [("by-hand.mp4", 3)]
        await store.close()


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "azure://", "gs:///prefix", "sftp:///path"])
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(BystanderError, match="storage_url_invalid"):
        open_store(StorageSettings(url=url))


def test_settings_that_a_store_cannot_keep_are_refused() -> None:
    for settings in (
        StorageSettings(url="gs://bucket", tags={"a": "b"}),
        StorageSettings(url="gs://bucket", legal_hold=True),
        StorageSettings(url="azure://container"),
    ):
        with pytest.raises(BystanderError, match="storage_settings_invalid"):
            open_store(settings)


def test_no_secret_is_shown() -> None:
    settings = StorageSettings(password="hunter2-hunter2", secret_access_key="very", session_token="secret")
    assert not any(word in repr(settings) for word in ("hunter2", "very", "secret'"))


@pytest.mark.parametrize(
    "url", ["objects", "file:///objects", "sftp://server/objects", "azure://box", "memory:"]
)
@pytest.mark.parametrize(
    "promise",
    [
        {"legal_hold": True},
        {"object_lock_mode": "GOVERNANCE", "object_lock_days": 1},
        {"encryption": "AES256"},
        {"kms_key_id": "key"},
    ],
)
def test_a_store_that_cannot_keep_a_promise_is_not_opened(url: str, promise: dict[str, Any]) -> None:
    with pytest.raises(BystanderError) as caught:
        open_store(StorageSettings(url=url, access_key_id="a", secret_access_key="b", **promise))
    assert caught.value.code == "storage_settings_invalid"
    assert all(f"storage.{name}" in caught.value.detail for name in promise)
