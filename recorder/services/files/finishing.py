"""The finishing of files: what was received is scanned, brought into the store, and then announced.

One task for each server. A file that waits for the scanner or the store is tried again, and holds up no other
conversation's; what the scanner says nothing of for a day is refused. While the storage
test fails nothing is stored, and what waits goes on when a test passes. A restarted server finds what it had.
"""

import asyncio
import logging
from contextlib import suppress

import msgspec

from recorder.archive.archive import Archive
from recorder.archive.file_spool import FileSpool
from recorder.database.files import FileRow, FileTable
from recorder.database.messages import new_message_id
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.kernel.files.file import FileKind, FileState, SharedFile
from recorder.kernel.message import Message, MessageKind
from recorder.services.files.bounds.turns import Turns
from recorder.services.files.file_changes import FileChanges
from recorder.services.files.scanning import SCAN_FAILED, Scanner
from storage.objects import delete_object, put_file
from storage.store import ObjectProperties

FINISHED_AT_ONCE_MAX = 2  # scans take a core each
LOOK_EVERY_S = 10.0  # at what waits for the store, the scanner, or a sender who is gone
UPLOAD_TTL_S = 24 * 3600.0  # after this long without a byte an upload is given up
SNAPSHOT_ANSWER_S_MAX = 60.0  # whoever is to be in a picture has this long to answer
NO_ANSWER = "no_answer"
REFUSED_BY_SCANNER = "refused_by_scanner"
SCANNER_SILENT = "scanner_silent"  # for UPLOAD_TTL_S

_log = logging.getLogger(__name__)


