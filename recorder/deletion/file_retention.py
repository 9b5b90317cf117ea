"""Files are deleted when they are older than the policy says: with their conversation, or each by itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.database import ConversationTable, RecordingTable
from recorder.database.files import FileRow, FileTable
from recorder.deletion.clock_watch import ClockWatch
from recorder.deletion.file_deletion import FileDeletion
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError

LOOK_EVERY_S = 3600.0  # a policy counts in days
BATCH_MAX = 500  # rows in memory at once

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file that is due; `kept` is why it still is there."""

    row: FileRow
    kept: str | None = None


class FileRetention:
    """Applies `retention.days` to files of conversations that have ended.

    With `conversations` a file goes with its conversation alone: once all of its files are due and it has no
    recordings (left); one that has recordings goes by their retention. Without, its message stays and says
    that it has expired.
    """

    def __init__(
        self,
        table: FileTable,
        recordings: RecordingTable,
        deletion: FileDeletion,
        clock: Clock,
        days: int,
        *,
        conversations: ConversationTable | None = None,
        watch: ClockWatch | None = None,
    ) -> None:
        self._table = table
        self._recordings = recordings
        self._deletion = deletion
        self._clock = clock
        self._age = timedelta(days=days)
        self._conversations = conversations
        self._watch = watch

    async def apply(self, *, dry_run: bool) -> AsyncIterator[FileReport]:
        """Delete what is due, oldest first, and say so of each; with `dry_run` only say it."""
        now = self._clock.utc_now()
        doubt = None if dry_run or self._watch is None else await self._watch.doubt()
        after: str | None = None
        while rows := await self._table.available_before(now - self._age, after=after, limit=BATCH_MAX):
            for row in rows:
                yield FileReport(row, doubt or await self._kept(row, now, dry_run=dry_run))
            after = rows[-1].file.id

    async def apply_forever(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Apply the policy now and every hour, and log what it did."""
        while True:
            try:
                async for report in self.apply(dry_run=False):
                    told = {"file": report.row.file.id, "kept": report.kept}
                    _log.info("a file is past its retention", extra=told)
            except BystanderError as error:  # of the database; the stores' are outcomes
                _log.error("retention of files could not be applied", extra={"code": error.code})
            await sleep(LOOK_EVERY_S)

    async def _kept(self, row: FileRow, now: datetime, *, dry_run: bool) -> str | None:
        try:
            if self._conversations is None:
                await self._expire(row, now, dry_run=dry_run)
                return None
            return await self._delete_with_conversation(row, now, dry_run=dry_run)
        except BystanderError as error:
            return f"{error.code}: {error.detail}"

    async def _expire(self, row: FileRow, now: datetime, *, dry_run: bool) -> None:
        await self._deletion.check_one(row, now)
        if not dry_run:
            await self._deletion.delete_stored(row)
            await self._table.expire(row.file.id)

    async def _delete_with_conversation(self, row: FileRow, now: datetime, *, dry_run: bool) -> str | None:
        conversation = row.file.conversation
        if await self._recordings.of(conversation) or not await self.are_due(conversation, now):
            return "conversation_exists"
        await self._deletion.check(conversation, now)
        if not dry_run and self._conversations is not None:
            await self._deletion.delete_all_of(conversation, now)
            await self._conversations.delete(conversation)
        return None

    async def are_due(self, conversation: str, now: datetime) -> bool:
        """Whether all files of a conversation may go by their age."""
        due = now - self._age
        files = [row.file for row in await self._deletion.of(conversation)]
        return all((file.available_at or file.created_at) < due for file in files)
