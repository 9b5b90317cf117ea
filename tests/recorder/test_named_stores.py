"""What is recorded remembers its store, whatever the settings say later."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from recorder.archive.archive import Archive
from recorder.archive.opening import open_shipping
from recorder.archive.storage_test import StorageProbes
from recorder.database import ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.stores import StoreTable
from recorder.deletion.deletion import delete_recording
from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason, RecordingState, RecordingType
from recorder.node.data_directory import DataDirectory
from recorder.services.health import Health
from recorder.settings.definitions import RecordingSettings, ServerSettings, Settings
from recorder.stores.commands import accept, list_stores
from recorder.stores.named_stores import NamedStores
from recorder.stores.reading import open_recording
from recorder.stores.warning import warn_of_unusable
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter
from tests.recorder.node import open_node, settings_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INIT, MEDIA = b"init", b"media" * 1000


def stores(default: str, **others: str) -> Settings:
    """Directories in the data directory, by name."""
    named = {name: StorageSettings(url=url) for name, url in others.items()}
    return Settings(storage=StorageSettings(url=default), stores=named)


class Place:
    """A data directory with its database, and an archive for as long as one server would have it."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.database = database
        self.table = RecordingTable(database)

    @asynccontextmanager
    async def served(self, settings: Settings) -> AsyncIterator[Archive]:
        data = DataDirectory(self.root, lock=-1)
        archive = await open_shipping(settings, data, SystemClock(), self.database)
        try:
            yield archive
        finally:
            await archive.close()

    async def row(self, store: str | None) -> RecordingRow:
        conversation = Conversation(id=new_id("conv"), created_at=NOW)
        await ConversationTable(self.database).add(conversation)
        recording = new_id("rec")
        row = RecordingRow(
            id=recording,
            conversation=conversation.id,
            number=1,
            type=RecordingType.AUDIO,
            state=RecordingState.AVAILABLE,
            object_key=f"{conversation.id}/{recording}.mp4",
            filename="call.mp4",
            requested_at=NOW,
            started_at=NOW,
            ended_at=NOW,
            bytes=len(INIT + MEDIA),
            store=store,
        )
        await self.table.add(row)
        return row

    def spool(self, row: RecordingRow) -> None:
        facts = SpoolFacts(
            recording=row.id,
            conversation=row.conversation,
            key=row.object_key,
            content_type="video/mp4",
            created_at=NOW,
            store=row.store,
        )
        writer = SpoolWriter.create(self.root / "spool", facts)
        writer.append(Fragment(kind=FragmentKind.INIT, data=INIT))
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=MEDIA, duration_us=2_000_000))
        writer.end(EndReason.NORMAL, None, 2_000_000)
        writer.close()

    async def recorded(self, archive: Archive, name: str = "default") -> RecordingRow:
        """A recording that is stored in the store of that name."""
        await archive.check(archive.stores.named(name).id)
        row = await self.row(archive.stores.named(name).id)
        self.spool(row)
        assert await archive.finish(row.id, row.object_key, row.store) is not None
        await archive.forget(row.id)
        return row

    async def media(self, stores: NamedStores, row: RecordingRow) -> bytes:
        opened = await open_recording(stores, self.root / "spool", row)
        data = b"".join([chunk async for chunk in opened.read(0, opened.size)])
        await opened.close()
        return data


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    database = Database(sqlite_url(tmp_path / "bystander.db"))
    await database.open()
    yield Place(tmp_path, database)
    await database.close()


async def refused(archive: Archive, row: RecordingRow) -> BystanderError:
    with pytest.raises(BystanderError) as caught:
        await archive.store_of(row.store)
    return caught.value


async def test_a_recording_is_read_and_deleted_where_it_lies_after_the_settings_changed(place: Place) -> None:
    async with place.served(stores("first")) as archive:
        row = await place.recorded(archive)
    async with place.served(stores("second", old="first")) as archive:
        assert row.store == archive.stores.named("old").id != archive.default.id
        assert await place.media(archive.stores, row) == INIT + MEDIA
        await delete_recording(archive, row)
    assert list((place.root / "first").rglob("*.mp4")) == []


async def test_a_recording_goes_to_the_store_that_it_began_for(place: Place) -> None:
    """Its server is gone before it is stored, and the next one has another default."""
    async with place.served(stores("first")) as archive:
        row = await place.row(archive.default.id)
    place.spool(row)
    async with place.served(stores("second", old="first")) as archive:
        assert [found.recording for found in await archive.recover()] == [row.id]
        assert await archive.finish(row.id, row.object_key, row.store) is not None
    assert (place.root / "first" / row.object_key).read_bytes() == INIT + MEDIA
    assert not (place.root / "second" / row.object_key).exists()


async def test_what_lies_in_a_store_that_is_gone_from_the_settings_is_named_and_kept(place: Place) -> None:
    async with place.served(stores("first")) as archive:
        row, waits = await place.recorded(archive), await place.row(archive.default.id)
    place.spool(waits)
    async with place.served(stores("second")) as archive:
        error = await refused(archive, row)
        assert (error.code, error.status) == ("store_not_configured", 503)
        assert "'default' (first)" in error.detail
        (spool,) = await archive.recover()
        assert (spool.recording, spool.damage) == (waits.id, "store_not_configured")
        assert await place.media(archive.stores, waits) == INIT + MEDIA  # from the spool
        with pytest.raises(BystanderError, match="store_not_configured"):
            await delete_recording(archive, row)
        contents = await StoreTable(place.database).contents()
        assert contents[row.store or ""].recordings == 2
    async with place.served(stores("first")) as archive:
        assert await place.media(archive.stores, row) == INIT + MEDIA
        assert [found.damage for found in await archive.recover()] == [None]
        assert await archive.finish(waits.id, waits.object_key, waits.store) is not None


