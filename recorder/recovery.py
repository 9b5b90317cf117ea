"""What a restarted server does about recordings that an earlier one left: adopts, ships, or ends them."""

import logging

from recorder.database import RecordingRow
from recorder.life import Life, Phase, StopWorker
from recorder.lifecycle import Step, adopt_ended, adopt_running
from recorder.live import LiveRecording, Means
from recorder.recordings import Recordings
from recorder.values import EndReason, RecordingState

_log = logging.getLogger(__name__)


async def recover(recordings: Recordings, means: Means) -> int:
    """Take up every recording that was not over, and every spool that was not shipped; returns how many."""
    await means.shipping.take_up()
    unfinished = await means.table.unfinished()
    for row in unfinished:
        recordings.admit(await _adopted(row, means) or await _ended(row, means))
    known = {row.id for row in unfinished}
    for found in await means.shipping.recover():
        if found.facts.recording not in known:
            _log.warning("a spool that was given up is shipped", extra={"recording": found.facts.recording})
    return len(unfinished)


async def _adopted(row: RecordingRow, means: Means) -> LiveRecording | None:
    """With its worker, which never stopped working."""
    live = LiveRecording(row, _running(row, means), means)
    if not await live.adopt_worker():
        return None
    _log.info("a running recording was found again", extra={"recording": row.id})
    return live


def _running(row: RecordingRow, means: Means) -> Step:
    now = means.clock.monotonic_ns() / 1e9
    if row.state is RecordingState.FINALIZING:  # the earlier server had asked; asking twice is as once
        reason = row.end_reason or EndReason.NORMAL
        deadline = now + means.terms.drain_timeout_s
        draining = Life(
            phase=Phase.DRAINING, deadline=deadline, attempt=1, end_reason=reason, failure=row.failure
        )
        return draining, (StopWorker(reason=reason),)
    states = {RecordingState.RECORDING: Phase.RECORDING, RecordingState.PAUSED: Phase.PAUSED}
    return adopt_running(states.get(row.state, Phase.READY), means.terms, now), ()


async def _ended(row: RecordingRow, means: Means) -> LiveRecording:
    """Without a worker: its spool says how it ended; one that does not say died."""
    ending = await means.shipping.ending(row.id)
    if ending is not None:
        reason, failure = ending.reason, ending.failure
    elif row.state is RecordingState.FINALIZING and row.end_reason is not None:
        reason, failure = row.end_reason, row.failure  # shipped already, only not yet written down
    else:
        reason, failure = EndReason.ABORT_UNEXPECTED, "worker_died"
    _log.warning("a recording has no worker any more", extra={"recording": row.id, "failure": failure})
    now = means.clock.monotonic_ns() / 1e9
    return LiveRecording(row, adopt_ended(reason, failure, means.terms, now), means)
