"""Reconciliation: recordings that an earlier server, or a lost node, left are adopted, shipped, or ended."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
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
from recorder.recording.plan import terms
from recorder.recording.registry import RecordingRegistry
from recorder.recording.state_machine import Step, adopt_ended, adopt_running
from recorder.settings.definitions import Settings

SettingsOf = Callable[[str], Awaitable[Settings]]
"""Settings as they count for a conversation, by its id."""

_HAD_MEDIA = (RecordingState.RECORDING, RecordingState.INTERRUPTED)
_PHASES = {
    RecordingState.RECORDING: Phase.RECORDING,
    RecordingState.PAUSED: Phase.PAUSED,
    RecordingState.INTERRUPTED: Phase.RESUMING,
}

_log = logging.getLogger(__name__)


async def recover(
    registry: RecordingRegistry, dependencies: ActorDependencies, settings_of: SettingsOf
) -> int:
    """Take up every recording of this node that was not over, and every spool that was not shipped.

    Returns how many recordings. Another node's are left alone unless the bucket says that it is lost; what
    the bucket gives back only later is taken up then.
    """
    going_on = set()
    left = await dependencies.archive.take_up(partial(take_over, registry, dependencies))
    unfinished = await dependencies.table.unfinished(dependencies.node)
    for row in unfinished:
        if row.node is None:  # of an earlier release; the next server to start must not think it its own
            await dependencies.table.take_over(row.id, dependencies.node)
        settings = await settings_of(row.conversation)
        actor = await _adopted(row, dependencies, settings) or await _interrupted(row, dependencies, settings)
        if actor is not None:
            going_on.add(row.id)
        registry.admit(actor or await ended(row, dependencies))
    spools = await dependencies.archive.recover(going_on)
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
    await dependencies.archive.mend(row.id, row.object_key, row.store)
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


async def _adopted(
    row: RecordingRow, dependencies: ActorDependencies, settings: Settings
) -> RecordingActor | None:
    """With its worker, which never stopped working."""
    live = RecordingActor(row, await _running(row, dependencies, settings), dependencies, settings)
    if not await live.adopt_worker():
        return None
    _log.info("a running recording was found again", extra={"recording": row.id})
    return live


async def _interrupted(
    row: RecordingRow, dependencies: ActorDependencies, settings: Settings
) -> RecordingActor | None:
    """Without its worker, which died with the server: to go on, if its people may still be there.

    That is as long as a recording may be without media anyway.
    """
    if row.state not in _HAD_MEDIA or row.started_at is None:
        return None
    await dependencies.archive.mend(row.id, row.object_key)
    written_s = await dependencies.archive.written_s(row.id)
    if written_s is None or not terms(settings).continues:
        return None
    silent_s = (dependencies.clock.utc_now() - row.started_at).total_seconds() - written_s
    if silent_s > settings.recording.no_media_timeout_s:
        return None
    actor = RecordingActor(row, await _running(row, dependencies, settings), dependencies, settings)
    await actor.read_roster()
    actor.lost_worker("worker_died")
    _log.warning("a recording lost its worker with its server, and goes on", extra={"recording": row.id})
    return actor


async def _running(row: RecordingRow, dependencies: ActorDependencies, settings: Settings) -> Step:
    now, limits = dependencies.now_s(), terms(settings)
    if row.state is RecordingState.FINALIZING:  # the earlier server had asked; asking twice is as once
        reason = row.end_reason or EndReason.NORMAL
        deadline = now + limits.drain_timeout_s
        draining = Lifecycle(
            phase=Phase.DRAINING, deadline=deadline, attempt=1, end_reason=reason, failure=row.failure
        )
        return draining, (StopWorker(reason=reason),)
    attempt = max(1, len(await dependencies.table.attempts(row.id)))
    phase = _PHASES.get(row.state, Phase.READY)
    return adopt_running(phase, limits, now, attempt), ()


def _late(recording: str, own: ActorDependencies) -> Coroutine[Any, Any, None]:
    return complete_late(recording, own.archive, own.table, own.clock)
