"""The supervision of a conversation as a literal table: step(before, event, now, fresh) -> (after, effects).

docs/lifecycle.md shows the table as a diagram, which is drawn from it. One recording's life is
recorder.recording's; here stands what its fate means for the interactions. Rules that hold for every path:

- An interaction is held back in STARTING and BACKING_OFF only, and both have a deadline: nothing is stuck.
- SYNCHRONOUS: it is released once a recording is READY, or when `max_retries` launches were used up in RETRY.
- RETRY goes on starting new recordings, each after a longer wait, until nothing is left that needs one.
- ABORT ends what should have been, or was being, recorded.
- That nobody sends anything is an interruption like every other: what is said then is not recorded.
- A store that cannot be reached ends all attempts: RETRY goes on without a recording, ABORT aborts.
- A recording that comes near its greatest length is followed by another, which is started before and takes
  over once it has media: make before break.
- Failover is for recordings that started by themselves. One by hand holds nothing back and is tried once.
- Somebody who stops a recording by hand means it: what runs starts no other one, what begins later does.

What happens, and what is to be done, are recorder.supervision.events.
Pure: `now` is seconds on one monotonic clock; `fresh` is the id of the recording that this step may start.
An event without a row changes nothing, nor does one about a recording that is no longer ours: they crossed
our decision on their way.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

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
    MediaBegan,
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
    READY = "READY"  # its entry point is open, and nothing came
    RECORDING = "RECORDING"  # media was received
    RENEWING = "RENEWING"  # it is nearly full, and the one that follows is being started
    BACKING_OFF = "BACKING_OFF"  # the next one has to wait


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation at one moment. `deadline` is when Overdue is due; None: nothing is waited for."""

    stage: Stage = Stage.IDLE
    deadline: float | None = None
    recording: str | None = None
    successor: str | None = None  # of RENEWING: the recording that follows
    successor_ready: bool = False
    rules: FailoverPolicy | None = None
    automatic: bool = False  # something that triggers wanted it: failover applies
    by_hand: bool = False  # somebody asked for it: it goes on until everything has ended
    exhausted: bool = False  # all attempts failed once, and no READY since: nobody is held back again
    setbacks: int = 0  # recordings that failed, or did not last, in a row
    failed: str | None = None  # the first recording of those in a row that failed before they had media
    began_at: float = 0.0  # when the recording had its first media
    interactions: tuple[SupervisedInteraction, ...] = ()

    @property
    def is_over(self) -> bool:
        """Nothing is left to supervise."""
        return self.stage is Stage.IDLE and not self.interactions

    @property
    def recordings(self) -> tuple[str, ...]:
        """Those that run or are being started."""
        return tuple(name for name in (self.recording, self.successor) if name is not None)


Step = tuple[Supervision, tuple[Effect, ...]]
Rule = Callable[[Supervision, Any, float, str], Step]


class Row(NamedTuple):
    """What an event does in a stage, and to which stages that leads."""

    rule: Rule
    to: tuple[Stage, ...]


def step(before: Supervision, event: Event, now: float, fresh: str) -> Step:
    """Apply one event. Raises recording_in_progress (409) for AskedByHand beside a recording."""
    row = TABLE.get((before.stage, type(event)))
    return (before, ()) if row is None else row.rule(before, event, now, fresh)


def restored(supervision: Supervision, now: float) -> Supervision:
    """As another server left it: its clock means nothing here, so what waited is due now."""
    deadline = now if supervision.deadline is not None else None
    rules = supervision.rules
    if rules is not None and supervision.stage in (Stage.STARTING, Stage.RENEWING):
        deadline = now + rules.start_limit_s
    elif rules is not None and supervision.stage is Stage.RECORDING:
        deadline = _renewal(rules, now)
    return msgspec.structs.replace(supervision, deadline=deadline, began_at=now)


def encoded(supervision: Supervision) -> bytes | None:
    """As it is kept; None where nothing is left to supervise."""
    return None if supervision.is_over else msgspec.msgpack.encode(supervision)


def decoded(kept: bytes | None) -> Supervision:
    """As it was kept; idle where nothing was."""
    return Supervision() if kept is None else msgspec.msgpack.decode(kept, type=Supervision)


