"""Supervision events and effects, as settings, rows and decisions say them. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from recorder.kernel.conversation import Decision, DecisionKind
from recorder.kernel.recording import EndReason, RecordingRow
from recorder.recording.plan import terms
from recorder.recording.state_machine import start_limit_s
from recorder.settings.definitions import Settings
from recorder.supervision.events import (
    AbortInteraction,
    Effect,
    FailoverPolicy,
    HoldInteraction,
    Reason,
    ReleaseInteraction,
)
from recorder.supervision.state_machine import Stage

START_MARGIN_S = 5.0  # the recording's own deadlines come first: this one is for a defect
HANDOVER_S = 30.0  # before its greatest length the recording that follows is started: launch, connect, margin
HANDOVER_SHARE_MAX = 0.25  # of a recording that is short: most of it is not followed yet

_REASONS = {
    Reason.NOT_STARTED: "recording_not_started",
    Reason.NO_STORE: "store_unreachable",
    Reason.INTERRUPTED: "recording_interrupted",
    Reason.SILENT: "no_media",
}
_STOPPED_FAILURES = (
    None,
    "stopped_before_start",
    "no_media",
    "publisher_not_connected",
)  # what a stop leaves behind: nothing failed
_ENDED_BY_TIME = {None: Reason.FULL, "no_media": Reason.SILENT, "publisher_not_connected": Reason.SILENT}


def rules(settings: Settings) -> FailoverPolicy:
    """What counts for a recording that is asked for under these settings."""
    recording = settings.recording
    return FailoverPolicy(
        start_mode=recording.start_mode,
        failover_mode=recording.failover_mode,
        retry_delay_s_max=recording.max_retry_delay_s,
        start_limit_s=start_limit_s(terms(settings)) + START_MARGIN_S,
        renew_after_s=_renew_after_s(recording.duration_s_max),
    )


def why_over(row: RecordingRow, stage: Stage) -> Reason | None:
    """Why the recording takes nobody any more; None while it may still become READY.

    A failure is one whoever ended the recording: a disk that is full ends it by the system's own decision.
    """
    interrupted = Reason.NOT_STARTED if stage is Stage.STARTING else Reason.INTERRUPTED
    match row.end_reason:
        case None:
            return None
        case EndReason.NORMAL:
            return Reason.STOPPED if row.failure in _STOPPED_FAILURES else interrupted
        case EndReason.ABORT_SYSTEM:
            return Reason.SHUT_DOWN if row.failure in _STOPPED_FAILURES else interrupted
        case EndReason.ABORT_BLOBSTORE_FAILURE:  # later than at its start it says nothing of the next one
            return Reason.NO_STORE if stage is Stage.STARTING else interrupted
        case EndReason.ABORT_TIMEOUT:
            return _ENDED_BY_TIME.get(row.failure, interrupted)
        case EndReason.ABORT_UNEXPECTED:
            return interrupted


def decisions_of(
    effects: Iterable[Effect], *, conversation: str, recording: str | None, decided_at: datetime
) -> tuple[Decision, ...]:
    """What a call service is told of these effects, in their order; the table gives each its sequence."""
    decisions: list[Decision] = []
    for effect in effects:
        if not isinstance(effect, HoldInteraction | ReleaseInteraction | AbortInteraction):
            continue
        kind, reason = _kind_and_reason(effect)
        decision = Decision(
            sequence=0,
            conversation=conversation,
            interaction=effect.interaction,
            kind=kind,
            may_start=kind is DecisionKind.RELEASE,
            must_end=kind is DecisionKind.ABORT,
            reason=reason,
            recording=recording,
            decided_at=decided_at,
        )
        decisions.append(decision)
    return tuple(decisions)


def _kind_and_reason(
    effect: HoldInteraction | ReleaseInteraction | AbortInteraction,
) -> tuple[DecisionKind, str | None]:
    match effect:
        case HoldInteraction():
            return DecisionKind.HOLD, None
        case ReleaseInteraction():
            return DecisionKind.RELEASE, None if effect.recorded else "not_recorded"
        case AbortInteraction():
            return DecisionKind.ABORT, _abort_reason(effect)
        case _:
            assert_never(effect)


def _abort_reason(abort: AbortInteraction) -> str:
    """A store has several ways to be no store: which one it was is what somebody has to mend."""
    if abort.why is Reason.NO_STORE and abort.failure is not None:
        return abort.failure
    return _REASONS[abort.why]


def _renew_after_s(duration_s_max: float) -> float:
    return duration_s_max - min(HANDOVER_S, duration_s_max * HANDOVER_SHARE_MAX)
