"""Completion of uploads that no recording waits for any more: what was given up is available after all."""

import logging
from datetime import datetime

import msgspec

from recorder.archive.archive import Archive
from recorder.database import RecordingRow, RecordingTable
from recorder.database.recordings import LAST_STATES
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.kernel.log.subject import log_about
from recorder.kernel.recording import EndReason, RecordingState
from storage.spool import SpoolEnding
from storage.upload.kept import MEDIA_MISSING
from storage.upload.uploader import StoredObject

_log = logging.getLogger(__name__)


async def complete(
    recording: str, archive: Archive, table: RecordingTable, clock: Clock
) -> StoredObject | None:
    """Ship a spool that no recording waits for: one that was given up, or that the database does not know.

    Where the recording is known, what became of it after all is written down, and told like any other end;
    doing it again changes nothing. The store's errors, database_failed.
    """
    row = await known(table, recording)
    if row is not None:
        await archive.mend(recording, row.object_key, row.store)
    ending = await archive.ending(recording)
    store = await archive.store_of_spool(recording) if row is None else row.store
    stored = await archive.finish(recording, "" if row is None else row.object_key, store)
    if row is not None and ending is not None and stored is not None:
        after = amended(row, ending, stored, clock.utc_now())
        if after != row:
            await table.save(after)
    await archive.forget(recording)
    return stored


def amended(row: RecordingRow, ending: SpoolEnding, stored: StoredObject, now: datetime) -> RecordingRow:
    """The row of a recording that was over, or given up, before its object was whole; pure.

    It ended as its spool says. What was whole already, and why that ended, stands.
    """
    given_up = row.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE
    if row.state in LAST_STATES and row.bytes == stored.size and not given_up:
        return row
    return msgspec.structs.replace(
        row,
        state=RecordingState.AVAILABLE,
        end_reason=ending.reason,
        failure=ending.failure or shortcoming(stored),
        ended_at=row.ended_at or now,
        duration_s=ending.duration_us / 1e6,
        bytes=stored.size,
        missing_s=missing_s(stored),
    )


def shortcoming(stored: StoredObject) -> str | None:
    """The failure of a recording of which something is missing, blank, or another than was recorded; pure."""
    return None if stored.is_whole else MEDIA_MISSING


def missing_s(stored: StoredObject) -> float | None:
    """How much of the recording's time the object lacks; None where nothing is known to be missing. Pure."""
    return stored.missing_us / 1e6 or None


async def complete_late(recording: str, archive: Archive, table: RecordingTable, clock: Clock) -> None:
    """The same for a recording that nobody asks about any more; what goes wrong is in the log."""
    log_about(recording)
    _log.warning("a spool that was given up is shipped", extra={"recording": recording})
    try:
        await complete(recording, archive, table, clock)
    except BystanderError as error:  # the spool stays, and is found at the next start
        _log.error("a spool was not shipped", extra={"recording": recording, "code": error.code})


async def known(table: RecordingTable, recording: str) -> RecordingRow | None:
    """The recording's row; None for one that the database does not know."""
    try:
        return await table.get(recording)
    except BystanderError as error:
        if error.code != "not_found":
            raise
        return None