class FileFinishing:
    """Run `run` as a background task; `wake` when something was received."""

    def __init__(
        self,
        table: FileTable,
        spool: FileSpool,
        archive: Archive,
        scanner: Scanner,
        changes: FileChanges,
        clock: Clock,
        node: str,
    ) -> None:
        self._table = table
        self._spool = spool
        self._archive = archive
        self._scanner = scanner
        self._changes = changes
        self._clock = clock
        self._node = node
        self._woken = asyncio.Event()
        self._swept = False
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._conversations: dict[str, str] = {}  # of those that are busy
        self._turns = Turns()

    def wake(self) -> None:
        """Something was received."""
        self._woken.set()

    async def refuse(self, file: SharedFile, reason: str) -> SharedFile:
        """Nothing will come of it; that is told once."""
        refused = msgspec.structs.replace(file, state=FileState.REFUSED, failure=reason)
        await self._written_down(refused, None)
        return refused

    async def run(self) -> None:
        """Finish what is to be finished, for ever."""
        if not self._swept:
            await self._remove_forgotten()
            self._swept = True  # later there are pictures that are just being looked at
        try:
            while True:
                self._woken.clear()
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._woken.wait()
        finally:
            await self._leave()

    async def _look(self) -> None:
        busy = set(self._busy)  # before the table is read: what ends meanwhile stands in it as it was
        try:
            rows = await self._table.unfinished(self._node)
        except BystanderError as error:
            _log.error("files cannot be looked for", extra={"code": error.code})
            return
        storing = {row.file.id: row for row in rows if row.file.state is FileState.STORING}
        self._turns.keep([row.file for row in storing.values()])
        self._begin_due({file: row for file, row in storing.items() if file not in busy})
        for row in rows:
            if row.file.state is FileState.ASKED:
                if self._age_s(row.file.created_at.timestamp()) > SNAPSHOT_ANSWER_S_MAX:
                    await self.refuse(row.file, NO_ANSWER)
            elif row.file.state is FileState.UPLOADING and self._is_given_up(row.file):
                await self._give_up(row.file)

    def _begin_due(self, rows: dict[str, FileRow]) -> None:
        while len(self._busy) < FINISHED_AT_ONCE_MAX:
            waiting = [row.file for file, row in rows.items() if file not in self._busy]
            file = self._turns.next(waiting, set(self._conversations.values()), self._now_s())
            if file is None:
                return
            self._begin(rows[file.id])

    def _begin(self, row: FileRow) -> None:
        self._turns.begin(row.file, self._now_s())
        task = asyncio.create_task(self._finish(row))
        self._busy[row.file.id] = task
        self._conversations[row.file.id] = row.file.conversation
        task.add_done_callback(lambda _: self._ended(row.file.id))

    def _ended(self, file: str) -> None:
        del self._busy[file], self._conversations[file]
        self._woken.set()  # the next one's turn

    async def _finish(self, row: FileRow) -> None:
        try:
            await self._check_and_store(row)
        except BystanderError as error:
            _log.warning("a file waits", extra={"file": row.file.id, "code": error.code})
            if error.code == SCAN_FAILED:
                self._turns.back_off(row.file, LOOK_EVERY_S, self._now_s())
            else:
                self._turns.wait(row.file, LOOK_EVERY_S, self._now_s())
        except Exception:  # noqa: BLE001 - a defect with one file must not keep the others waiting
            _log.exception("a file cannot be finished", extra={"file": row.file.id})
            self._turns.back_off(row.file, LOOK_EVERY_S, self._now_s())

    async def _check_and_store(self, row: FileRow) -> None:
        path = self._spool.path(row.file.id)
        if (reason := await self._objection(row.file)) is not None:
            await self.refuse(row.file, reason)
            return
        await self._archive.allowed(row.store)
        properties = ObjectProperties(content_type=row.file.content_type)
        store = await self._archive.store_of(row.store)
        await put_file(store, row.object_key, path, properties)
        now = self._clock.utc_now()
        available = msgspec.structs.replace(row.file, state=FileState.AVAILABLE, available_at=now)
        if not await self._written_down(available, _message(available)):
            await delete_object(store, row.object_key)  # its conversation is gone

    async def _objection(self, file: SharedFile) -> str | None:
        """Why nobody may have it; scan_failed (503) where the scanner did not say, and may yet."""
        try:
            return None if await self._scanner.is_good(self._spool.path(file.id)) else REFUSED_BY_SCANNER
        except BystanderError as error:
            if error.code != SCAN_FAILED or not self._is_given_up(file):
                raise
            return SCANNER_SILENT

    async def _written_down(self, file: SharedFile, message: Message | None) -> bool:
        kept = await self._table.finished(file, message, self._clock.utc_now())
        await self._spool.remove(file.id)
        if kept:
            self._changes.publish(file)
        return kept

    def _is_given_up(self, file: SharedFile) -> bool:
        path = self._spool.path(file.id)
        try:
            touched = path.stat().st_mtime
        except FileNotFoundError:
            touched = file.created_at.timestamp()
        return self._age_s(touched) > UPLOAD_TTL_S

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _age_s(self, since: float) -> float:
        return self._clock.utc_now().timestamp() - since

    async def _give_up(self, file: SharedFile) -> None:
        _log.info("an upload is given up", extra={"file": file.id})
        await self._spool.remove(file.id)  # first: on a full disk the database can write nothing before
        await self._table.delete(file.id)

    async def _remove_forgotten(self) -> None:
        """What lies in the spool and nobody knows: its conversation was deleted, or a crash came between."""
        lying = await self._spool.all()  # before the table is read: what lies there then stood in it already
        known = {row.file.id for row in await self._table.unfinished(self._node)}
        for file in lying:
            if file not in known:
                await self._spool.remove(file)

    async def _leave(self) -> None:
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _message(file: SharedFile) -> Message:
    kind = MessageKind.FILE_SHARED if file.kind is FileKind.FILE else MessageKind.SNAPSHOT_TAKEN
    return Message(
        id=new_message_id(),
        conversation=file.conversation,
        kind=kind,
        at=file.available_at or file.created_at,
        participant=file.participant,
        name=file.name,
        file=file.id,
    )
