"""Files of conversations: received, gone on with, scanned, stored, told, listed, fetched and deleted."""

import asyncio
import io
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from recorder.archive import file_spool
from recorder.archive.archive import Archive
from recorder.archive.file_spool import FOLDER
from recorder.archive.storage_verdict import StorageVerdict, Verdict
from recorder.database import RecordingRow
from recorder.database.files import FileTable
from recorder.deletion.file_retention import FileRetention
from recorder.deletion.retention import Retention
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Participant, Role
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.files.file import (
    FILE_BYTES_MAX,
    FILENAME_BYTES_MAX,
    FileState,
    PictureSource,
    SharedFile,
)
from recorder.kernel.ids import new_id
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import RecordingState, RecordingType
from recorder.services.files import finishing, pictures, uploads
from recorder.services.files.bounds import disk_room, sending
from recorder.services.files.bounds.turns import Turns
from recorder.services.files.finishing import NO_ANSWER, REFUSED_BY_SCANNER, SCANNER_SILENT
from recorder.services.files.names import media_type, safe_filename
from recorder.services.files.scanning import Scanner
from recorder.settings.definitions import FileSettings, Settings
from recorder.settings.scopes import Scope
from signaling.ports import Caller
from storage.store import ObjectProperties
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node, settings_for

WAIT_S, LOOK_S = 20.0, 0.02
LARGE = 20 * 1024 * 1024 + 7  # three parts
SCANNER = (sys.executable, "-c", "import sys; sys.exit(b'EICAR' in open(sys.argv[1], 'rb').read())")


async def so(condition: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - files and stores tell nobody
            await asyncio.sleep(LOOK_S)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Place:
    """A node whose files are finished, with two people in a conversation."""

    def __init__(self, node: Node, store: MemoryStore, data: Path) -> None:
        self.node = node
        self.store = store
        self.data = data
        self.files = node.composed.files
        self.table = FileTable(node.database)

    async def open(self) -> None:
        self.conversation = (await self.node.conversation()).id
        add = self.node.conversations.add_participant
        self.agent = Caller(await add(self.conversation, role=Role.AGENT, name="Ada"))
        self.visitor = Caller(await add(self.conversation, role=Role.VISITOR, name="Blaise"))
        self.files.finishing.start()

    async def create(self, length: int, caller: Caller | None = None, name: str = "a.txt") -> SharedFile:
        return await self.files.uploads.create(
            caller or self.agent, self.conversation, filename=name, content_type="text/plain", length=length
        )

    async def append(self, file: SharedFile, offset: int, *data: bytes) -> SharedFile:
        return await self.files.uploads.append(
            self.agent, self.conversation, file.id, offset=offset, chunks=chunks(*data)
        )

    async def sent(self, data: bytes, name: str = "a.txt") -> SharedFile:
        file = await self.create(len(data), name=name)
        return await self.append(file, 0, data) if data else file

    async def get(self, file: SharedFile) -> SharedFile:
        return await self.files.files.get(Caller(), self.conversation, file.id)

    async def until(self, file: SharedFile, *states: FileState) -> SharedFile:
        async with asyncio.timeout(WAIT_S):
            while (now := await self.get(file)).state not in states:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_S)
        return now

    async def fetched(self, file: SharedFile) -> bytes:
        opened = await self.files.files.content(self.agent, self.conversation, file.id)
        return b"".join([chunk async for chunk in opened.reader.read(0, opened.size)])

    def received(self) -> list[str]:
        folder = self.data / FOLDER
        return sorted(one.name for one in folder.iterdir()) if folder.exists() else []


def allowing(tmp_path: Path, **files: object) -> Settings:
    sent = msgspec.convert({"agents": True, "customers": True, **files}, FileSettings)
    return msgspec.structs.replace(settings_for(tmp_path), files=sent)


Open = Callable[..., Awaitable[Place]]


