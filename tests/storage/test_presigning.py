"""A store's own link opens the object without credentials, says how the file is called, and ends."""

import aiohttp
import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.store import ObjectProperties
from storage.stores.memory import MemoryStore
from storage.stores.presigned_links import LinkTerms, presigned
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ServerProcess

NAMED = "attachment; filename=\"call.mp4\"; filename*=UTF-8''Gespr%C3%A4ch.mp4"


async def test_a_link_opens_the_object_and_names_the_file(moto_server: ServerProcess) -> None:
    store = open_store(s3_settings(moto_server.endpoint, prefix="links"))
    await store.put("conv/call.mp4", b"0123456789", ObjectProperties("video/mp4"))
    try:
        link = await presigned(store, "conv/call.mp4", LinkTerms(60, content_disposition=NAMED))
        head = await presigned(store, "conv/call.mp4", LinkTerms(60, "HEAD", NAMED))
    finally:
        await store.close()
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(link, headers={"Range": "bytes=2-4"}) as response:
            assert (response.status, await response.read()) == (206, b"234")
            assert response.headers["Content-Disposition"] == NAMED
            assert response.content_type == "video/mp4"
        async with stranger.head(head) as response:
            assert (response.status, response.content_length) == (200, 10)


async def test_a_link_is_of_one_key_and_one_time(rclone_server: ServerProcess) -> None:
    store = open_store(s3_settings(rclone_server.endpoint, prefix="links"))
    await store.put("a.mp4", b"a", ObjectProperties())
    await store.put("b.mp4", b"b", ObjectProperties())
    try:
        link = await presigned(store, "a.mp4", LinkTerms(30))
        assert "X-Amz-Expires=30" in link
        assert "X-Amz-Signature=" in link
    finally:
        await store.close()
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(link) as response:
            assert await response.read() == b"a"
        async with stranger.get(link.replace("a.mp4", "b.mp4")) as response:
            assert response.status == 403


async def test_a_store_without_links_says_so() -> None:
    with pytest.raises(BystanderError) as caught:
        await presigned(MemoryStore(), "a", LinkTerms(60))
    assert (caught.value.code, caught.value.status) == ("no_store_link", 409)
