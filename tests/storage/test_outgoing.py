"""A body may take any time as long as anything gets on; a link that stands still is given up."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import KIB
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectProperties, ObjectStore
from storage.upload.slots import LONG_S, UploadSlots
from tests.storage.stores import s3_settings
from tests.support.azurite import azure_settings
from tests.support.s3_servers import ServerProcess
from tests.support.simulated_time import simulate
from tests.support.slow_link import slow_link

QUIET_S = 1.5
BODY_S = 4.0  # so that it takes far longer than nothing may happen
DATA = os.urandom(256 * KIB)  # so that the link's own buffers are little of it


@asynccontextmanager
async def over(
    server: ServerProcess, bytes_per_s: float, settings: Callable[[str], StorageSettings] = s3_settings
) -> AsyncIterator[ObjectStore]:
    """The server's bucket behind a link that bears so much."""
    async with slow_link(urlsplit(server.endpoint).port or 0, bytes_per_s) as link:
        store = open_store(msgspec.structs.replace(settings(link.endpoint), read_timeout_s=QUIET_S))
        try:
            yield store
        finally:
            await store.close()


async def test_a_body_takes_as_long_as_the_link_needs(moto_server: ServerProcess) -> None:
    """Though the kernel takes all of it at once, and nothing more is read of it."""
    async with over(moto_server, len(DATA) / BODY_S) as store:
        began_s = asyncio.get_running_loop().time()
        assert (await store.put("slow", DATA, ObjectProperties())).size == len(DATA)
        assert asyncio.get_running_loop().time() - began_s > 2 * QUIET_S


async def test_a_link_on_which_nothing_moves_is_given_up(moto_server: ServerProcess) -> None:
    async with over(moto_server, 1) as store:
        with pytest.raises(BystanderError, match="store_unreachable"):
            async with asyncio.timeout(60):
                await store.put("dead", DATA, ObjectProperties())


@pytest.mark.stores
async def test_a_block_of_azure_takes_as_long_as_the_link_needs(azure_server: ServerProcess) -> None:
    async with over(azure_server, len(DATA) / BODY_S, azure_settings) as store:
        upload = await store.uploads.begin("slow", ObjectProperties())
        began_s = asyncio.get_running_loop().time()
        part = await store.uploads.put_part(upload, 1, 0, DATA)
        assert asyncio.get_running_loop().time() - began_s > 2 * QUIET_S
        assert (await store.uploads.complete(upload, [part])).size == len(DATA)


@pytest.mark.stores
async def test_an_azure_that_stands_still_is_given_up(azure_server: ServerProcess) -> None:
    async with over(azure_server, 1, azure_settings) as store:
        with pytest.raises(BystanderError, match="store_unreachable"):
            async with asyncio.timeout(60):
                await store.put("dead", DATA, ObjectProperties())


def test_bodies_that_take_long_make_room_for_each_other() -> None:
    """In simulated time: eight share a link on which one alone takes ten seconds."""
    slots, limits = UploadSlots(8), list[int]()

    async def main() -> None:
        travelling = 0

        async def send() -> None:
            nonlocal travelling
            async with slots.taken(1, 1):
                travelling += 1
                await asyncio.sleep(10 * travelling)
                travelling -= 1
            limits.append(slots.limit)

        await asyncio.gather(*(send() for _ in range(40)))

    simulate(main())
    assert min(limits) < 8
    assert 10 * limits[-1] <= 2 * LONG_S  # and stays where each takes about as long as is bearable
    assert slots.sent_bytes == 40
