"""Recordings are deleted when they are older than the policy says; what would go can be looked at first."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recorder.archive.file_spool import FOLDER, FileSpool
from recorder.database import ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.files import FileTable
from recorder.deletion.clock_watch import FILE, ClockWatch
from recorder.deletion.deletion import check_recordings_deletable, delete_stored, is_held_elsewhere
from recorder.deletion.file_deletion import FileDeletion
from recorder.deletion.file_retention import FileReport, FileRetention
from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.errors import BystanderError, caller_error
from recorder.node.data_directory import node_of
from recorder.settings.definitions import RetentionScope, Settings
from recorder.stores.named_stores import NamedStores
from recorder.stores.opening import opened
from storage.spool.format import MEDIA

LOOK_EVERY_S = 3600.0  # a policy counts in days
BATCH_MAX = 500  # rows in memory at once; the next look goes on
NOT_ENDED = "conversation_not_ended"  # why it is kept: nobody ended the conversation that it would go with

_log = logging.getLogger(__name__)


def conversations_of(settings: Settings, database: Database) -> ConversationTable | None:
    """What is deleted together with its recordings; None where these go alone."""
    with_them = settings.retention.deletes is RetentionScope.CONVERSATION
    return ConversationTable(database) if with_them else None


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What became of one recording that is due; `kept` is why it still is there."""

    row: RecordingRow
    kept: str | None = None


class Retention:
    """Applies `retention.days` to recordings that are over and in the store.

    With `conversations` a recording goes with its conversation alone: once that has ended and all of its
    recordings and files are due. Without, its messages stay and say that it has expired.
    """

    def __init__(
        self,
        table: RecordingTable,
        stores: NamedStores,
        spool: Path,
        clock: Clock,
        days: int,
        *,
        node: str | None,
        conversations: ConversationTable | None = None,
        files: FileDeletion | None = None,
        watch: ClockWatch | None = None,
    ) -> None:
        """`node` is whose spool that is; None where no server has worked yet. Without a `watch` the clock
        counts."""
        self._table = table
        self._stores = stores
        self._spool = spool
        self._clock = clock
        self._age = timedelta(days=days)
        self._node = node
        self._conversations = conversations
        self._files = files
        self._watch = watch

    async def apply(self, *, dry_run: bool) -> AsyncIterator[RetentionReport]:
        """Delete what is due, oldest first, and say so of each; with `dry_run` only say it.

        Kept are recordings that are locked or held, those whose spool still waits for the store, and all
        while the clock cannot be trusted (clock_jumped); a dry run says what would go by it.
        """
        now = self._clock.utc_now()
        doubt = None if dry_run or self._watch is None else await self._watch.doubt()
        if doubt is not None:
            _log.error("nothing is deleted: the clock may have jumped", extra={"now": now.isoformat()})
        after: str | None = None
        while rows := await self._table.over_before(now - self._age, after=after, limit=BATCH_MAX):
            for row in rows:
                yield RetentionReport(row, doubt) if doubt else await self._outcome(row, now, dry_run=dry_run)
            after = rows[-1].id

    async def apply_forever(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Apply the policy now and every hour, and log what it did."""
        while True:
            try:
                async for outcome in self.apply(dry_run=False):
                    told = {"recording": outcome.row.id, "kept": outcome.kept}
                    _log.info("a recording is past its retention", extra=told)
            except BystanderError as error:  # of the database; the store's are outcomes
                _log.error("retention could not be applied", extra={"code": error.code})
            await sleep(LOOK_EVERY_S)

    async def _outcome(self, row: RecordingRow, now: datetime, *, dry_run: bool) -> RetentionReport:
        spooled = await asyncio.to_thread((self._spool / row.id / MEDIA).exists)
        if spooled or is_held_elsewhere(row, self._node):
            return RetentionReport(row, "not_stored_yet")
        try:
            if (kept := await self._kept_by_conversation(row, now)) is not None:
                return RetentionReport(row, kept)
            await check_recordings_deletable(self._stores, [row], now)
            if not dry_run:
                await self._delete(row)
        except BystanderError as error:
            return RetentionReport(row, f"{error.code}: {error.detail}")
        return RetentionReport(row)

    async def _kept_by_conversation(self, row: RecordingRow, now: datetime) -> str | None:
        if self._conversations is None:
            return None
        if (await self._conversations.get(row.conversation)).ended_at is None:
            return NOT_ENDED
        others = await self._table.of(row.conversation)
        due = all(other.ended_at is not None and other.ended_at < now - self._age for other in others)
        return None if due and await self._files_are_due(row.conversation, now) else "conversation_exists"

    async def _files_are_due(self, conversation: str, now: datetime) -> bool:
        if self._files is None:
            return True
        await self._files.check(conversation, now)
        files = [row.file for row in await self._files.of(conversation)]
        return all((file.available_at or file.created_at) < now - self._age for file in files)

    async def _delete(self, row: RecordingRow) -> None:
        await delete_stored(self._stores, row)
        await self._table.expire(row.id)
        if self._conversations is not None and not await self._table.of(row.conversation):
            if self._files is not None:
                await self._files.delete_all_of(row.conversation, self._clock.utc_now())
            await self._conversations.delete(row.conversation)


async def apply_configured(
    settings: Settings, *, dry_run: bool
) -> tuple[list[RetentionReport], list[FileReport]]:
    """The same without a server, or beside one; files after recordings."""
    if settings.retention.days is None:
        raise caller_error("invalid_settings", "retention.days is not set: recordings are kept for good.")
    async with opened(settings) as own:
        if own.database is None:
            return [], []
        clock, days, recordings = SystemClock(), settings.retention.days, RecordingTable(own.database)
        conversations = conversations_of(settings, own.database)
        watch = ClockWatch(clock, own.stores.default.store, own.root / FILE)
        table = FileTable(own.database)
        deletion = FileDeletion(table, own.stores, FileSpool(own.root / FOLDER))
        retention = Retention(
            recordings,
            own.stores,
            own.root / "spool",
            clock,
            days,
            node=await asyncio.to_thread(node_of, own.root),
            conversations=conversations,
            files=deletion,
            watch=watch,
        )
        of_files = FileRetention(
            table, recordings, deletion, clock, days, conversations=conversations, watch=watch
        )
        return (
            [outcome async for outcome in retention.apply(dry_run=dry_run)],
            [report async for report in of_files.apply(dry_run=dry_run)],
        )