# --- interactions ------------------------------------------------------------------------------------
def _began(before: Supervision, event: Began, now: float, fresh: str) -> Step:
    if not event.interaction.triggers:
        return _with(before, *before.interactions, event.interaction), ()
    waits = before.stage in (Stage.IDLE, Stage.STARTING, Stage.BACKING_OFF) and not before.exhausted
    held = waits and event.rules.start_mode is StartMode.SYNCHRONOUS
    interaction = msgspec.structs.replace(event.interaction, held=held)
    wanted = msgspec.structs.replace(
        before, automatic=True, rules=event.rules, interactions=(*before.interactions, interaction)
    )
    effects: tuple[Effect, ...] = (HoldInteraction(interaction=interaction.id),) if held else ()
    if before.stage is not Stage.IDLE:
        return wanted, effects
    started, starting = _start(wanted, event.rules, now, fresh)
    return started, (*effects, *starting)


def _ended(before: Supervision, event: Ended, now: float, fresh: str) -> Step:
    """Ends the recording with the last interaction that could have triggered it, and not before."""
    left = _with(before, *(other for other in before.interactions if other.id != event.interaction))
    known = len(left.interactions) < len(before.interactions)
    if before.stage is Stage.IDLE or _is_needed(left) or not known:
        return left, ()
    return _settled(left), _stopping(*before.recordings)


def _closed(before: Supervision, event: Closed, now: float, fresh: str) -> Step:
    return Supervision(), _stopping(*before.recordings)


def _asked_by_hand(before: Supervision, event: AskedByHand, now: float, fresh: str) -> Step:
    asked = msgspec.structs.replace(before, by_hand=True)
    return _start(asked, before.rules if before.automatic and before.rules else event.rules, now, fresh)


def _refused(before: Supervision, event: AskedByHand, now: float, fresh: str) -> Step:
    raise recording_in_progress()


# --- recordings --------------------------------------------------------------------------------------
def _ready(before: Supervision, event: Ready, now: float, fresh: str) -> Step:
    if before.recording != event.recording:
        return before, ()
    ready = msgspec.structs.replace(before, stage=Stage.READY, deadline=None, exhausted=False)
    return _all_released(ready, recorded=True)


def _media_began(before: Supervision, event: MediaBegan, now: float, fresh: str) -> Step:
    if before.recording != event.recording:
        return before, ()
    return _recording(before, event.recording, now), ()


def _over(before: Supervision, event: Over, now: float, fresh: str) -> Step:
    if before.recording != event.recording or before.rules is None:
        return before, ()
    if event.why is Reason.FULL and before.stage is not Stage.STARTING and _is_needed(before):
        return _start(before, before.rules, now, fresh)
    if event.why in (Reason.STOPPED, Reason.FULL) or not before.automatic:
        return _given_up(before)
    if event.why is Reason.SHUT_DOWN:
        return _backing_off(before, now, before.setbacks), ()
    if before.rules.failover_mode is FailoverMode.ABORT:
        return _aborted(before, event)
    if event.why is Reason.NO_STORE:
        return _given_up(before)
    return _again(before, before.rules, now)


def _start_overdue(before: Supervision, event: Overdue, now: float, fresh: str) -> Step:
    over = Over(recording=before.recording or "", why=Reason.NOT_STARTED)
    after, effects = _over(before, over, now, fresh)
    return after, (*_stopping(*before.recordings), *effects)


def _next_attempt(before: Supervision, event: Overdue, now: float, fresh: str) -> Step:
    if before.rules is None:
        return before, ()
    return _start(before, before.rules, now, fresh, continues=before.failed)


# --- the recording that follows ----------------------------------------------------------------------
def _renewing(before: Supervision, event: Overdue, now: float, fresh: str) -> Step:
    if before.rules is None or not _is_needed(before):
        return msgspec.structs.replace(before, deadline=None), ()
    renewing = msgspec.structs.replace(
        before,
        stage=Stage.RENEWING,
        deadline=now + before.rules.start_limit_s,
        successor=fresh,
        successor_ready=False,
    )
    return renewing, (StartRecording(recording=fresh),)


def _successor_ready(before: Supervision, event: Ready, now: float, fresh: str) -> Step:
    if before.successor != event.recording:
        return before, ()
    return msgspec.structs.replace(before, successor_ready=True, deadline=None), ()


def _handed_over(before: Supervision, event: MediaBegan, now: float, fresh: str) -> Step:
    """Only now: until then what is said is in the recording before."""
    if before.successor is None or before.successor != event.recording:
        return before, ()
    return _recording(before, before.successor, now), (StopRecording(recording=before.recording or ""),)