async def test_a_store_is_known_by_its_mark_under_another_name_and_address(place: Place) -> None:
    async with place.served(stores("first")) as archive:
        row = await place.recorded(archive)
    (place.root / "first").rename(place.root / "elsewhere")
    async with place.served(stores("second", archive="elsewhere")) as archive:
        assert await place.media(archive.stores, row) == INIT + MEDIA


async def test_recordings_of_before_lie_in_the_store_of_the_first_server_that_remembers(place: Place) -> None:
    row = await place.row(None)
    async with place.served(stores("first")) as archive:
        first = archive.default.id
    async with place.served(stores("second", old="first")):
        assert (await place.table.get(row.id)).store == first


async def test_a_directory_that_vanished_is_not_made_again(place: Place) -> None:
    async with place.served(stores("mount")) as archive:
        row = await place.recorded(archive)
        await archive.check()
    (place.root / "mount").rename(place.root / "unmounted")
    for made in (False, True):  # a mount point may be there, and empty
        async with place.served(stores("mount")) as archive:
            with pytest.raises(BystanderError, match="store_changed"):
                await archive.check()
            for asked in (
                delete_recording(archive, row),
                place.media(archive.stores, row),
                archive.store.uploads.begin(row.object_key, None),  # type: ignore[arg-type]
            ):
                with pytest.raises(BystanderError, match="store_changed"):
                    await asked
        assert (place.root / "mount").exists() == made
        (place.root / "mount").mkdir(exist_ok=True)
    assert list((place.root / "mount").iterdir()) == []
    shutil.rmtree(place.root / "mount")
    (place.root / "unmounted").rename(place.root / "mount")
    async with place.served(stores("mount")) as archive:
        await archive.check()
        assert await place.media(archive.stores, row) == INIT + MEDIA


async def test_new_recordings_go_to_the_store_that_their_settings_name(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        settings_for(tmp_path), stores={"eu": StorageSettings(url=str(tmp_path / "eu"))}
    )
    recording = msgspec.structs.replace(settings.recording, store="eu")
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, None, msgspec.structs.replace(settings, recording=recording))
        started = await node.start()
        eu = node.dependencies.archive.stores.named("eu").id
        assert (await node.table.get(started.id)).store == eu


async def test_a_store_that_is_not_there_begins_no_recording(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(settings_for(tmp_path), recording=RecordingSettings(store="nowhere"))
    async with AsyncExitStack() as stack:
        node = await open_node(tmp_path, stack, None, settings)
        with pytest.raises(BystanderError, match="store_not_configured"):
            await node.start()


async def test_stores_are_listed_also_those_that_are_not_in_the_settings(place: Place) -> None:
    async with place.served(stores("first")) as archive:
        await place.recorded(archive)
    server = ServerSettings(data_dir=str(place.root))
    lines = await list_stores(msgspec.structs.replace(stores("second"), server=server))
    assert lines == [
        f"default  not in the settings  first  1 recordings, 0 files, {len(INIT + MEDIA)} bytes",
        "default  second  0 recordings, 0 files, 0 bytes",
    ]


async def test_a_store_that_lost_its_mark_is_used_again_when_somebody_says_so(place: Place) -> None:
    settings = msgspec.structs.replace(stores("first"), server=ServerSettings(data_dir=str(place.root)))
    async with place.served(settings) as archive:
        await place.recorded(archive)
        shutil.rmtree(place.root / "first" / ".bystander" / "stores")
        with pytest.raises(BystanderError, match="store_changed"):
            await archive.check()
        await accept(settings, "default")
        await archive.check()


async def test_readiness_and_tests_are_of_the_store_that_recordings_go_to(place: Place) -> None:
    (place.root / "file").write_text("")
    async with place.served(stores("here", archive="file")) as archive:
        clock = SystemClock()
        probes = StorageProbes(archive.stores, place.root, clock)
        with pytest.raises(BystanderError, match="not_found"):
            await probes.test(store="nowhere")
        assert (await probes.test())["ok"]
        assert not (await probes.test(store="archive"))["ok"]
        found = []
        for name in ("default", "archive", "nowhere"):
            names = ("default", name)
            health = Health(place.database, archive, clock, {}, free_bytes_min=0, stores=names)
            found.append((await health.ready())["storage_test"])
        assert found == [True, False, False]


async def test_a_directory_that_cannot_be_made_is_named_at_the_start_and_to_whoever_records(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    (place.root / "file").write_text("")
    async with place.served(stores("here", archive="/proc/nothing", odd="file")) as archive:
        await warn_of_unusable(archive.stores)
        for name, directory in (("archive", "/proc/nothing"), ("odd", str(place.root / "file"))):
            with pytest.raises(BystanderError) as caught:
                await archive.check(archive.stores.named(name).id)
            assert directory in caught.value.detail
            assert caught.value.status == 503
    warned = {record.store: record.why for record in caplog.records if "cannot be used" in record.message}  # type: ignore[attr-defined]
    assert list(warned) == ["archive", "odd"]
    assert "/proc/nothing" in warned["archive"]
