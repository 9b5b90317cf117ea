"""`bystander storage move`: nothing is lost by it, whenever it is killed, and nothing locked is moved."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.cli import main
from recorder.database import Database, RecordingRow
from recorder.database.connection import sqlite_url
from recorder.database.stores import StoreTable
from recorder.deletion.deletion import delete_recording
from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import MIB
from recorder.kernel.recording import RecordingState
from recorder.settings.definitions import ServerSettings
from recorder.storage_move import MoveReport, StorageMove
from recorder.stores.named_stores import NamedStore, NamedStores
from storage.keys import events_key
from storage.settings import StorageSettings
from storage.store import RECORDING_MARK, ObjectInfo, ObjectProperties
from storage.stores.memory import MemoryStore
from storage.stores.object_lock import Hold
from tests.recorder.test_deletion import LockingStore
from tests.recorder.test_named_stores import INIT, MEDIA, Place, stores
from tests.storage.stores import make_bucket, s3_settings
from tests.support.s3_servers import moto

WHOLE = INIT + MEDIA
ENOUGH = 10**9


class Killed(BaseException):
    """What kill -9 is to a task."""


class MortalStore(LockingStore):
    """Kills who asks it once so many requests are used up: before the effect, or right after."""

    def __init__(self) -> None:
        super().__init__()
        self.left = ENOUGH

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        self._spend()
        stored = await super().put(key, data, properties)
        self._spend()
        return stored

    async def head(self, key: str) -> ObjectInfo:
        self._spend()
        return await super().head(key)

    async def delete(self, key: str) -> None:
        self._spend()
        await super().delete(key)
        self._spend()

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class World:
    """Two stores, and recordings in the first."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.old, self.new = MortalStore(), MortalStore()
        self.rows: list[RecordingRow] = []

    def stores(self) -> NamedStores:
        settings = StorageSettings()
        places = {"old": self.old, "new": self.new}
        return NamedStores(
            [NamedStore(f"sto_{name}", name, settings, store) for name, store in places.items()]
        )

    async def recorded(self) -> RecordingRow:
        row = await self.place.row("sto_old")
        mark = ((RECORDING_MARK, row.id),)
        await self.old.put(row.object_key, WHOLE, ObjectProperties("video/mp4", mark))
        lines = ObjectProperties("application/jsonl", mark)
        await self.old.put(events_key(row.object_key), b"{}\n", lines)
        self.rows.append(row)
        return row

    def move(self, target: str = "new") -> StorageMove:
        database = self.place.database
        return StorageMove(
            self.stores(),
            self.place.table,
            StoreTable(database),
            self.place.root / "spool",
            SystemClock(),
            target=target,
        )

    async def moved(self, target: str = "new", **how: Any) -> list[MoveReport]:
        return [report async for report in self.move(target).run(**how)]

    async def check_readable(self) -> None:
        """Every recording is whole where the database says that it is."""
        for row in self.rows:
            now = await self.place.table.get(row.id)
            assert await self.place.media(self.stores(), now) == WHOLE

    def keys(self, store: MemoryStore) -> list[str]:
        return sorted(key for key in store.keys if not key.startswith("_bystander/"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(sqlite_url(tmp_path / "bystander.db"))
    await database.open()
    yield World(Place(tmp_path, database))
    await database.close()


async def test_what_is_moved_is_whole_there_and_gone_here(world: World) -> None:
    for _ in range(3):
        await world.recorded()
    before = world.keys(world.old)
    dry = await world.moved(dry_run=True)
    assert [report.kept for report in dry] == [None] * 3
    assert world.keys(world.old) == before
    assert [report.kept for report in await world.moved()] == [None] * 3
    assert (world.keys(world.old), world.keys(world.new)) == ([], before)
    await world.check_readable()
    assert await world.moved() == []
    row = await world.place.table.get(world.rows[0].id)
    assert (row.store, row.moved_from) == ("sto_new", None)
    assert [report.kept for report in await world.moved("old")] == [None] * 3
    await world.check_readable()


@pytest.mark.parametrize("mortal", ["old", "new"])
async def test_a_move_that_is_killed_anywhere_is_finished_by_the_next(world: World, mortal: str) -> None:
    for _ in range(2):
        await world.recorded()
    dying: MortalStore = getattr(world, mortal)
    kills = 0
    for requests in range(200):
        dying.left = requests % 25
        try:
            await world.moved()
        except Killed:
            kills += 1
        else:
            break
        finally:
            dying.left = ENOUGH
        await world.check_readable()
    assert kills > 5
    await world.moved()
    assert world.keys(world.old) == []
    assert len(world.keys(world.new)) == 4
    await world.check_readable()


async def test_what_is_locked_or_held_stays(world: World) -> None:
    row, other = await world.recorded(), await world.recorded()
    world.old.holds[row.object_key] = Hold(legal_hold=True)
    kept = {report.row.id: report.kept for report in await world.moved()}
    assert kept[other.id] is None
    assert (kept[row.id] or "").startswith("object_locked: ")
    assert (await world.place.table.get(row.id)).store == "sto_old"
    assert row.object_key in world.old.keys
    assert row.object_key not in world.new.keys


async def test_what_is_not_stored_yet_stays_and_names_choose(world: World) -> None:
    waits, row = await world.recorded(), await world.recorded()
    world.place.spool(waits)
    assert await world.moved(source="new") == []
    (one,) = await world.moved(recordings=[waits.id])
    assert one.kept == "not_stored_yet"
    (one,) = await world.moved(source="old", recordings=[row.id])
    assert one.kept is None


async def test_a_copy_that_was_spoilt_since_keeps_its_original(world: World) -> None:
    row = await world.recorded()
    await StoreTable(world.place.database).move(row.id, "sto_old", "sto_new")
    await world.new.put(row.object_key, b"less", ObjectProperties())
    (report,) = await world.moved()
    assert (report.kept or "").startswith("object_corrupted: ")
    assert row.object_key in world.old.keys


async def test_a_recording_that_is_deleted_in_mid_move_is_gone_from_both(world: World) -> None:
    row = await world.recorded()
    await StoreTable(world.place.database).move(row.id, "sto_old", "sto_new")
    await world.new.put(row.object_key, WHOLE, ObjectProperties())
    async with world.place.served(stores("first")) as archive:
        object.__setattr__(archive, "stores", world.stores())
        await delete_recording(archive, await world.place.table.get(row.id))
    assert (world.keys(world.old), world.keys(world.new)) == ([], [])


@pytest.mark.parametrize("meanwhile", ["moved elsewhere", "deleted"])
async def test_a_copy_that_somebody_was_faster_than_is_not_left_behind(world: World, meanwhile: str) -> None:
    row = await world.recorded()

    class Faster(StoreTable):
        async def move(self, recording: str, source: str, target: str) -> bool:
            if meanwhile == "deleted":
                await world.place.table.delete(recording)
            else:
                await super().move(recording, source, "sto_third")
            return await super().move(recording, source, target)

    own, spool = world.place, world.place.root / "spool"
    places = Faster(own.database)
    move = StorageMove(world.stores(), own.table, places, spool, SystemClock(), target="new")
    assert [report.row.id async for report in move.run()] == [row.id]
    assert world.keys(world.new) == []
    assert row.object_key in world.old.keys


async def test_a_recording_without_media_needs_no_store(world: World) -> None:
    row = await world.place.row("sto_gone")
    failed = msgspec.structs.replace(row, state=RecordingState.FAILED, started_at=None)
    await world.place.table.save(failed)
    lost = await world.place.row("sto_gone")
    kept = {report.row.id: report.kept for report in await world.moved()}
    assert kept[row.id] is None
    assert (kept[lost.id] or "").startswith("store_not_configured: ")


def test_the_command_moves_between_directories_and_says_what_it_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare() -> RecordingRow:
        database = Database(sqlite_url(tmp_path / "bystander.db"))
        await database.open()
        place = Place(tmp_path, database)
        settings = msgspec.structs.replace(
            stores("first", second="second"), server=ServerSettings(data_dir=str(tmp_path))
        )
        async with place.served(settings) as archive:
            row = await place.recorded(archive)
        await database.close()
        return row

    row = asyncio.run(prepare())
    file = tmp_path / "bystander.toml"
    file.write_text('[storage]\nurl = "first"\n[stores.second]\nurl = "second"\n')
    arguments = ["--config", str(file), "--data-dir", str(tmp_path)]
    assert main(["storage", "move", "second", *arguments]) == 0
    assert f"{row.id}  default -> second  moved" in capsys.readouterr().out
    assert (tmp_path / "second" / row.object_key).read_bytes() == WHOLE
    assert not (tmp_path / "first" / row.object_key).exists()
    assert main(["audit", "export", *arguments]) == 0
    (entry,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (entry["action"], entry["actor"]["kind"]) == ("storageMoved", "command")
    assert (entry["recording"], entry["conversation"]) == (row.id, row.conversation)
    assert entry["details"] == {"from": "default", "to": "second"}
    assert main(["storage", "list", *arguments]) == 0
    assert f"second  second  1 recordings, 0 files, {len(WHOLE)} bytes" in capsys.readouterr().out
    file.write_text('[storage]\nurl = "third"\n')
    assert main(["storage", "move", "default", *arguments]) == 1
    assert "store_not_configured" in capsys.readouterr().out


async def test_a_store_is_not_moved_onto_itself_under_another_address(world: World) -> None:
    place = world.place
    (place.root / "link").symlink_to(place.root / "first")
    async with place.served(stores("first", alias="link")) as archive:
        row = await place.recorded(archive)
        table, spool = StoreTable(place.database), place.root / "spool"
        move = StorageMove(archive.stores, place.table, table, spool, SystemClock(), target="alias")
        reports = {report.row.id: report.kept async for report in move.run()}
        assert (reports[row.id] or "").startswith("same_store: ")
        assert await place.media(archive.stores, row) == WHOLE


@pytest.mark.stores
@pytest.mark.parametrize("size", [100_000, 12 * MIB])
async def test_a_recording_moves_to_a_bucket_and_back(tmp_path: Path, size: int) -> None:
    database = Database(sqlite_url(tmp_path / "bystander.db"))
    await database.open()
    place, table = Place(tmp_path, database), StoreTable(database)
    with moto() as server:
        await asyncio.to_thread(make_bucket, server.endpoint)
        bucket = {"s3": s3_settings(server.endpoint)}
        settings = msgspec.structs.replace(stores("here"), stores=bucket)
        async with place.served(settings) as archive:
            row = await place.recorded(archive)
            media = os.urandom(size)
            mark = ObjectProperties("video/mp4", ((RECORDING_MARK, row.id),))
            await archive.store.put(row.object_key, media, mark)
            for target in ("s3", "default"):
                spool = place.root / "spool"
                move = StorageMove(archive.stores, place.table, table, spool, SystemClock(), target=target)
                assert [report.kept async for report in move.run()] == [None]
                now = await place.table.get(row.id)
                assert await place.media(archive.stores, now) == media
            assert [
                info.key async for info in archive.stores.named("s3").store.list_objects(row.conversation)
            ] == []
    await database.close()
