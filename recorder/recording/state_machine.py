"""The life of one recording as a literal table: step(life, event, terms, now) -> (next life, effects).

Which event leads from which phase to which is TABLE, at the end; docs/lifecycle.md shows its diagram.
A *phase* is finer than the state that callers see: FINALIZING is DRAINING (the worker writes its last
fragment) and then UPLOADING (the store takes what is missing). Rules that hold for every path:

- Every phase but the two last ones has a deadline; `Overdue` is an event like any other, so nothing is stuck.
- A recording that wrote something passes UPLOADING whatever befell it: what was received is kept.
- AVAILABLE is entered by `Uploaded` only, which says that the object was verified in its store.
- What its store holds is AVAILABLE, also where it was cut short: `end_reason` and `failure` say so.
- An event that the table does not know raises IllegalMoveError and changes nothing.

Pure: times are seconds on one monotonic clock, handed in as `now`. Which interactions are held back, released
or aborted meanwhile is decided by who reads the phases; this file knows one recording only.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from recorder.recording.events import (
    AbandonUpload,
    CheckStore,
    Effect,
    Event,
    KillWorker,
    LaunchWorker,
    Lifecycle,
    MediaStarted,
    NothingWritten,
    Overdue,
    PauseTaken,
    Phase,
    ResumeTaken,
    StopRequested,
    StopWorker,
    StoreReachable,
    StoreUnreachable,
    Timeouts,
    Upload,
    Uploaded,
    UploadFailed,
    WorkerEnded,
    WorkerLost,
    WorkerReady,
)

RETRY_DELAY_S_FIRST = 1.0  # a crashed launch costs CPU; sooner would find the same machine in the same state

STEADY_S = 3.0  # a worker that records for so long did not die of what the one before it died of

Step = tuple[Lifecycle, tuple[Effect, ...]]
Rule = Callable[[Lifecycle, Any, Timeouts, float], Step]


class Row(NamedTuple):
    """What an event does in a phase, and to which phases that leads."""

    rule: Rule
    to: tuple[Phase, ...]


class IllegalMoveError(BystanderError):
    """The table knows no such move; the life it was asked of is unchanged."""

    def __init__(self, phase: Phase, event: Event) -> None:
        detail = f"A recording that is {phase.state} does not take {type(event).__name__}."
        super().__init__("illegal_move", detail, fault=Fault.SERVER, status=409)


def begin(terms: Timeouts, now: float) -> Step:
    """A recording was asked for."""
    return Lifecycle(phase=Phase.CHECKING, deadline=now + terms.check_timeout_s), (CheckStore(),)


def adopt_running(phase: Phase, terms: Timeouts, now: float, attempt: int = 1) -> Lifecycle:
    """A restarted server found the recording in this phase: one that takes publishers.

    `attempt`: which one launched its worker.
    """
    if not phase.takes_publishers:
        raise ValueError(f"a worker is not {phase}")
    waits = phase in (Phase.READY, Phase.RESUMING)
    limit = terms.media_timeout_s if waits else terms.duration_s_max
    return Lifecycle(phase=phase, deadline=now + limit, attempt=attempt)


def adopt_ended(end_reason: EndReason, failure: str | None, terms: Timeouts, now: float) -> Step:
    """A restarted server found the recording without a worker: what its spool says is shipped."""
    life = Lifecycle(phase=Phase.DRAINING, deadline=now)
    return _upload(life, terms, now, end_reason, failure)


def step(life: Lifecycle, event: Event, terms: Timeouts, now: float) -> Step:
    """Apply one event; IllegalMoveError where the table has no row."""
    row = TABLE.get((life.phase, type(event)))
    if row is None:
        raise IllegalMoveError(life.phase, event)
    return row.rule(life, event, terms, now)


def retry_delay_s(attempt: int, terms: Timeouts) -> float:
    """How long to wait after the failed `attempt` (from 1)."""
    return back_off_s(attempt, terms.retry_delay_s_max)


def back_off_s(failures: int, delay_s_max: float) -> float:
    """How long to wait after so many failures (from 1) in a row: doubling, capped."""
    doublings = min(failures - 1, 32)  # beyond that only the cap speaks, and floats stay finite
    return min(RETRY_DELAY_S_FIRST * 2.0**doublings, delay_s_max)


def start_limit_s(terms: Timeouts) -> float:
    """The longest that a recording takes from being asked for to READY or FAILED."""
    waits = sum(retry_delay_s(attempt, terms) for attempt in range(1, terms.attempts_max))
    return terms.check_timeout_s + terms.attempts_max * terms.initialization_timeout_s + waits


# --- rules: before there is media --------------------------------------------------------------------
def _launch(life: Lifecycle, event: Event, terms: Timeouts, now: float) -> Step:
    attempt = life.attempt + 1
    deadline = now + terms.initialization_timeout_s
    launching = Lifecycle(phase=Phase.LAUNCHING, deadline=deadline, attempt=attempt)
    return launching, (LaunchWorker(attempt=attempt),)


def _no_store(life: Lifecycle, event: StoreUnreachable, terms: Timeouts, now: float) -> Step:
    return _failed(life, EndReason.ABORT_BLOBSTORE_FAILURE, event.failure), ()


def _no_answer_from_store(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    return _failed(life, EndReason.ABORT_BLOBSTORE_FAILURE, "store_unreachable"), ()


def _attempt_lost(life: Lifecycle, event: WorkerLost, terms: Timeouts, now: float) -> Step:
    return _attempt_failed(life, event.failure, terms, now)


def _attempt_ended(life: Lifecycle, event: WorkerEnded, terms: Timeouts, now: float) -> Step:
    return _attempt_failed(life, event.failure or "worker_died", terms, now)


def _attempt_overdue(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    after, _ = _attempt_failed(life, "worker_not_ready", terms, now)
    return after, (KillWorker(),)


def _attempt_failed(life: Lifecycle, failure: str, terms: Timeouts, now: float) -> Step:
    if life.attempt >= terms.attempts_max:
        return _failed(life, EndReason.ABORT_UNEXPECTED, failure), ()
    deadline = now + retry_delay_s(life.attempt, terms)
    return Lifecycle(phase=Phase.BACKING_OFF, deadline=deadline, attempt=life.attempt), ()


def _cancelled(life: Lifecycle, event: StopRequested, terms: Timeouts, now: float) -> Step:
    effects = (KillWorker(),) if life.phase is Phase.LAUNCHING else ()
    return _failed(life, event.reason, "stopped_before_start"), effects


def _ready(life: Lifecycle, event: WorkerReady, terms: Timeouts, now: float) -> Step:
    return _moved(life, Phase.READY, now + terms.media_timeout_s), ()


# --- rules: while it runs ----------------------------------------------------------------------------
def _recording(life: Lifecycle, event: MediaStarted, terms: Timeouts, now: float) -> Step:
    """Also once more, after an interruption: it does not get longer by that."""
    ends_at = life.ends_at or now + terms.duration_s_max
    recording = _moved(life, Phase.RECORDING, ends_at)
    return msgspec.structs.replace(recording, ends_at=ends_at, recorded_since=now), ()


def _paused(life: Lifecycle, event: PauseTaken, terms: Timeouts, now: float) -> Step:
    return _moved(life, Phase.PAUSED, life.deadline), ()


def _resumed(life: Lifecycle, event: ResumeTaken, terms: Timeouts, now: float) -> Step:
    return _moved(life, Phase.RECORDING, life.deadline), ()


def _stopping(life: Lifecycle, event: StopRequested, terms: Timeouts, now: float) -> Step:
    return _drain(life, terms, now, event.reason, None)


def _no_media(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    return _drain(life, terms, now, EndReason.ABORT_TIMEOUT, "no_media")


def _too_long(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    return _drain(life, terms, now, EndReason.ABORT_TIMEOUT, None)


def _lost(life: Lifecycle, event: WorkerLost, terms: Timeouts, now: float) -> Step:
    return _upload(life, terms, now, EndReason.ABORT_UNEXPECTED, event.failure)


def _ended(life: Lifecycle, event: WorkerEnded, terms: Timeouts, now: float) -> Step:
    return _upload(life, terms, now, event.reason, event.failure)


# --- rules: while it is interrupted ------------------------------------------------------------------
def _interrupted(life: Lifecycle, event: WorkerLost, terms: Timeouts, now: float) -> Step:
    """Another worker goes on at once, unless workers die of it one after the other."""
    lasted_s = 0.0 if life.recorded_since is None else now - life.recorded_since
    in_a_row = 1 if lasted_s >= STEADY_S else life.interruptions + 1
    if not terms.continues or in_a_row > terms.attempts_max:
        return _lost(life, event, terms, now)
    attempt = life.attempt + 1
    waiting = _moved(life, Phase.INTERRUPTED, now + terms.initialization_timeout_s)
    after = msgspec.structs.replace(
        waiting,
        attempt=attempt,
        interruptions=in_a_row,
        ends_at=life.ends_at or life.deadline,
        recorded_since=None,
    )
    return after, (LaunchWorker(attempt=attempt),)


def _not_launched(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    after, effects = _interrupted(life, WorkerLost(failure="worker_not_ready"), terms, now)
    return after, (KillWorker(), *effects)


def _resuming(life: Lifecycle, event: WorkerReady, terms: Timeouts, now: float) -> Step:
    return _moved(life, Phase.RESUMING, now + terms.media_timeout_s), ()


def _stopped_meanwhile(life: Lifecycle, event: StopRequested, terms: Timeouts, now: float) -> Step:
    after, effects = _upload(life, terms, now, event.reason, None)
    return after, (KillWorker(), *effects)


# --- rules: while it ends ----------------------------------------------------------------------------
def _drained(life: Lifecycle, event: WorkerEnded, terms: Timeouts, now: float) -> Step:
    """Why we asked it to end counts, unless the worker met something worse while ending."""
    if event.failure is not None:
        return _upload(life, terms, now, event.reason, event.failure)
    return _upload(life, terms, now, life.end_reason or event.reason, life.failure)


def _drain_overdue(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    after, effects = _upload(life, terms, now, EndReason.ABORT_UNEXPECTED, "drain_timeout")
    return after, (KillWorker(), *effects)


def _unchanged(life: Lifecycle, event: Event, terms: Timeouts, now: float) -> Step:
    return life, ()


def _stored(life: Lifecycle, event: Uploaded, terms: Timeouts, now: float) -> Step:
    incomplete = msgspec.structs.replace(life, failure=life.failure or event.failure)
    return _moved(incomplete, Phase.AVAILABLE, None), ()


def _nothing(life: Lifecycle, event: NothingWritten, terms: Timeouts, now: float) -> Step:
    return _failed(life, life.end_reason or EndReason.ABORT_UNEXPECTED, life.failure or "no_media"), ()


def _not_stored(life: Lifecycle, event: UploadFailed, terms: Timeouts, now: float) -> Step:
    return _failed(life, EndReason.ABORT_BLOBSTORE_FAILURE, event.failure), ()


def _upload_overdue(life: Lifecycle, event: Overdue, terms: Timeouts, now: float) -> Step:
    return _failed(life, EndReason.ABORT_BLOBSTORE_FAILURE, "store_unreachable"), (AbandonUpload(),)


# --- what rules are made of --------------------------------------------------------------------------
def _moved(life: Lifecycle, phase: Phase, deadline: float | None) -> Lifecycle:
    return msgspec.structs.replace(life, phase=phase, deadline=deadline)


def _failed(life: Lifecycle, reason: EndReason, failure: str) -> Lifecycle:
    return msgspec.structs.replace(
        life, phase=Phase.FAILED, deadline=None, end_reason=reason, failure=failure
    )


def _drain(life: Lifecycle, terms: Timeouts, now: float, reason: EndReason, failure: str | None) -> Step:
    deadline = now + terms.drain_timeout_s
    draining = _moved(life, Phase.DRAINING, deadline)
    return msgspec.structs.replace(draining, end_reason=reason, failure=failure), (StopWorker(reason=reason),)


def _upload(life: Lifecycle, terms: Timeouts, now: float, reason: EndReason, failure: str | None) -> Step:
    deadline = now + terms.upload_timeout_s
    uploading = _moved(life, Phase.UPLOADING, deadline)
    return msgspec.structs.replace(uploading, end_reason=reason, failure=failure), (Upload(),)


_P = Phase
TABLE: Mapping[tuple[Phase, type[Event]], Row] = {
    (_P.CHECKING, StoreReachable): Row(_launch, (_P.LAUNCHING,)),
    (_P.CHECKING, StoreUnreachable): Row(_no_store, (_P.FAILED,)),
    (_P.CHECKING, StopRequested): Row(_cancelled, (_P.FAILED,)),
    (_P.CHECKING, Overdue): Row(_no_answer_from_store, (_P.FAILED,)),
    (_P.LAUNCHING, WorkerReady): Row(_ready, (_P.READY,)),
    (_P.LAUNCHING, WorkerLost): Row(_attempt_lost, (_P.BACKING_OFF, _P.FAILED)),
    (_P.LAUNCHING, WorkerEnded): Row(_attempt_ended, (_P.BACKING_OFF, _P.FAILED)),
    (_P.LAUNCHING, StopRequested): Row(_cancelled, (_P.FAILED,)),
    (_P.LAUNCHING, Overdue): Row(_attempt_overdue, (_P.BACKING_OFF, _P.FAILED)),
    (_P.BACKING_OFF, StopRequested): Row(_cancelled, (_P.FAILED,)),
    (_P.BACKING_OFF, Overdue): Row(_launch, (_P.LAUNCHING,)),
    (_P.READY, MediaStarted): Row(_recording, (_P.RECORDING,)),
    (_P.READY, StopRequested): Row(_stopping, (_P.DRAINING,)),
    (_P.READY, WorkerLost): Row(_lost, (_P.UPLOADING,)),
    (_P.READY, WorkerEnded): Row(_ended, (_P.UPLOADING,)),
    (_P.READY, Overdue): Row(_no_media, (_P.DRAINING,)),
    (_P.RECORDING, PauseTaken): Row(_paused, (_P.PAUSED,)),
    (_P.RECORDING, StopRequested): Row(_stopping, (_P.DRAINING,)),
    (_P.RECORDING, WorkerLost): Row(_interrupted, (_P.INTERRUPTED, _P.UPLOADING)),
    (_P.RECORDING, WorkerEnded): Row(_ended, (_P.UPLOADING,)),
    (_P.RECORDING, Overdue): Row(_too_long, (_P.DRAINING,)),
    (_P.PAUSED, ResumeTaken): Row(_resumed, (_P.RECORDING,)),
    (_P.PAUSED, StopRequested): Row(_stopping, (_P.DRAINING,)),
    (_P.PAUSED, WorkerLost): Row(_lost, (_P.UPLOADING,)),
    (_P.PAUSED, WorkerEnded): Row(_ended, (_P.UPLOADING,)),
    (_P.PAUSED, Overdue): Row(_too_long, (_P.DRAINING,)),
    (_P.INTERRUPTED, WorkerReady): Row(_resuming, (_P.RESUMING,)),
    (_P.INTERRUPTED, WorkerLost): Row(_interrupted, (_P.INTERRUPTED, _P.UPLOADING)),
    (_P.INTERRUPTED, WorkerEnded): Row(_ended, (_P.UPLOADING,)),
    (_P.INTERRUPTED, StopRequested): Row(_stopped_meanwhile, (_P.UPLOADING,)),
    (_P.INTERRUPTED, Overdue): Row(_not_launched, (_P.INTERRUPTED, _P.UPLOADING)),
    (_P.RESUMING, MediaStarted): Row(_recording, (_P.RECORDING,)),
    (_P.RESUMING, WorkerLost): Row(_interrupted, (_P.INTERRUPTED, _P.UPLOADING)),
    (_P.RESUMING, WorkerEnded): Row(_ended, (_P.UPLOADING,)),
    (_P.RESUMING, StopRequested): Row(_stopping, (_P.DRAINING,)),
    (_P.RESUMING, Overdue): Row(_too_long, (_P.DRAINING,)),
    (_P.DRAINING, MediaStarted): Row(_unchanged, (_P.DRAINING,)),  # its event crossed our request on the wire
    (_P.DRAINING, PauseTaken): Row(_unchanged, (_P.DRAINING,)),  # so did this one's
    (_P.DRAINING, ResumeTaken): Row(_unchanged, (_P.DRAINING,)),
    (_P.DRAINING, StopRequested): Row(_unchanged, (_P.DRAINING,)),  # stopping twice is the same as once
    (_P.DRAINING, WorkerLost): Row(_lost, (_P.UPLOADING,)),
    (_P.DRAINING, WorkerEnded): Row(_drained, (_P.UPLOADING,)),
    (_P.DRAINING, Overdue): Row(_drain_overdue, (_P.UPLOADING,)),
    (_P.UPLOADING, StopRequested): Row(_unchanged, (_P.UPLOADING,)),
    (_P.UPLOADING, Uploaded): Row(_stored, (_P.AVAILABLE,)),
    (_P.UPLOADING, NothingWritten): Row(_nothing, (_P.FAILED,)),
    (_P.UPLOADING, UploadFailed): Row(_not_stored, (_P.FAILED,)),
    (_P.UPLOADING, Overdue): Row(_upload_overdue, (_P.FAILED,)),
    (_P.AVAILABLE, StopRequested): Row(_unchanged, (_P.AVAILABLE,)),
    (_P.FAILED, StopRequested): Row(_unchanged, (_P.FAILED,)),
}
