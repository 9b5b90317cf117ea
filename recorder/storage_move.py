"""`bystander storage move`: takes recordings to another store, also beside a server, and again after a kill.

A recording is copied, the copy is proved, the database says that it lies there now, and only then the
original goes. What is interrupted is taken up by the next run: a copy goes on, an original that was left is
removed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path

from recorder.audit.commands import STORAGE_MOVED, write_command
from recorder.database import Database, RecordingRow, RecordingTable
from recorder.database.stores import StoreTable
from recorder.deletion.deletion import delete_objects, is_held_elsewhere
from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.recording import RecordingState
from recorder.node.data_directory import node_of
from recorder.settings.definitions import Settings
from recorder.stores.named_stores import NamedStore, NamedStores
from recorder.stores.opening import opened
from storage.copying import ObjectCopy
from storage.errors import CORRUPTED, OBJECT_MISSING, store_error
from storage.identity import has_mark
from storage.keys import events_key, keys_of
from storage.spool.format import MEDIA
from storage.stores.object_lock import check_deletable

BATCH_MAX = 500  # rows in memory at once

_Recordings = Collection[str] | None


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What became of one recording; `kept` is why it still lies where it was, or partly does."""

    row: RecordingRow
    source: str  # the store's name
    kept: str | None = None


class StorageMove:
    """Moves to one store of the settings."""

    def __init__(
        self,
        stores: NamedStores,
        table: RecordingTable,
        places: StoreTable,
        spool: Path,
        clock: Clock,
        *,
        target: str,
        node: str | None = None,
    ) -> None:
        self._stores = stores
        self._table = table
        self._places = places
        self._spool = spool
        self._clock = clock
        self._target = stores.named(target)
        self._node = node
        self._others: set[tuple[str, str]] = set()  # pairs that are known to be two stores

    async def run(
        self, *, source: str | None = None, recordings: _Recordings = None, dry_run: bool = False
    ) -> AsyncIterator[MoveReport]:
        """Move all that is over, or these, or what lies in the store of that name; say so of each.

        Kept are recordings that are locked or held, that are not stored yet, or whose store cannot be asked.
        The target's own errors.
        """
        await self._target.check()
        after: str | None = None
        while rows := await self._places.to_move(self._target.id, after=after, limit=BATCH_MAX):
            for row in rows:
                name = self._stores.name_of(row.moved_from or row.store)
                if (source in (None, name)) and (recordings is None or row.id in recordings):
                    yield await self._outcome(row, name, dry_run=dry_run)
            after = rows[-1].id

    async def _outcome(self, row: RecordingRow, source: str, *, dry_run: bool) -> MoveReport:
        spooled = await asyncio.to_thread((self._spool / row.id / MEDIA).exists)
        if spooled or is_held_elsewhere(row, self._node):
            return MoveReport(row, source, "not_stored_yet")
        try:
            await self._taken(row, dry_run=dry_run)
        except BystanderError as error:
            return MoveReport(row, source, f"{error.code}: {error.detail}")
        return MoveReport(row, source)

    async def _taken(self, row: RecordingRow, *, dry_run: bool) -> None:
        """First to its end what an earlier move began, then here."""
        if row.moved_from is not None and not dry_run:
            await self._remove(row, await self._stores.of(row.moved_from), await self._stores.of(row.store))
        if row.store == self._target.id or row.store is None:
            return
        if row.state is RecordingState.FAILED and row.started_at is None:  # there are no objects
            if not dry_run and await self._places.move(row.id, row.store, self._target.id):
                await self._places.moved(row.id)
            return
        await self._move(row, row.store, await self._stores.of(row.store), dry_run=dry_run)

    async def _move(self, row: RecordingRow, store: str, source: NamedStore, *, dry_run: bool) -> None:
        await self._check_other(source, self._target)
        await check_deletable(source.store, keys_of(row.object_key), self._clock.utc_now())
        if dry_run:
            return
        await self._copy(row, source)
        if await self._places.move(row.id, store, self._target.id):
            await self._remove(row, source, self._target)
        else:
            await self._left_behind(row)

    async def _copy(self, row: RecordingRow, source: NamedStore) -> None:
        """A recording that failed may have no objects; object_missing of another."""
        for key in keys_of(row.object_key):
            copy = ObjectCopy(
                source.store, self._target.store, key, part_size_bytes=self._target.settings.part_size_bytes
            )
            try:
                await copy.run()
            except BystanderError as error:
                is_there = row.state is RecordingState.AVAILABLE and key != events_key(row.object_key)
                if error.code != OBJECT_MISSING or is_there:
                    raise

    async def _remove(self, row: RecordingRow, source: NamedStore, target: NamedStore) -> None:
        """Remove the original, now that the database says where the copy is; object_locked keeps it."""
        await self._check_other(source, target)
        await self._check_copied(row, source, target)
        await check_deletable(source.store, keys_of(row.object_key), self._clock.utc_now())
        await delete_objects(source.store, row)
        await self._places.moved(row.id)

    async def _check_copied(self, row: RecordingRow, source: NamedStore, target: NamedStore) -> None:
        """It was proved, perhaps days ago: the copy is still as long as the original."""
        try:
            original = await source.store.head(row.object_key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return
        copy = await target.store.head(row.object_key)
        if copy.size != original.size:
            raise store_error(CORRUPTED, f"the copy has {copy.size} bytes of {original.size}")

    async def _left_behind(self, row: RecordingRow) -> None:
        """Somebody was faster, and deleted the recording or moved it: a copy that nobody knows of goes."""
        try:
            now = await self._table.get(row.id)
        except BystanderError as error:
            if error.code != "not_found":
                raise
        else:
            if self._target.id in (now.store, now.moved_from):
                return
        await delete_objects(self._target.store, row)

    async def _check_other(self, source: NamedStore, target: NamedStore) -> None:
        """Refuse to move a recording onto itself, and to delete it then: whatever the addresses say."""
        if (source.id, target.id) in self._others:
            return
        for named in (source, target):
            await named.check()  # from now on it has its mark
        if source.id == target.id or await has_mark(target.store, source.id):
            detail = f"{source.name} and {target.name} are one store."
            raise BystanderError("same_store", detail, fault=Fault.CALLER, status=409)
        self._others.add((source.id, target.id))


async def move_configured(
    settings: Settings, target: str, *, source: str | None, recordings: _Recordings, dry_run: bool
) -> AsyncIterator[MoveReport]:
    """The same as the settings say; no_database where nothing was ever recorded."""
    async with opened(settings) as own:
        if own.database is None:
            raise caller_error("no_database", "Nothing was recorded yet: there is nothing to move.")
        move = StorageMove(
            own.stores,
            RecordingTable(own.database),
            StoreTable(own.database),
            own.root / "spool",
            SystemClock(),
            target=target,
            node=await asyncio.to_thread(node_of, own.root),
        )
        async for report in move.run(source=source, recordings=recordings, dry_run=dry_run):
            if report.kept is None and not dry_run:
                await _note(own.database, report, target)
            yield report


async def _note(database: Database, report: MoveReport, target: str) -> None:
    await write_command(
        database,
        SystemClock(),
        STORAGE_MOVED,
        recording=report.row.id,
        conversation=report.row.conversation,
        details={"from": report.source, "to": target},
    )
