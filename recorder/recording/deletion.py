"""Deleting recordings with everything that was stored of them, and nothing else."""

from collections.abc import Sequence
from datetime import datetime

from recorder.archive.archive import Archive
from recorder.database import RecordingRow
from recorder.database.recordings import LAST_STATES
from recorder.kernel.recording import EndReason
from storage.keys import keys_of
from storage.store import ObjectStore
from storage.stores.object_lock import check_deletable
from storage.takeover.journal_format import side_prefix


def is_held_elsewhere(row: RecordingRow, node: str | None) -> bool:
    """Whether another node than this would bring back what is deleted here: it still records or stores it.

    What was given up with media waits in that node's spool for its next start.
    """
    given_up = row.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE and row.started_at is not None
    return row.node not in (None, node) and (given_up or row.state not in LAST_STATES)


async def check_recordings_deletable(store: ObjectStore, rows: Sequence[RecordingRow], now: datetime) -> None:
    """object_locked (409), naming the date, if anything of any of them is locked or held: all or none."""
    await check_deletable(store, [key for row in rows for key in keys_of(row.object_key)], now)


async def delete_recording(shipping: Archive, row: RecordingRow) -> None:
    """Remove what is stored of it and its spool; again after a failure in the middle removes the rest."""
    await shipping.drop(row.id)  # first, or an upload that still waits would bring the object back
    await delete_stored(shipping.store, row)
    await shipping.discard(row.id)


async def delete_stored(store: ObjectStore, row: RecordingRow) -> None:
    """Remove the media, its events, what stands beside its upload, and the upload.

    Objects are named one by one; the only prefix that is listed is its own, which ends in a slash.
    """
    async for upload in store.uploads.list_uploads(row.object_key):
        if upload.key == row.object_key:
            await store.uploads.abort(upload)
    beside = [info.key async for info in store.list_objects(side_prefix(row.id))]
    for key in (*beside, *keys_of(row.object_key)):
        await store.delete(key)
