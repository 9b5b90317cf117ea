"""Deleting a conversation removes what was stored of its recordings, no more; a lock refuses all of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from signaling.ports import Caller
from storage.store import ObjectProperties
from storage.stores.memory import MemoryStore
from storage.stores.object_lock import Hold
from storage.takeover.journal_format import side_prefix
from tests.recorder.node import Node, open_node


class LockingStore(MemoryStore):
    """A store in which one object can be held."""

    def __init__(self) -> None:
        super().__init__()
        self.holds: dict[str, Hold] = {}

    async def hold_of(self, key: str) -> Hold:
        return self.holds.get(key, Hold())


@pytest.fixture
def store() -> LockingStore:
    return LockingStore()


@pytest.fixture
async def node(tmp_path: Path, store: LockingStore) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await open_node(tmp_path, stack, store)


async def keys(store: MemoryStore) -> set[str]:
    return {info.key async for info in store.list_objects()}


async def test_everything_of_it_goes_and_nothing_else(node: Node, store: LockingStore) -> None:
    started = await node.start()
    await node.publish(started)
    await node.recordings.stop(started.id, stopped_by=Caller())
    await node.until(started.id, "AVAILABLE")
    key = (await node.table.get(started.id)).object_key
    plain = ObjectProperties()
    await store.put(side_prefix(started.id) + "tail-0-1", b"left by a crash", plain)
    await store.uploads.begin(key, plain)
    neighbours = {
        key + ".copy",
        f"{started.conversation}/mine.txt",
        side_prefix(started.id + "x") + "tail-0-1",
    }
    for neighbour in neighbours:
        await store.put(neighbour, b"", plain)
    other = await store.uploads.begin(key + ".copy", plain)
    assert await keys(store) > neighbours

    await node.conversations.delete(started.conversation)
    assert {found for found in await keys(store) if "/nodes/" not in found} == neighbours
    assert [upload.id async for upload in store.uploads.list_uploads()] == [other.id]


async def test_one_that_is_locked_keeps_all(node: Node, store: LockingStore) -> None:
    first = await node.start()
    await node.publish(first)
    await node.recordings.stop(first.id, stopped_by=Caller())
    await node.until(first.id, "AVAILABLE")
    key = (await node.table.get(first.id)).object_key
    store.holds[key] = Hold(until=datetime(2126, 1, 2, 3, 4, 5, tzinfo=UTC))
    before = await keys(store)
    with pytest.raises(BystanderError) as caught:
        await node.conversations.delete(first.conversation)
    assert (caught.value.code, caught.value.status) == ("object_locked", 409)
    assert "2126-01-02T03:04:05Z" in caught.value.detail
    assert await keys(store) == before
    assert (await node.conversations.get(first.conversation)).ended_at is None
    store.holds.clear()
    await node.conversations.delete(first.conversation)
    with pytest.raises(BystanderError, match="not_found"):
        await node.recordings.get(first.id)
