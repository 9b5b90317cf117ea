"""A service account lets us into Google Cloud Storage: tokens, their renewal, and what refuses them."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectProperties
from storage.stores.presigned_links import LinkTerms, presigned
from tests.storage.conftest import refusal_of
from tests.storage.stores import google_settings
from tests.support.google_door import GoogleDoor, google_door
from tests.support.ports import free_port
from tests.support.s3_servers import ServerProcess

PROPERTIES = ObjectProperties("video/mp4", (("bystander-recording", "rec_1"),))


@pytest.fixture
async def door(moto_server: ServerProcess) -> AsyncIterator[GoogleDoor]:
    async with google_door(moto_server.endpoint) as running:
        yield running


@pytest.fixture
def settings(door: GoogleDoor, tmp_path: Path) -> StorageSettings:
    return google_settings(door, tmp_path)


async def test_one_token_serves_until_it_ends(door: GoogleDoor, settings: StorageSettings) -> None:
    store = open_store(settings)
    await store.check()
    await store.put("call.mp4", b"0123456789", PROPERTIES)
    assert (await store.head("call.mp4")).metadata == PROPERTIES.metadata
    await store.close()
    assert (len(door.tokens), door.refused) == (1, 0)


async def test_an_upload_goes_on_when_its_token_ends(door: GoogleDoor, settings: StorageSettings) -> None:
    """Google's last an hour; these end before the client expects it to, and are renewed in mid-upload."""
    door.token_s = 1.0
    store = open_store(settings)
    upload = await store.uploads.begin("call.mp4", PROPERTIES)
    first = await store.uploads.put_part(upload, 1, 0, bytes(PART_SIZE_BYTES_MIN))
    for token in door.tokens:
        door.tokens[token] = 0.0
    last = await store.uploads.put_part(upload, 2, PART_SIZE_BYTES_MIN, b"last")
    await store.uploads.complete(upload, [first, last])
    assert (await store.head("call.mp4")).size == PART_SIZE_BYTES_MIN + 4
    await store.close()
    assert len(door.tokens) > 1
    assert door.refused == 0


async def test_who_is_not_let_in_is_told(door: GoogleDoor, settings: StorageSettings, tmp_path: Path) -> None:
    stranger = GoogleDoor(door.behind, endpoint=door.endpoint).write_key(tmp_path / "stranger.json")
    changed = msgspec.structs.replace
    assert await refusal_of(changed(settings, service_account_file=str(stranger))) == "store_denied"
    silent = GoogleDoor(door.behind, key=door.key, endpoint=f"http://127.0.0.1:{free_port()}")
    away = silent.write_key(tmp_path / "away.json")
    assert await refusal_of(changed(settings, service_account_file=str(away))) == "store_unreachable"


async def test_a_service_account_gives_no_links(settings: StorageSettings) -> None:
    store = open_store(settings)
    with pytest.raises(BystanderError, match="no_store_link"):
        await presigned(store, "call.mp4", LinkTerms(60))
    await store.close()


def test_settings_that_name_no_account_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    for wrong in (
        {"service_account_file": str(tmp_path / "none.json")},
        {"service_account_file": str(tmp_path / "wrong.json")},
        {"service_account_file": str(tmp_path / "wrong.json"), "access_key_id": "GOOG1"},
    ):
        with pytest.raises(BystanderError, match="storage_settings_invalid"):
            open_store(msgspec.structs.replace(StorageSettings(url="gs://bucket"), **wrong))
