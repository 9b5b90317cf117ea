"""What a gateway held back until its recording was deleted is removed when it arrives."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.database import ConversationTable, Database, RecordingRow
from recorder.database.connection import sqlite_url
from recorder.database.deletions import LOOKS_AFTER, DeletionTable
from recorder.database.stores import StoreTable
from recorder.deletion.late_arrivals import LateArrivals
from recorder.kernel.clock import ManualClock
from recorder.stores.named_stores import NamedStores
from storage.keys import events_key
from storage.store import RECORDING_MARK, ObjectProperties
from storage.stores.memory import MemoryStore
from tests.recorder.test_named_stores import Place
from tests.support.archives import STORE, place_of

AHEAD = timedelta(minutes=5)  # of the clock by which deletions are written down


class World:
    """A store that answers late, and a clock that is set by hand."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = MemoryStore()
        self.clock = ManualClock(utc=datetime.now(UTC) + AHEAD)
        self.late = LateArrivals(
            DeletionTable(place.database), NamedStores([place_of(self.store)]), self.clock
        )

    async def arrives(self, row: RecordingRow, mark: str | None = None) -> None:
        """A PUT that was held back is carried out."""
        properties = ObjectProperties("video/mp4", ((RECORDING_MARK, mark or row.id),))
        await self.store.put(row.object_key, b"media", properties)
        await self.store.put(events_key(row.object_key), b"{}\n", properties)
        await self.store.uploads.begin(row.object_key, properties)

    async def looks_after(self, wait: timedelta) -> int:
        self.clock.advance(wait.total_seconds())
        return await self.late.look()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(sqlite_url(tmp_path / "bystander.db"))
    await database.open()
    yield World(Place(tmp_path, database))
    await database.close()


@pytest.mark.parametrize("how", ["expired", "conversation"])
async def test_what_arrives_after_the_deletion_is_removed(world: World, how: str) -> None:
    row, other = await world.place.row(STORE), await world.place.row(STORE)
    await world.arrives(other)
    if how == "expired":
        await world.place.table.expire(row.id)
    else:
        await ConversationTable(world.place.database).delete(row.conversation)
    assert await world.looks_after(timedelta(minutes=1)) == 0
    await world.arrives(row)
    assert await world.looks_after(LOOKS_AFTER[0]) == 1
    assert world.store.keys == sorted([other.object_key, events_key(other.object_key)])
    assert [upload.key async for upload in world.store.uploads.list_uploads()] == [other.object_key]
    await world.arrives(row)
    assert await world.looks_after(LOOKS_AFTER[1]) == 1
    for wait in LOOKS_AFTER[2:]:
        assert await world.looks_after(wait) == 0
    await world.arrives(row)
    assert await world.looks_after(timedelta(days=9)) == 0  # not looked for any more


async def test_somebody_elses_object_stays(world: World) -> None:
    row = await world.place.row(STORE)
    await world.place.table.expire(row.id)
    properties = ObjectProperties("video/mp4", ((RECORDING_MARK, "rec_other"),))
    await world.store.put(row.object_key, b"media", properties)
    assert await world.looks_after(LOOKS_AFTER[0]) == 0
    assert world.store.keys == [row.object_key]


async def test_a_store_that_does_not_answer_is_asked_again(world: World) -> None:
    row = await world.place.row(STORE)
    await world.place.table.expire(row.id)
    await world.arrives(row)
    world.store.faults.outage = "store_unreachable"
    assert await world.looks_after(LOOKS_AFTER[0]) == 0
    world.store.faults.outage = None
    assert await world.looks_after(LOOKS_AFTER[1]) == 1


async def test_what_was_moved_while_it_was_deleted_is_found_where_it_was_moved_to(world: World) -> None:
    """The deletion had looked where it lies before the move wrote down that it lies elsewhere."""
    row = await world.place.row("sto_before")
    await world.arrives(row)
    await StoreTable(world.place.database).move(row.id, "sto_before", STORE)
    await world.place.table.expire(row.id)
    assert await world.looks_after(LOOKS_AFTER[0]) == 1
    assert world.store.keys == []