def _over_while_renewing(before: Supervision, event: Over, now: float, fresh: str) -> Step:
    if event.recording == before.successor:
        return _alone_again(before), ()
    if event.recording != before.recording:
        return before, ()
    if event.why not in (Reason.STOPPED, Reason.SHUT_DOWN) and not _must_abort(before, event):
        return _promoted(before, now), ()
    after, effects = _over(before, event, now, fresh)
    return after, (*_stopping(before.successor or ""), *effects)


def _successor_overdue(before: Supervision, event: Overdue, now: float, fresh: str) -> Step:
    return _alone_again(before), _stopping(before.successor or "")


def _promoted(before: Supervision, now: float) -> Supervision:
    """The recording that follows is the conversation's, as far as it has come."""
    stage = Stage.READY if before.successor_ready else Stage.STARTING
    return msgspec.structs.replace(
        before, stage=stage, recording=before.successor, successor=None, successor_ready=False
    )


def _alone_again(before: Supervision) -> Supervision:
    """Nothing follows yet: the next one is started when this one is over."""
    return msgspec.structs.replace(
        before, stage=Stage.RECORDING, deadline=None, successor=None, successor_ready=False
    )


# --- what rules are made of --------------------------------------------------------------------------
def _start(
    before: Supervision, rules: FailoverPolicy, now: float, fresh: str, *, continues: str | None = None
) -> Step:
    starting = msgspec.structs.replace(
        before,
        stage=Stage.STARTING,
        deadline=now + rules.start_limit_s,
        recording=fresh,
        successor=None,
        rules=rules,
    )
    return starting, (StartRecording(recording=fresh, continues=continues),)


def _recording(before: Supervision, recording: str, now: float) -> Supervision:
    return msgspec.structs.replace(
        before,
        stage=Stage.RECORDING,
        recording=recording,
        successor=None,
        successor_ready=False,
        deadline=None if before.rules is None else _renewal(before.rules, now),
        failed=None,
        began_at=now,
    )


def _again(before: Supervision, rules: FailoverPolicy, now: float) -> Step:
    """After one that lasted, a new one at once: every second is a gap. Else later and later."""
    if before.stage is Stage.STARTING:
        setbacks = before.setbacks + 1
        released, effects = _all_released(before, recorded=False)
        released = msgspec.structs.replace(released, exhausted=True, failed=before.failed or before.recording)
        return _backing_off(released, now + back_off_s(setbacks, rules.retry_delay_s_max), setbacks), effects
    had_media = before.stage is not Stage.READY
    lasted = had_media and now - before.began_at >= rules.retry_delay_s_max
    setbacks = 0 if lasted else before.setbacks
    delay_s = back_off_s(setbacks, rules.retry_delay_s_max) if setbacks else 0.0
    failed = None if had_media else before.failed or before.recording
    waiting = _backing_off(before, now + delay_s, setbacks + 1)
    return msgspec.structs.replace(waiting, failed=failed), ()


def _backing_off(before: Supervision, deadline: float, setbacks: int) -> Supervision:
    return msgspec.structs.replace(
        before, stage=Stage.BACKING_OFF, deadline=deadline, recording=None, successor=None, setbacks=setbacks
    )


def _given_up(before: Supervision) -> Step:
    released, effects = _all_released(before, recorded=False)
    return _settled(released), effects


def _must_abort(before: Supervision, event: Over) -> bool:
    if before.rules is None or event.why is Reason.FULL or not before.automatic:
        return False
    return before.rules.failover_mode is FailoverMode.ABORT


def _aborted(before: Supervision, event: Over) -> Step:
    """At the start what the recording was for; later all that was being recorded."""
    starting = before.stage is Stage.STARTING
    ending = [each for each in before.interactions if (each.triggers if starting else each.covered)]
    left = _with(before, *(each for each in before.interactions if each not in ending))
    aborted = (AbortInteraction(interaction=each.id, why=event.why, failure=event.failure) for each in ending)
    return _settled(left), tuple(aborted)


def _settled(before: Supervision) -> Supervision:
    """No recording, and none to come by itself."""
    return Supervision(interactions=before.interactions)


def _is_needed(supervision: Supervision) -> bool:
    """Whether something runs that the recording is for."""
    if supervision.by_hand:
        return bool(supervision.interactions)
    return any(each.triggers for each in supervision.interactions)