@pytest.fixture
async def open_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_file: Path
) -> AsyncIterator[Open]:
    shutil.copyfile(migrated_file, tmp_path / "bystander.db")
    monkeypatch.setattr(finishing, "LOOK_EVERY_S", 0.05)
    async with AsyncExitStack() as stack:

        async def opening(store: MemoryStore | None = None, **settings: object) -> Place:
            kept = store or MemoryStore()
            node = await open_node(tmp_path, stack, kept, allowing(tmp_path, **settings), warm=False)
            place = Place(node, kept, tmp_path)
            await place.open()
            stack.push_async_callback(place.files.finishing.stop)
            return place

        yield opening


@pytest.fixture
async def place(open_place: Open) -> Place:
    return await open_place()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the disk has left; before the place is opened, which asks for it."""
    left = [2**40]
    monkeypatch.setattr(Archive, "disk_free_bytes", lambda _: left[0])
    return left


def refused(code: str) -> "pytest.RaisesExc[BystanderError]":
    return pytest.raises(BystanderError, check=lambda error: error.code == code)


class TestNames:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\contract.docx", "contract.docx"),
            ("evil\u202egpj.exe", "evilgpj.exe"),
            ("a\r\nSet-Cookie: x.txt", "a__Set-Cookie_ x.txt"),
            ("NUL.txt", "_NUL.txt"),
            ("...", "file"),
            ("", "file"),
            (".htaccess", "htaccess"),
            ("Größe Überblick.xlsx", "Größe Überblick.xlsx"),
            ("u\u0308ber.txt", "über.txt"),
            ("trailing. ", "trailing"),
        ],
    )
    def test_are_made_safe(self, given: str, kept: str) -> None:
        assert safe_filename(given) == kept

    def test_long_ones_keep_their_extension(self) -> None:
        kept = safe_filename("ü" * 500 + ".pdf")
        assert kept.endswith("ü.pdf") and len(kept.encode()) <= FILENAME_BYTES_MAX

    def test_a_type_is_taken_where_it_is_one(self) -> None:
        assert media_type("Image/PNG") == "image/png"
        assert media_type("text/html; charset=x\r\ny: z") == "application/octet-stream"


class TestUpload:
    async def test_a_file_is_stored_told_and_fetched(self, place: Place) -> None:
        sent = await place.sent(b"hello", name="../notes.txt")
        assert (sent.state, sent.filename) == (FileState.STORING, "notes.txt")
        stored = await place.until(sent, FileState.AVAILABLE)
        assert stored.available_at is not None
        assert await place.fetched(sent) == b"hello"
        await so(lambda: place.received() == [])
        (told,) = await place.node.messages(place.conversation)
        assert (told.kind, told.file, told.filename, told.bytes) == (
            MessageKind.FILE_SHARED,
            sent.id,
            "notes.txt",
            5,
        )
        assert told.name == "Ada"
        assert place.store.keys == [f"{place.conversation}/files/{sent.id}_notes.txt"]

    async def test_a_large_one_goes_in_parts(self, place: Place) -> None:
        data = bytes(range(256)) * (LARGE // 256 + 1)
        sent = await place.sent(data[:LARGE])
        await place.until(sent, FileState.AVAILABLE)
        assert await place.fetched(sent) == data[:LARGE]
        assert place.store.requests.count("put_part") == 3

    async def test_an_empty_one_is_a_file_too(self, place: Place) -> None:
        sent = await place.sent(b"")
        assert (await place.until(sent, FileState.AVAILABLE)).bytes == 0

    async def test_it_goes_on_where_it_broke_off(self, place: Place) -> None:
        file = await place.create(10)

        async def breaking() -> AsyncIterator[bytes]:
            yield b"0123"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await place.files.uploads.append(
                place.agent, place.conversation, file.id, offset=0, chunks=breaking()
            )
        found = await place.files.uploads.find(place.agent, place.conversation, file.id)
        assert (found.state, found.received) == (FileState.UPLOADING, 4)
        with refused("offset_wrong"):
            await place.append(file, 0, b"0123456789")
        await place.append(file, 4, b"456789")
        await place.until(file, FileState.AVAILABLE)
        assert await place.fetched(file) == b"0123456789"

    async def test_who_comes_back_ends_the_connection_that_hangs(self, place: Place) -> None:
        file = await place.create(10)
        begun = asyncio.Event()

        async def hanging() -> AsyncIterator[bytes]:
            yield b"0123"
            begun.set()
            await asyncio.Event().wait()

        first = asyncio.ensure_future(
            place.files.uploads.append(place.agent, place.conversation, file.id, offset=0, chunks=hanging())
        )
        await begun.wait()
        found = await place.files.uploads.find(place.agent, place.conversation, file.id)
        assert found.received == 4
        with refused("upload_interrupted"):
            await first
        assert (await place.append(file, 4, b"456789")).state is FileState.STORING

    async def test_one_that_stops_coming_is_ended(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "STALL_S_MAX", 0.05)
        file = await place.create(10)

        async def silent() -> AsyncIterator[bytes]:
            yield b"01"
            await asyncio.Event().wait()

        with refused("body_too_slow"):
            await place.files.uploads.append(
                place.agent, place.conversation, file.id, offset=0, chunks=silent()
            )
        assert (await place.append(file, 2, b"23456789")).received == 10

    async def test_it_survives_the_server(self, place: Place, open_place: Open) -> None:
        file = await place.create(10)
        await place.append(file, 0, b"0123")
        await place.files.finishing.stop()
        again = await open_place(place.store)
        found = await again.files.uploads.find(place.agent, place.conversation, file.id)
        assert found.received == 4
        await again.files.uploads.append(
            place.agent, place.conversation, file.id, offset=4, chunks=chunks(b"456789")
        )
        await so(lambda: place.store.keys)

    async def test_what_was_received_is_stored_by_the_next_server(
        self, place: Place, open_place: Open
    ) -> None:
        await place.files.finishing.stop()
        file = await place.sent(b"hello")
        assert place.store.keys == []
        again = await open_place(place.store)
        await so(lambda: place.store.keys and not place.received())  # the last that is done
        found = await again.table.get(place.conversation, file.id)
        assert found.file.state is FileState.AVAILABLE

    async def test_a_cancelled_one_leaves_nothing(self, place: Place) -> None:
        file = await place.create(10)
        await place.append(file, 0, b"0123")
        await place.files.uploads.cancel(place.agent, place.conversation, file.id)
        assert (place.received(), place.store.keys) == ([], [])
        with refused("not_found"):
            await place.files.uploads.find(place.agent, place.conversation, file.id)

    async def test_nobody_goes_on_with_somebody_else_s(self, place: Place) -> None:
        file = await place.create(10)
        for call in (
            place.files.uploads.find(place.visitor, place.conversation, file.id),
            place.files.uploads.cancel(place.visitor, place.conversation, file.id),
            place.files.uploads.append(
                place.visitor, place.conversation, file.id, offset=0, chunks=chunks(b"x")
            ),
        ):
            with refused("not_found"):
                await call

    async def test_more_than_was_announced_is_refused(self, place: Place) -> None:
        file = await place.create(4)
        with refused("file_too_large"):
            await place.append(file, 0, b"012", b"345")
        assert (await place.append(file, 3, b"3")).state is FileState.STORING

    async def test_nobody_announces_more_than_is_allowed(self, open_place: Open) -> None:
        place = await open_place(bytes_max=1000)
        assert (await place.create(1000)).bytes == 1000
        with refused("file_too_large"):
            await place.create(1001)
        assert FileSettings().bytes_max == FILE_BYTES_MAX == 100 * 1024 * 1024

    async def test_there_are_not_too_many_at_once(self, place: Place) -> None:
        for _ in range(uploads.UPLOADS_PER_CONVERSATION_MAX):
            await place.create(4)
        with refused("too_many_uploads"):
            await place.create(4)

    async def test_recordings_keep_their_room_on_the_disk(self, disk: list[int], place: Place) -> None:
        disk[0] = disk_room.DISK_FREE_BYTES_MIN + 3
        first = await place.create(2)
        with refused("disk_full"):  # what is promised is taken, though nothing of it came
            await place.create(2)
        both = await asyncio.gather(place.create(1), place.create(1), return_exceptions=True)
        assert sum(isinstance(one, SharedFile) for one in both) == 1
        await place.files.uploads.cancel(place.agent, place.conversation, first.id)
        assert (await place.create(2)).bytes == 2
        with refused("disk_full"):
            await place.files.backgrounds.add("default", None, name="x", chunks=chunks(picture()))

    async def test_what_came_before_the_disk_was_full_is_kept(self, disk: list[int], place: Place) -> None:
        file, part = await place.create(LARGE), bytes(file_spool.SYNC_BYTES)

        async def filling() -> AsyncIterator[bytes]:
            yield part
            disk[0] = disk_room.DISK_FREE_BYTES_MIN - 1
            yield part
            yield b"never asked for"

        with refused("disk_full"):
            await place.files.uploads.append(
                place.agent, place.conversation, file.id, offset=0, chunks=filling()
            )
        with refused("disk_full"):
            await place.append(file, 2 * len(part), b"x")
        found = await place.files.uploads.find(place.agent, place.conversation, file.id)
        assert found.received == 2 * len(part)
        disk[0] = 2**40
        assert (await place.append(file, 2 * len(part), b"x")).received == 2 * len(part) + 1

    async def test_cancelling_frees_the_disk_before_the_database_is_asked(
        self, disk: list[int], place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = await place.create(10)
        await place.append(file, 0, b"0123")

        async def full(_: FileTable, file: str) -> None:
            raise BystanderError("database_unavailable", "full", fault=Fault.RESOURCE, status=503)

        with monkeypatch.context() as patch:
            patch.setattr(FileTable, "delete", full)
            with refused("database_unavailable"):
                await place.files.uploads.cancel(place.agent, place.conversation, file.id)
        assert place.received() == []
        disk[0] = disk_room.DISK_FREE_BYTES_MIN + 5
        await place.create(5)  # nothing is kept for it any more
        with refused("upload_gone"):
            await place.append(file, 0, b"0")
        await place.files.uploads.cancel(place.agent, place.conversation, file.id)

    async def test_what_nobody_goes_on_with_is_given_up(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = await place.create(10)
        monkeypatch.setattr(finishing, "UPLOAD_TTL_S", -1.0)
        await so(lambda: not place.received())
        with refused("not_found"):
            await place.files.uploads.find(place.agent, place.conversation, file.id)


class TestWhoMay:
    @pytest.mark.parametrize(("agents", "customers"), [(True, False), (False, True), (False, False)])
    async def test_agents_and_customers_are_switched_separately(
        self, open_place: Open, agents: bool, customers: bool
    ) -> None:
        place = await open_place(agents=agents, customers=customers)
        for caller, allowed in (
            (place.agent, agents),
            (place.visitor, customers),
            (Caller(), agents or customers),
        ):
            services = await place.files.files.services(caller, place.conversation)
            assert services.file_transfer.enabled is allowed
            if allowed:
                await place.create(4, caller)
            else:
                assert services.file_transfer.reason == "file_transfer_disabled"
                with refused("file_transfer_disabled"):
                    await place.create(4, caller)

    async def test_nobody_unless_it_is_switched_on(self) -> None:
        assert not FileSettings().agents and not FileSettings().customers

    async def test_nothing_is_sent_after_the_end(self, place: Place) -> None:
        file = await place.create(10)
        await place.node.conversations.end(place.conversation)
        for call in (place.create(4), place.append(file, 0, b"0")):
            with refused("conversation_ended"):
                await call


class TestListing:
    async def test_everybody_sees_what_is_theirs_to_see(self, place: Place) -> None:
        stored = await place.until(await place.sent(b"hello"), FileState.AVAILABLE)
        halfway = await place.create(10)
        asked = await place.files.snapshots.ask(
            place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.CAMERA
        )

        async def seen(caller: Caller, limit: int = 10) -> list[str]:
            listed = place.files.files.list(caller, place.conversation, after=None, limit=limit)
            return [file.id for file in await listed]

        assert await seen(Caller()) == [stored.id, halfway.id, asked.id]
        assert await seen(place.agent) == [stored.id, halfway.id, asked.id]
        assert await seen(place.visitor) == [stored.id]
        assert await seen(Caller(), limit=2) == [stored.id, halfway.id]
        for caller in (Caller(), place.agent, place.visitor):
            get = place.files.files.get
            shown = await seen(caller)
            for file in (stored, halfway, asked):
                if file.id in shown:
                    assert (await get(caller, place.conversation, file.id)).id == file.id
                else:
                    for call in (get, place.files.files.content):
                        with refused("not_found"):
                            await call(caller, place.conversation, file.id)


class TestScan:
    async def test_nobody_gets_what_the_scanner_refuses(self, open_place: Open) -> None:
        place = await open_place(scan_command=SCANNER)
        bad, good = await place.sent(b"x EICAR x"), await place.sent(b"fine")
        assert (await place.until(bad, FileState.REFUSED)).failure == REFUSED_BY_SCANNER
        await place.until(good, FileState.AVAILABLE)
        with refused("file_not_available"):
            await place.fetched(bad)
        assert len(place.store.keys) == 1
        await so(lambda: place.received() == [])
        assert [one.file for one in await place.node.messages(place.conversation)] == [good.id]

    @pytest.mark.parametrize("command", [("/nonexistent/scanner",), (sys.executable, "-c", "exit(2)")])
    async def test_nor_what_it_could_not_look_at(
        self, open_place: Open, command: tuple[str, ...], caplog: pytest.LogCaptureFixture
    ) -> None:
        place = await open_place(scan_command=command)
        file = await place.sent(b"fine")
        await so(lambda: caplog.text.count("a file waits") >= 2)  # it is tried again
        assert (await place.until(file, FileState.STORING)).failure is None
        assert place.store.keys == []

    async def test_one_that_it_never_answers_for_is_given_up(
        self, open_place: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = await open_place(scan_command=(sys.executable, "-c", "exit(2)"))
        file = await place.sent(b"odd")
        monkeypatch.setattr(finishing, "UPLOAD_TTL_S", -1.0)
        assert (await place.until(file, FileState.REFUSED)).failure == SCANNER_SILENT
        await so(lambda: place.received() == [])

    async def test_a_conversation_whose_scans_hang_holds_up_no_other(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, answer = asyncio.Semaphore(0), asyncio.Semaphore(0)
        hanging: set[str] = set()

        async def scan(_: Scanner, file: Path) -> bool:
            if file.name in hanging:
                begun.release()
                await answer.acquire()
                raise BystanderError("scan_failed", "silent", fault=Fault.RESOURCE, status=503)
            return True

        monkeypatch.setattr(Scanner, "is_good", scan)
        for _ in range(finishing.FINISHED_AT_ONCE_MAX + 2):
            file = await place.create(4)
            hanging.add(file.id)
            await place.append(file, 0, b"hang")
        for _ in range(finishing.FINISHED_AT_ONCE_MAX):
            await begun.acquire()
        place.conversation = (await place.node.conversation()).id
        add = place.node.conversations.add_participant
        place.agent = Caller(await add(place.conversation, role=Role.AGENT, name="Grace"))
        fine = await place.sent(b"fine")
        answer.release()  # one turn is free, and others of the first conversation wait longer
        await place.until(fine, FileState.AVAILABLE)


class TestTurns:
    def file(self, number: int, conversation: str) -> SharedFile:
        return SharedFile(
            id=f"file_{number}",
            conversation=conversation,
            state=FileState.STORING,
            filename="x",
            content_type="text/plain",
            bytes=1,
            created_at=datetime.now(UTC),
        )

    def test_who_waits_comes_before_who_is_served(self) -> None:
        turns, first, second, other = Turns(), self.file(1, "a"), self.file(2, "a"), self.file(3, "b")
        assert turns.next([first, second, other], [], 0.0) == first
        turns.begin(first, 0.0)
        assert turns.next([second, other], ["a"], 0.0) == other
        assert turns.next([second, other], [], 0.0) == other  # had none yet
        assert turns.next([second], ["a"], 0.0) == second
        turns.begin(other, 5.0)
        assert turns.next([second, other], ["a"], 9.0) == other  # though a was served longer ago
        assert turns.next([second, other], [], 9.0) == second

    def test_silence_doubles_the_wait_up_to_a_bound(self) -> None:
        turns, file, now, waits = Turns(), self.file(1, "a"), 0.0, []
        for _ in range(8):
            turns.back_off(file, 10.0, now)
            waited = next(s for s in range(1000) if turns.next([file], [], now + s) is not None)
            waits.append(waited)
            now += waited
        assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
        turns.keep([])
        assert turns.next([file], [], now) == file


class TestStorage:
    async def test_a_failed_test_stops_it_until_one_passes(self, place: Place) -> None:
        verdict = StorageVerdict(place.data, place.node.dependencies.settings.storage)
        now = place.node.dependencies.clock.utc_now()
        waiting = await place.create(4)
        await verdict.keep(Verdict(ok=False, tested_at=now, failed_at="put", reason="no"))
        services = await place.files.files.services(place.agent, place.conversation)
        assert {
            services.file_transfer.reason,
            services.snapshots.reason,
            services.backgrounds.reason,
            services.recording.reason,
        } == {"storage_test_failed"}
        for call in (
            place.create(4),
            place.append(waiting, 0, b"0123"),
            place.files.snapshots.ask(
                place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.CAMERA
            ),
            place.files.backgrounds.add("default", None, name="x", chunks=chunks(b"")),
            place.files.backgrounds.offered(place.agent, place.conversation),
        ):
            with refused("storage_test_failed"):
                await call
        await verdict.keep(Verdict(ok=True, tested_at=now))
        services = await place.files.files.services(place.agent, place.conversation)
        assert services.file_transfer.enabled and services.snapshots.enabled and services.backgrounds.enabled
        assert services.recording.enabled
        await place.append(waiting, 0, b"0123")
        await place.until(waiting, FileState.AVAILABLE)

    async def test_what_was_received_waits_for_the_store(self, place: Place) -> None:
        place.store.faults.outage = "store_unreachable"
        file = await place.sent(b"hello")
        await asyncio.sleep(0.2)
        assert (await place.until(file, FileState.STORING)).received == 5
        place.store.faults.outage = None
        await place.until(file, FileState.AVAILABLE)


class TestDeletion:
    async def test_files_go_with_their_conversation(self, place: Place) -> None:
        stored, halfway = await place.sent(b"hello"), await place.create(10)
        await place.until(stored, FileState.AVAILABLE)
        await place.append(halfway, 0, b"0123")
        await place.store.put("somebody-else/files/x", b"x", ObjectProperties())
        await place.node.conversations.delete(place.conversation)
        assert place.store.keys == ["somebody-else/files/x"]
        assert place.received() == []

    async def test_one_that_is_being_stored_does_not_come_back(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        putting, deleted = asyncio.Event(), asyncio.Event()
        put = place.store.put

        async def slow(key: str, data: bytes, properties: ObjectProperties) -> object:
            putting.set()
            await deleted.wait()
            return await put(key, data, properties)

        monkeypatch.setattr(place.store, "put", slow)
        await place.sent(b"hello")
        await putting.wait()
        await place.node.conversations.delete(place.conversation)
        deleted.set()
        await so(lambda: place.store.requests.count("delete") >= 2 and not place.store.keys)


class TestRetention:
    @pytest.fixture
    async def ended(self, place: Place) -> SharedFile:
        """A file of a conversation that is over."""
        file = await place.until(await place.sent(b"hello"), FileState.AVAILABLE)
        await place.node.conversations.end(place.conversation)
        return file

    def retention(self, place: Place, later: float, *, alone: bool = False) -> FileRetention:
        """As it is so many days later."""
        conversations = None if alone else place.node.composed.core.conversations
        recordings, clock = place.node.table, ManualClock(utc=datetime.now(UTC) + timedelta(days=later))
        deletion = place.files.deletion
        return FileRetention(place.table, recordings, deletion, clock, 30, conversations=conversations)

    async def test_a_conversation_without_recordings_goes_with_its_files(
        self, place: Place, ended: SharedFile
    ) -> None:
        assert [one async for one in self.retention(place, 29.9).apply(dry_run=False)] == []
        (told,) = [one async for one in self.retention(place, 30.1).apply(dry_run=True)]
        assert (told.row.file, told.kept) == (ended, None)
        assert len(place.store.keys) == 1
        assert len([one async for one in self.retention(place, 30.1).apply(dry_run=False)]) == 1
        assert place.store.keys == []
        with refused("not_found"):
            await place.node.conversations.get(place.conversation)

    async def test_or_each_by_itself_and_its_message_says_so(self, place: Place, ended: SharedFile) -> None:
        assert len([one async for one in self.retention(place, 30.1, alone=True).apply(dry_run=False)]) == 1
        assert place.store.keys == []
        (told,) = await place.node.messages(place.conversation)
        assert (told.kind, told.file, told.filename) == (MessageKind.FILE_EXPIRED, None, None)

    async def test_one_with_recordings_goes_by_theirs(self, place: Place, ended: SharedFile) -> None:
        row = RecordingRow(
            id=new_id("rec"),
            conversation=place.conversation,
            number=1,
            type=RecordingType.AUDIO,
            state=RecordingState.AVAILABLE,
            object_key=f"{place.conversation}/x.mp4",
            filename="x.mp4",
            requested_at=datetime.now(UTC),
            ended_at=datetime.now(UTC),
        )
        await place.node.table.add(row)
        (told,) = [one async for one in self.retention(place, 40).apply(dry_run=False)]
        assert told.kept == "conversation_exists"
        retention = Retention(
            place.node.table,
            place.node.dependencies.archive.stores,
            place.data / "spool",
            ManualClock(utc=datetime.now(UTC) + timedelta(days=40)),
            30,
            node=None,
            conversations=place.node.composed.core.conversations,
            files=place.files.deletion,
        )
        assert [one.kept async for one in retention.apply(dry_run=False)] == [None]
        assert place.store.keys == []


class TestSnapshot:
    async def test_who_is_in_it_makes_it(self, place: Place) -> None:
        asked = await place.files.snapshots.ask(
            place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.CAMERA
        )
        with refused("not_found"):
            await place.files.snapshots.take(
                place.agent, place.conversation, asked.id, chunks=chunks(picture())
            )
        taken = await place.files.snapshots.take(
            place.visitor, place.conversation, asked.id, chunks=chunks(picture(1920, 1080))
        )
        assert (taken.width, taken.height, taken.content_type) == (1920, 1080, "image/png")
        await place.until(taken, FileState.AVAILABLE)
        assert await place.fetched(taken) == picture(1920, 1080)
        with refused("not_found"):
            await place.files.files.get(place.visitor, place.conversation, taken.id)
        assert await place.node.message_kinds(place.conversation) == [MessageKind.SNAPSHOT_TAKEN]

    @pytest.mark.parametrize("data", [b"no picture", b"\x89PNG\r\n\x1a\nbroken"])
    async def test_what_is_no_picture_is_refused(self, place: Place, data: bytes) -> None:
        asked = await place.files.snapshots.ask(
            place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.CAMERA
        )
        with refused("picture_invalid"):
            await place.files.snapshots.take(place.visitor, place.conversation, asked.id, chunks=chunks(data))
        assert place.received() == []

    async def test_nobody_waits_for_ever(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = await place.files.snapshots.ask(
            place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.CAMERA
        )
        monkeypatch.setattr(finishing, "SNAPSHOT_ANSWER_S_MAX", 0.0)
        assert (await place.until(asked, FileState.REFUSED)).failure == NO_ANSWER

    async def test_they_may_say_no(self, place: Place) -> None:
        asked = await place.files.snapshots.ask(
            place.agent, place.conversation, subject=who(place.visitor).id, source=PictureSource.SCREEN_SHARE
        )
        said = await place.files.snapshots.refuse(
            place.visitor, place.conversation, asked.id, reason="snapshot_refused"
        )
        assert (said.state, said.failure) == (FileState.REFUSED, "snapshot_refused")
        with refused("snapshot_over"):
            await place.files.snapshots.take(place.visitor, place.conversation, asked.id, chunks=chunks(b""))

    async def test_visitors_take_none_and_agents_are_in_none(self, place: Place) -> None:
        with refused("snapshots_disabled"):
            await place.files.snapshots.ask(
                place.visitor, place.conversation, subject=who(place.agent).id, source=PictureSource.CAMERA
            )
        with refused("not_a_visitor"):
            await place.files.snapshots.ask(
                place.agent, place.conversation, subject=who(place.agent).id, source=PictureSource.CAMERA
            )


class TestBackgrounds:
    async def test_are_checked_kept_offered_and_removed(self, place: Place) -> None:
        backgrounds = place.files.backgrounds
        assert await backgrounds.offered(place.agent, place.conversation) == (True, [])
        added = await backgrounds.add(
            "default", None, name="Office", chunks=chunks(picture(640, 360, "JPEG"))
        )
        themed = await backgrounds.add("default", "gold", name="Gold", chunks=chunks(picture()))
        assert (added.width, added.height, added.content_type) == (640, 360, "image/jpeg")
        built_in, offered = await backgrounds.offered(place.agent, place.conversation)
        assert (built_in, offered) == (True, [added])  # the conversation is of no template
        assert await backgrounds.list("default", "gold") == [added, themed]
        opened = await backgrounds.content("default", added.id)
        assert (opened.content_type, opened.size) == ("image/jpeg", added.bytes)
        with refused("not_found"):
            await backgrounds.remove("another", added.id)
        await backgrounds.remove("default", added.id)
        assert place.store.keys == [f"_backgrounds/{themed.id}.png"]
        assert place.received() == []

    async def test_uploaded_ones_alone_where_the_others_are_not_to_be_shown(self, place: Place) -> None:
        backgrounds = place.files.backgrounds
        scoped = place.node.composed.scoped_settings
        await scoped.say(Scope.ACCOUNT, "default", {"backgrounds.show_for_agents": False})
        assert await backgrounds.offered(place.agent, place.conversation) == (True, [])
        added = await backgrounds.add("default", None, name="Office", chunks=chunks(picture()))
        assert await backgrounds.offered(place.agent, place.conversation) == (False, [added])

    async def test_only_agents_are_offered_any(self, place: Place) -> None:
        with refused("backgrounds_disabled"):
            await place.files.backgrounds.offered(place.visitor, place.conversation)

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"GIF89a", "picture_invalid"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture_invalid"),
            (b"x" * (20 * 1024 * 1024 + 1), "picture_too_large"),
        ],
    )
    async def test_what_is_no_picture_is_refused(self, place: Place, data: bytes, code: str) -> None:
        with refused(code):
            await place.files.backgrounds.add("default", None, name="x", chunks=chunks(data))
        assert (place.received(), place.store.keys) == ([], [])

    async def test_one_that_stops_coming_is_ended(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "STALL_S_MAX", 0.05)

        async def silent() -> AsyncIterator[bytes]:
            yield picture()[:20]
            await asyncio.Event().wait()

        with refused("body_too_slow"):
            await place.files.backgrounds.add("default", None, name="x", chunks=silent())
        assert place.received() == []

    async def test_few_are_decoded_at_once(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def slow(_: Path) -> tuple[str, int, int]:
            begun.release()
            await go_on.wait()
            return "PNG", 64, 64

        def added() -> "asyncio.Future[object]":
            adding = place.files.backgrounds.add("default", None, name="x", chunks=chunks(picture()))
            return asyncio.ensure_future(adding)

        monkeypatch.setattr(pictures, "_decoded", slow)
        going = [added() for _ in range(pictures.DECODERS_MAX)]
        for _ in going:
            await begun.acquire()
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "DECODER_WAIT_S_MAX", 0.05)
            with refused("overloaded"):
                await asyncio.wait_for(added(), WAIT_S)
        waiting = added()
        go_on.set()
        await asyncio.gather(*going, waiting)

    async def test_too_many_pixels_are_refused_before_they_are_decoded(self, place: Place) -> None:
        with refused("picture_invalid"):
            await place.files.backgrounds.add("default", None, name="x", chunks=chunks(bomb()))


def picture(width: int = 64, height: int = 64, form: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), (20, 90, 160)).save(made, form)
    return made.getvalue()


def bomb() -> bytes:
    """Some KiB that would be more pixels than we take."""
    made = io.BytesIO()
    Image.new("1", (6_001, 6_000)).save(made, "PNG")
    return made.getvalue()


def who(caller: Caller) -> Participant:
    assert caller.participant is not None
    return caller.participant
