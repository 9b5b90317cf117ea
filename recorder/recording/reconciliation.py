"""Reconciliation: recordings that an earlier server, or a lost node, left are adopted, shipped, or ended."""

import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from recorder.archive.completion import complete_late, known
from recorder.database import RecordingRow
from recorder.database.recordings import LAST_STATES
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording.actor import RecordingActor
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.events import Lifecycle, Phase, StopWorker
from recorder.recording.registry import RecordingRegistry
from recorder.recording.state_machine import Step, adopt_ended, adopt_running

_log = logging.getLogger(__name__)


async def recover(registry: RecordingRegistry, dependencies: ActorDependencies) -> int:
    """Take up every recording of this node that was not over, and every spool that was not shipped.

    Returns how many recordings. Another node's are left alone unless the bucket says that it is lost; what
    the bucket gives back only later is taken up then.
    """
    left = await dependencies.archive.take_up(partial(take_over, registry, dependencies))
    unfinished = await dependencies.table.unfinished(dependencies.node)
    for row in unfinished:
        if row.node is None:  # of an earlier release; the next server to start must not think it its own
            await dependencies.table.take_over(row.id, dependencies.node)
        registry.admit(await _adopted(row, dependencies) or await ended(row, dependencies))
    spools = await dependencies.archive.recover()
    await take_over(registry, dependencies, left)
    known = {*left, *(row.id for row in unfinished)}
    for found in spools:
        if found.recording not in known and found.damage is None:
            dependencies.archive.look_after(_late(found.recording, dependencies))
    return len(unfinished)


async def take_over(
    registry: RecordingRegistry, dependencies: ActorDependencies, left: Sequence[str]
) -> None:
    """Bring recordings to their end that have a spool again, or turned out to be in the store already."""
    for recording in left:
        if recording in registry:
            continue  # it waited for this
        row = await inherited(recording, dependencies)
        if row is not None:
            registry.admit(await ended(row, dependencies))
        elif await dependencies.archive.ending(recording) is not None:  # else it is stored and known to be
            dependencies.archive.look_after(_late(recording, dependencies))


async def inherited(recording: str, dependencies: ActorDependencies) -> RecordingRow | None:
    """The row of what a lost node left, this node's from now on; None where it is over, or unknown."""
    row = await known(dependencies.table, recording)
    if row is None or row.state in LAST_STATES:
        return None
    await dependencies.table.take_over(recording, dependencies.node)
    return msgspec.structs.replace(row, node=dependencies.node)


async def ended(row: RecordingRow, dependencies: ActorDependencies) -> RecordingActor:
    """The rest of the life of one without a worker: its spool says how it ended; else the worker died."""
    await dependencies.archive.mend(row.id, row.object_key)
    ending = await dependencies.archive.ending(row.id)
    if ending is not None:
        reason, failure = ending.reason, ending.failure
    elif row.state is RecordingState.FINALIZING and row.end_reason is not None:
        reason, failure = row.end_reason, row.failure  # shipped already, only not yet written down
    else:
        reason, failure = EndReason.ABORT_UNEXPECTED, "worker_died"
    _log.warning("a recording has no worker any more", extra={"recording": row.id, "failure": failure})
    now = dependencies.now_s()
    step = adopt_ended(reason, failure, dependencies.terms, now)
    return RecordingActor(row, step, dependencies)


async def _adopted(row: RecordingRow, dependencies: ActorDependencies) -> RecordingActor | None:
    """With its worker, which never stopped working."""
    live = RecordingActor(row, _running(row, dependencies), dependencies)
    if not await live.adopt_worker():
        return None
    _log.info("a running recording was found again", extra={"recording": row.id})
    return live


def _running(row: RecordingRow, dependencies: ActorDependencies) -> Step:
    now = dependencies.now_s()
    if row.state is RecordingState.FINALIZING:  # the earlier server had asked; asking twice is as once
        reason = row.end_reason or EndReason.NORMAL
        deadline = now + dependencies.terms.drain_timeout_s
        draining = Lifecycle(
            phase=Phase.DRAINING, deadline=deadline, attempt=1, end_reason=reason, failure=row.failure
        )
        return draining, (StopWorker(reason=reason),)
    states = {
        RecordingState.RECORDING: Phase.RECORDING,
        RecordingState.PAUSED: Phase.PAUSED,
        RecordingState.INTERRUPTED: Phase.RESUMING,
    }
    return adopt_running(states.get(row.state, Phase.READY), dependencies.terms, now), ()


def _late(recording: str, own: ActorDependencies) -> Coroutine[Any, Any, None]:
    return complete_late(recording, own.archive, own.table, own.clock)