def _renewal(rules: FailoverPolicy, now: float) -> float | None:
    return None if rules.renew_after_s is None else now + rules.renew_after_s


def _with(before: Supervision, *interactions: SupervisedInteraction) -> Supervision:
    return msgspec.structs.replace(before, interactions=interactions)


def _all_released(before: Supervision, *, recorded: bool) -> Step:
    held = [each.id for each in before.interactions if each.held]
    free = (msgspec.structs.replace(each, held=False) for each in before.interactions)
    released = (ReleaseInteraction(interaction=name, recorded=recorded) for name in held)
    return _with(before, *free), tuple(released)


def _stopping(*recordings: str) -> tuple[Effect, ...]:
    return tuple(StopRecording(recording=recording) for recording in recordings)


def recording_in_progress() -> BystanderError:
    """There is one already."""
    return caller_error("recording_in_progress", "The conversation is being recorded.", status=409)


_S = Stage
TABLE: Mapping[tuple[Stage, type[Event]], Row] = {
    (_S.IDLE, Began): Row(_began, (_S.IDLE, _S.STARTING)),
    (_S.IDLE, Ended): Row(_ended, (_S.IDLE,)),
    (_S.IDLE, AskedByHand): Row(_asked_by_hand, (_S.STARTING,)),
    (_S.IDLE, Closed): Row(_closed, (_S.IDLE,)),
    (_S.STARTING, Began): Row(_began, (_S.STARTING,)),
    (_S.STARTING, Ended): Row(_ended, (_S.STARTING, _S.IDLE)),
    (_S.STARTING, AskedByHand): Row(_refused, ()),
    (_S.STARTING, Ready): Row(_ready, (_S.READY,)),
    (_S.STARTING, Over): Row(_over, (_S.BACKING_OFF, _S.IDLE)),
    (_S.STARTING, Overdue): Row(_start_overdue, (_S.BACKING_OFF, _S.IDLE)),
    (_S.STARTING, Closed): Row(_closed, (_S.IDLE,)),
    (_S.READY, Began): Row(_began, (_S.READY,)),
    (_S.READY, Ended): Row(_ended, (_S.READY, _S.IDLE)),
    (_S.READY, AskedByHand): Row(_refused, ()),
    (_S.READY, MediaBegan): Row(_media_began, (_S.RECORDING,)),
    (_S.READY, Over): Row(_over, (_S.BACKING_OFF, _S.STARTING, _S.IDLE)),
    (_S.READY, Closed): Row(_closed, (_S.IDLE,)),
    (_S.RECORDING, Began): Row(_began, (_S.RECORDING,)),
    (_S.RECORDING, Ended): Row(_ended, (_S.RECORDING, _S.IDLE)),
    (_S.RECORDING, AskedByHand): Row(_refused, ()),
    (_S.RECORDING, Overdue): Row(_renewing, (_S.RENEWING, _S.RECORDING)),
    (_S.RECORDING, Over): Row(_over, (_S.BACKING_OFF, _S.STARTING, _S.IDLE)),
    (_S.RECORDING, Closed): Row(_closed, (_S.IDLE,)),
    (_S.RENEWING, Began): Row(_began, (_S.RENEWING,)),
    (_S.RENEWING, Ended): Row(_ended, (_S.RENEWING, _S.IDLE)),
    (_S.RENEWING, AskedByHand): Row(_refused, ()),
    (_S.RENEWING, Ready): Row(_successor_ready, (_S.RENEWING,)),
    (_S.RENEWING, MediaBegan): Row(_handed_over, (_S.RECORDING,)),
    (_S.RENEWING, Overdue): Row(_successor_overdue, (_S.RECORDING,)),
    (_S.RENEWING, Over): Row(
        _over_while_renewing, (_S.STARTING, _S.READY, _S.RECORDING, _S.BACKING_OFF, _S.IDLE)
    ),
    (_S.RENEWING, Closed): Row(_closed, (_S.IDLE,)),
    (_S.BACKING_OFF, Began): Row(_began, (_S.BACKING_OFF,)),
    (_S.BACKING_OFF, Ended): Row(_ended, (_S.BACKING_OFF, _S.IDLE)),
    (_S.BACKING_OFF, AskedByHand): Row(_asked_by_hand, (_S.STARTING,)),
    (_S.BACKING_OFF, Overdue): Row(_next_attempt, (_S.STARTING,)),
    (_S.BACKING_OFF, Closed): Row(_closed, (_S.IDLE,)),
}
