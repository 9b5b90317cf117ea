"""Deletion of recordings with everything that was stored of them, and of nothing else."""

from collections.abc import Sequence
from datetime import datetime

from recorder.archive.archive import Archive
from recorder.database import RecordingRow
from recorder.database.recordings import LAST_STATES
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.registry import RecordingRegistry
from recorder.stores.named_stores import NamedStore, NamedStores
from storage.keys import keys_of
from storage.store import ObjectStore
from storage.stores.object_lock import check_deletable
from storage.takeover.journal_format import side_prefix


class RecordingDeletion:
    """Removes the recordings of a conversation, all or none."""

    def __init__(self, registry: RecordingRegistry, dependencies: ActorDependencies) -> None:
        self._registry = registry
        self._dependencies = dependencies

    async def check(self, conversation: str) -> None:
        """object_locked (409), naming the date, if anything that was stored of it may not be deleted yet."""
        await self._check(await self._dependencies.table.of(conversation))

    async def delete_all_of(self, conversation: str) -> None:
        """End and remove every recording of a conversation, with its media."""
        registry, node = self._registry, self._dependencies.node
        await registry.end_all_of(conversation, EndReason.NORMAL)
        await registry.over(conversation, self._dependencies.terms.drain_timeout_s)
        rows = await self._dependencies.table.of(conversation)
        if any(row.id in registry or is_held_elsewhere(row, node) for row in rows):
            raise BystanderError(
                "recording_running",
                "A recording of the conversation is still being stored.",
                fault=Fault.RESOURCE,
                status=503,
            )
        await self._check(rows)
        for row in rows:
            await delete_recording(self._dependencies.archive, row)

    async def _check(self, rows: Sequence[RecordingRow]) -> None:
        now = self._dependencies.clock.utc_now()
        await check_recordings_deletable(self._dependencies.archive.stores, rows, now)


def is_held_elsewhere(row: RecordingRow, node: str | None) -> bool:
    """Whether another node than this would bring back what is deleted here: it still records or stores it.

    What was given up with media waits in that node's spool for its next start.
    """
    given_up = row.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE and row.started_at is not None
    return row.node not in (None, node) and (given_up or row.state not in LAST_STATES)


async def check_recordings_deletable(
    stores: NamedStores, rows: Sequence[RecordingRow], now: datetime
) -> None:
    """object_locked (409), naming the date, if anything of any of them is locked or held: all or none.

    store_not_configured (503) where one lies in a store that cannot be asked.
    """
    keys: dict[str, list[str]] = {}
    for row in rows:
        for named in await _places_of(stores, row):
            keys.setdefault(named.name, []).extend(keys_of(row.object_key))
    for name, of_store in keys.items():
        await check_deletable(stores.named(name).store, of_store, now)


async def delete_recording(archive: Archive, row: RecordingRow) -> None:
    """Remove what is stored of it and its spool; again after a failure in the middle removes the rest."""
    await archive.drop(row.id)  # first, or an upload that still waits would bring the object back
    await delete_stored(archive.stores, row)
    await archive.discard(row.id)


async def delete_stored(stores: NamedStores, row: RecordingRow) -> None:
    """Remove it from its store, and from the one that it is being moved from; store_not_configured."""
    for named in await _places_of(stores, row):
        await delete_objects(named.store, row)


async def delete_objects(store: ObjectStore, row: RecordingRow) -> None:
    """Remove all of it from one store."""
    await delete_objects_of(store, row.id, row.object_key)


async def delete_objects_of(store: ObjectStore, recording: str, key: str) -> None:
    """Remove the media, its events, what stands beside its upload, and the upload.

    Objects are named one by one; the only prefix that is listed is its own, which ends in a slash.
    """
    async for upload in store.uploads.list_uploads(key):
        if upload.key == key:
            await store.uploads.abort(upload)
    beside = [info.key async for info in store.list_objects(side_prefix(recording))]
    for name in (*beside, *keys_of(key)):
        await store.delete(name)


async def _places_of(stores: NamedStores, row: RecordingRow) -> list[NamedStore]:
    """One that has nothing of it, and never began, need not be configured."""
    if row.state is RecordingState.FAILED and row.started_at is None and stores.at_once(row.store) is None:
        return []
    places = [await stores.of(row.store)]
    if row.moved_from is not None:
        places.append(await stores.of(row.moved_from))
    return places
