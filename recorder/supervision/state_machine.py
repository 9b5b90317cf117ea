"""The recordings of one conversation as a state machine: step(at, event, now, fresh) -> (next, effects).

    IDLE -> STARTING -> RECORDING
             ^    |         |
             |    v         v  interrupted
            BACKING_OFF <---'

One recording's life is recorder.recording's; here stands what its fate means for the interactions. Rules that
hold for every path:

- An interaction is held back in STARTING and BACKING_OFF only, and both have a deadline: nothing is stuck.
- SYNCHRONOUS: it is released once a recording is READY, or when `max_retries` launches were used up in RETRY.
- RETRY goes on starting new recordings, each after a longer wait, until nothing is left that needs one.
- ABORT ends what should have been, or was being, recorded.
- A store that cannot be reached ends all attempts: RETRY goes on without a recording, ABORT aborts.
- Failover is for recordings that started by themselves. One by hand holds nothing back and is tried once.
- Somebody who stops a recording by hand means it: what runs starts no other one, what begins later does.

What happens, and what is to be done, are recorder.supervision.events.
Pure: `now` is seconds on one monotonic clock; `fresh` is the id of the recording that this step may start.
Events about a recording that is no longer ours change nothing: they crossed our decision on their way.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.recording import FailoverMode, StartMode
from recorder.recording.state_machine import back_off_s
from recorder.supervision.events import (
    AbortInteraction,
    AskedByHand,
    Began,
    Closed,
    Effect,
    Ended,
    Event,
    FailoverPolicy,
    HoldInteraction,
    Over,
    Overdue,
    Ready,
    Reason,
    ReleaseInteraction,
    StartRecording,
    StopRecording,
    SupervisedInteraction,
)


class Stage(StrEnum):
    """What the conversation's recording is doing."""

    IDLE = "IDLE"  # there is none
    STARTING = "STARTING"  # it was asked for and is not READY
    RECORDING = "RECORDING"  # its entry point is open
    BACKING_OFF = "BACKING_OFF"  # the next one has to wait


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation at one moment. `deadline` is when Overdue is due; None: nothing is waited for."""

    stage: Stage = Stage.IDLE
    deadline: float | None = None
    recording: str | None = None
    rules: FailoverPolicy | None = None
    automatic: bool = False  # something that triggers wanted it: failover applies
    by_hand: bool = False  # somebody asked for it: it goes on until everything has ended
    exhausted: bool = False  # all attempts failed once, and no READY since: nobody is held back again
    setbacks: int = 0  # recordings that failed, or did not last, in a row
    ready_at: float = 0.0
    interactions: tuple[SupervisedInteraction, ...] = ()

    @property
    def is_over(self) -> bool:
        """Nothing is left to supervise."""
        return self.stage is Stage.IDLE and not self.interactions


Step = tuple[Supervision, tuple[Effect, ...]]
Rule = Callable[[Supervision, Any, float, str], Step]


def step(at: Supervision, event: Event, now: float, fresh: str) -> Step:
    """Apply one event. Raises recording_in_progress (409) for AskedByHand beside a recording."""
    return _TABLE[type(event)](at, event, now, fresh)


def restored(at: Supervision, now: float) -> Supervision:
    """As another server left it: its clock means nothing here, so what waited is due now."""
    deadline = now if at.deadline is not None else None
    if at.stage is Stage.STARTING and at.rules is not None:
        deadline = now + at.rules.start_limit_s
    return msgspec.structs.replace(at, deadline=deadline, ready_at=now)


# --- interactions ------------------------------------------------------------------------------------
def _began(at: Supervision, event: Began, now: float, fresh: str) -> Step:
    if not event.interaction.triggers:
        return _with(at, *at.interactions, event.interaction), ()
    waits = at.stage is not Stage.RECORDING and not at.exhausted
    held = waits and event.rules.start_mode is StartMode.SYNCHRONOUS
    interaction = msgspec.structs.replace(event.interaction, held=held)
    wanted = msgspec.structs.replace(
        at, automatic=True, rules=event.rules, interactions=(*at.interactions, interaction)
    )
    effects: tuple[Effect, ...] = (HoldInteraction(interaction=interaction.id),) if held else ()
    if at.stage is not Stage.IDLE:
        return wanted, effects
    started, starting = _start(wanted, event.rules, now, fresh)
    return started, (*effects, *starting)


def _ended(at: Supervision, event: Ended, now: float, fresh: str) -> Step:
    """Ends the recording with the last interaction that could have triggered it, and not before."""
    left = _with(at, *(one for one in at.interactions if one.id != event.interaction))
    needed = bool(left.interactions) if at.by_hand else any(one.triggers for one in left.interactions)
    known = len(left.interactions) < len(at.interactions)
    if at.stage is Stage.IDLE or needed or not known:
        return left, ()
    return _settled(left), _stopping(at)


def _closed(at: Supervision, event: Closed, now: float, fresh: str) -> Step:
    return Supervision(), _stopping(at)


def _asked_by_hand(at: Supervision, event: AskedByHand, now: float, fresh: str) -> Step:
    if at.stage in (Stage.STARTING, Stage.RECORDING):
        raise recording_in_progress()
    asked = msgspec.structs.replace(at, by_hand=True)
    return _start(asked, at.rules if at.automatic and at.rules else event.rules, now, fresh)


# --- recordings --------------------------------------------------------------------------------------
def _ready(at: Supervision, event: Ready, now: float, fresh: str) -> Step:
    if at.stage is not Stage.STARTING or at.recording != event.recording:
        return at, ()
    running = msgspec.structs.replace(at, stage=Stage.RECORDING, deadline=None, exhausted=False, ready_at=now)
    return _all_released(running, recorded=True)


def _over(at: Supervision, event: Over, now: float, fresh: str) -> Step:
    if at.recording != event.recording or at.rules is None:
        return at, ()
    if event.why is Reason.STOPPED or not at.automatic:
        return _given_up(at)
    if event.why is Reason.SHUT_DOWN:
        return _backing_off(at, now, at.setbacks), ()
    if event.why is Reason.SILENT:
        return _again(at, at.rules, now)
    if at.rules.failover_mode is FailoverMode.ABORT:
        return _aborted(at, event.why)
    if event.why is Reason.NO_STORE:
        return _given_up(at)
    return _again(at, at.rules, now)


def _overdue(at: Supervision, event: Overdue, now: float, fresh: str) -> Step:
    if at.deadline is None or at.rules is None:
        return at, ()
    if at.stage is Stage.BACKING_OFF:
        return _start(at, at.rules, now, fresh)
    recording = at.recording or ""
    after, effects = _over(at, Over(recording=recording, why=Reason.NOT_STARTED), now, fresh)
    return after, (*_stopping(at), *effects)


# --- what rules are made of --------------------------------------------------------------------------
def _start(at: Supervision, rules: FailoverPolicy, now: float, fresh: str) -> Step:
    starting = msgspec.structs.replace(
        at, stage=Stage.STARTING, deadline=now + rules.start_limit_s, recording=fresh, rules=rules
    )
    return starting, (StartRecording(recording=fresh),)


def _again(at: Supervision, rules: FailoverPolicy, now: float) -> Step:
    """After one that lasted, a new one at once: every second is a gap. Else later and later."""
    if at.stage is Stage.RECORDING:
        lasted = now - at.ready_at >= rules.retry_delay_s_max
        setbacks = 0 if lasted else at.setbacks
        delay_s = back_off_s(setbacks, rules.retry_delay_s_max) if setbacks else 0.0
        return _backing_off(at, now + delay_s, setbacks + 1), ()
    setbacks = at.setbacks + 1
    released, effects = _all_released(at, recorded=False)
    released = msgspec.structs.replace(released, exhausted=True)
    return _backing_off(released, now + back_off_s(setbacks, rules.retry_delay_s_max), setbacks), effects


def _backing_off(at: Supervision, deadline: float, setbacks: int) -> Supervision:
    return msgspec.structs.replace(
        at, stage=Stage.BACKING_OFF, deadline=deadline, recording=None, setbacks=setbacks
    )


def _given_up(at: Supervision) -> Step:
    released, effects = _all_released(at, recorded=False)
    return _settled(released), effects


def _aborted(at: Supervision, why: Reason) -> Step:
    """In mid-recording all that was being recorded; at the start what the recording was for."""
    running = at.stage is Stage.RECORDING
    ended = [one for one in at.interactions if (one.covered if running else one.triggers)]
    left = _with(at, *(one for one in at.interactions if one not in ended))
    return _settled(left), tuple(AbortInteraction(interaction=one.id, why=why) for one in ended)


def _settled(at: Supervision) -> Supervision:
    """No recording, and none to come by itself."""
    return Supervision(interactions=at.interactions)


def _with(at: Supervision, *interactions: SupervisedInteraction) -> Supervision:
    return msgspec.structs.replace(at, interactions=interactions)


def _all_released(at: Supervision, *, recorded: bool) -> Step:
    held = [one.id for one in at.interactions if one.held]
    free = (msgspec.structs.replace(one, held=False) for one in at.interactions)
    return _with(at, *free), tuple(ReleaseInteraction(interaction=one, recorded=recorded) for one in held)


def _stopping(at: Supervision) -> tuple[Effect, ...]:
    return () if at.recording is None else (StopRecording(recording=at.recording),)


def recording_in_progress() -> BystanderError:
    """There is one already."""
    return caller_error("recording_in_progress", "The conversation is being recorded.", status=409)


_TABLE: dict[type[Event], Rule] = {
    Began: _began,
    Ended: _ended,
    AskedByHand: _asked_by_hand,
    Ready: _ready,
    Over: _over,
    Closed: _closed,
    Overdue: _overdue,
}
