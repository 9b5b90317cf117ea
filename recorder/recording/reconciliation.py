"""Reconciliation: recordings that an earlier server, or a lost node, left are adopted, shipped, or ended."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

from recorder.database import RecordingRow, RecordingTable
from recorder.database.recordings import LAST_STATES
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording.actor import ActorDependencies, RecordingActor
from recorder.recording.events import Lifecycle, Phase, StopWorker
from recorder.recording.service import RecordingService
from recorder.recording.state_machine import Step, adopt_ended, adopt_running
from storage.spool import SpoolEnding
from storage.upload.uploader import StoredObject

_log = logging.getLogger(__name__)


async def recover(recordings: RecordingService, means: ActorDependencies) -> int:
    """Take up every recording of this node that was not over, and every spool that was not shipped.

    Returns how many recordings. Another node's are left alone unless the bucket says that it is lost; what
    the bucket gives back only later is taken up then.
    """
    left = await means.shipping.take_up(partial(take_over, recordings, means))
    unfinished = await means.table.unfinished(means.node)
    for row in unfinished:
        if row.node is None:  # of an earlier release; the next server to start must not think it its own
            await means.table.take_over(row.id, means.node)
        recordings.admit(await _adopted(row, means) or await ended(row, means))
    spools = await means.shipping.recover()
    await take_over(recordings, means, left)
    known = {*left, *(row.id for row in unfinished)}
    for found in spools:
        if found.facts.recording not in known:
            means.shipping.look_after(_completed(found.facts.recording, means))
    return len(unfinished)


async def take_over(recordings: RecordingService, means: ActorDependencies, left: Sequence[str]) -> None:
    """Bring recordings to their end that have a spool again, or turned out to be in the store already."""
    live = {one.row.id for one in recordings}
    for recording in left:
        if recording in live:
            continue  # it waited for this
        row = await inherited(recording, means)
        if row is not None:
            recordings.admit(await ended(row, means))
        elif await means.shipping.ending(recording) is not None:  # else it is stored and known to be
            means.shipping.look_after(_completed(recording, means))


async def inherited(recording: str, means: ActorDependencies) -> RecordingRow | None:
    """The row of what a lost node left, this node's from now on; None where it is over, or unknown."""
    row = await _known(means.table, recording)
    if row is None or row.state in LAST_STATES:
        return None
    await means.table.take_over(recording, means.node)
    return msgspec.structs.replace(row, node=means.node)


async def ended(row: RecordingRow, means: ActorDependencies) -> RecordingActor:
    """The rest of the life of one without a worker: its spool says how it ended; else the worker died."""
    ending = await means.shipping.ending(row.id)
    if ending is not None:
        reason, failure = ending.reason, ending.failure
    elif row.state is RecordingState.FINALIZING and row.end_reason is not None:
        reason, failure = row.end_reason, row.failure  # shipped already, only not yet written down
    else:
        reason, failure = EndReason.ABORT_UNEXPECTED, "worker_died"
    _log.warning("a recording has no worker any more", extra={"recording": row.id, "failure": failure})
    now = means.clock.monotonic_ns() / 1e9
    step = adopt_ended(reason, failure, means.terms, now, recovered=row.failure is None)
    return RecordingActor(row, step, means)


async def complete(recording: str, means: ActorDependencies) -> StoredObject | None:
    """Ship a spool that no recording waits for: one that was given up, or that the database does not know.

    Where the recording is known, what became of it after all is written down, and told like any other end;
    doing it again changes nothing. The store's errors, database_failed.
    """
    ending = await means.shipping.ending(recording)
    row = await _known(means.table, recording)
    stored = await means.shipping.finish(recording, "" if row is None else row.object_key)
    if row is not None and ending is not None and stored is not None:
        after = amended(row, ending, stored, means.clock.utc_now())
        if after != row:
            await means.table.save(after)
    await means.shipping.forget(recording)
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
        failure=ending.failure,
        ended_at=row.ended_at or now,
        duration_s=ending.duration_us / 1e6,
        bytes=stored.size,
    )


async def _completed(recording: str, means: ActorDependencies) -> None:
    _log.warning("a spool that was given up is shipped", extra={"recording": recording})
    try:
        await complete(recording, means)
    except BystanderError as error:  # the spool stays, and is found at the next start
        _log.error("a spool was not shipped", extra={"recording": recording, "code": error.code})


async def _known(table: RecordingTable, recording: str) -> RecordingRow | None:
    try:
        return await table.get(recording)
    except BystanderError as error:
        if error.code != "not_found":
            raise
        return None


async def _adopted(row: RecordingRow, means: ActorDependencies) -> RecordingActor | None:
    """With its worker, which never stopped working."""
    live = RecordingActor(row, _running(row, means), means)
    if not await live.adopt_worker():
        return None
    _log.info("a running recording was found again", extra={"recording": row.id})
    return live


def _running(row: RecordingRow, means: ActorDependencies) -> Step:
    now = means.clock.monotonic_ns() / 1e9
    if row.state is RecordingState.FINALIZING:  # the earlier server had asked; asking twice is as once
        reason = row.end_reason or EndReason.NORMAL
        deadline = now + means.terms.drain_timeout_s
        draining = Lifecycle(
            phase=Phase.DRAINING, deadline=deadline, attempt=1, end_reason=reason, failure=row.failure
        )
        return draining, (StopWorker(reason=reason),)
    states = {RecordingState.RECORDING: Phase.RECORDING, RecordingState.PAUSED: Phase.PAUSED}
    return adopt_running(states.get(row.state, Phase.READY), means.terms, now), ()
