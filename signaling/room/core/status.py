"""The recording status of a room: what is announced at one moment, and to whom. Pure.

Nothing is announced before it is true: that a call is recorded is said while media is received, and not from
the moment at which it might be. Once a recording of the call has failed, that is what is said until one has
media again: a new attempt is no recording.
"""

from datetime import datetime
from typing import NamedTuple

from recorder.kernel.conversation import Role
from recorder.kernel.recording import EndReason, Recording, RecordingState
from signaling.room.core.announcement import RoomPolicy, is_active, words
from signaling.room.core.messages import RecordingAction, RecordingStatus, StatusKind

STARTING_TEXT = "The recording starts…"
INTERRUPTED_TEXT = "The recording is interrupted"
WAITING_TEXT = "The recording waits: no sound or picture arrives"

_RUNNING = frozenset({RecordingState.RECORDING, RecordingState.PAUSED, RecordingState.INTERRUPTED})
_TAKING = frozenset({RecordingState.READY, *_RUNNING})
_NO_FAILURE = frozenset({None, "stopped_before_start"})


class Situation(NamedTuple):
    """The recordings that a status is about, oldest first.

    `call_began`: since when the call runs; None while there is none. `unrecorded`: it was let go on without a
    recording. `starting`: one was asked for that has no id yet.
    """

    recordings: list[Recording]
    call_began: datetime | None
    unrecorded: bool
    starting: bool


def status(situation: Situation, role: Role, policy: RoomPolicy, utc_now: datetime) -> RecordingStatus:
    """What somebody in `role` is told now."""
    shown = _status(situation, role, policy, utc_now)
    action = _action(situation, role, policy)
    if policy.banner is None and not policy.may_know(role):
        return RecordingStatus()
    return RecordingStatus(
        kind=shown.kind, text=shown.text, recording=shown.recording, elapsed_s=shown.elapsed_s, action=action
    )


def _status(situation: Situation, role: Role, policy: RoomPolicy, utc_now: datetime) -> RecordingStatus:
    of_call = [each for each in situation.recordings if _is_of_call(each, situation.call_began)]
    running = [each for each in of_call if each.state in _RUNNING]
    if running:
        return _running(running[-1], policy, utc_now)
    pending = situation.starting or any(is_active(each) for each in of_call)
    failure = _failure(of_call, unrecorded=situation.unrecorded)
    if failure is not None:
        return _interrupted(failure, of_call, policy.may_know(role), again=pending)
    if pending:
        return RecordingStatus(kind=StatusKind.STARTING, text=policy.banner and STARTING_TEXT)
    return RecordingStatus()


def _is_of_call(recording: Recording, call_began: datetime | None) -> bool:
    """What failed in an earlier call says nothing of this one."""
    if is_active(recording):
        return True
    return call_began is not None and recording.requested_at >= call_began


def _running(recording: Recording, policy: RoomPolicy, utc_now: datetime) -> RecordingStatus:
    kind, text = StatusKind.RECORDING, policy.banner
    if recording.state is RecordingState.PAUSED:
        kind, text = StatusKind.PAUSED, policy.banner_paused
    elif recording.state is RecordingState.INTERRUPTED:  # its worker was lost, and another goes on with it
        kind, text = StatusKind.INTERRUPTED, policy.banner and INTERRUPTED_TEXT
    elif not recording.receiving:
        kind, text = StatusKind.WAITING, policy.banner and WAITING_TEXT
    since = recording.started_at
    elapsed_s = None if since is None else max(0.0, (utc_now - since).total_seconds())
    return RecordingStatus(kind=kind, text=text, recording=recording.id, elapsed_s=elapsed_s)


def _failure(of_call: list[Recording], *, unrecorded: bool) -> str | None:
    """What the last recording of the call that is over failed of."""
    over = [each for each in of_call if not is_active(each)]
    if over and _has_failed(over[-1]):
        return over[-1].failure
    return "recording_failed" if unrecorded and not over else None


def _has_failed(recording: Recording) -> bool:
    """Somebody who stops a recording, or the server that is restarted, leaves no failure behind."""
    meant = recording.end_reason in (EndReason.NORMAL, EndReason.ABORT_SYSTEM)
    return recording.failure not in _NO_FAILURE and not (meant and recording.failure == "no_media")


def _interrupted(failure: str, of_call: list[Recording], may_know: bool, *, again: bool) -> RecordingStatus:
    """Who may see or start recordings is told why; the others that it stopped, where it had been going on."""
    if may_know:
        text = f"This call is not being recorded: {words(failure)}."
        text += " It is being tried again." if again else ""
        return RecordingStatus(kind=StatusKind.INTERRUPTED, text=text)
    if any(each.started_at is not None for each in of_call):
        return RecordingStatus(kind=StatusKind.INTERRUPTED, text=INTERRUPTED_TEXT)
    return RecordingStatus()


def _action(situation: Situation, role: Role, policy: RoomPolicy) -> RecordingAction | None:
    """What somebody in this role can do now; nothing is offered that would be refused."""
    active = [each for each in situation.recordings if is_active(each)]
    if any(each.state in _TAKING for each in active):
        return RecordingAction.STOP if any(policy.may_stop(role, each) for each in active) else None
    if role not in policy.may_record:
        return None
    return RecordingAction.WAIT if active or situation.starting else RecordingAction.START
