"""Supervision's words in terms of everything around it: settings, recordings and decisions. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from recorder.database import RecordingRow
from recorder.kernel.conversation import Decision, DecisionKind
from recorder.kernel.recording import EndReason
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

_REASONS = {
    Reason.NOT_STARTED: "recording_not_started",
    Reason.NO_STORE: "store_unreachable",
    Reason.INTERRUPTED: "recording_interrupted",
}


def rules(settings: Settings) -> FailoverPolicy:
    """What counts for a recording that is asked for under these settings."""
    recording = settings.recording
    return FailoverPolicy(
        start_mode=recording.start_mode,
        failover_mode=recording.failover_mode,
        retry_delay_s_max=recording.max_retry_delay_s,
        start_limit_s=start_limit_s(terms(settings)) + START_MARGIN_S,
    )


def why_over(row: RecordingRow, stage: Stage) -> Reason | None:
    """Why the recording takes nobody any more; None while it may still become READY."""
    match row.end_reason:
        case None:
            return None
        case EndReason.NORMAL:
            return Reason.STOPPED
        case EndReason.ABORT_SYSTEM:
            return Reason.SHUT_DOWN
        case EndReason.ABORT_BLOBSTORE_FAILURE:  # later than at its start it says nothing of the next one
            return Reason.NO_STORE if stage is Stage.STARTING else Reason.INTERRUPTED
        case EndReason.ABORT_TIMEOUT:
            return Reason.STOPPED if row.failure is None else Reason.SILENT
        case EndReason.ABORT_UNEXPECTED:
            return Reason.INTERRUPTED if stage is Stage.RECORDING else Reason.NOT_STARTED


def decisions_of(
    effects: Iterable[Effect], *, conversation: str, recording: str | None, decided_at: datetime
) -> tuple[Decision, ...]:
    """What a call service is told of these effects, in their order; the table gives each its sequence."""
    told: list[Decision] = []
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
        told.append(decision)
    return tuple(told)


def _kind_and_reason(
    effect: HoldInteraction | ReleaseInteraction | AbortInteraction,
) -> tuple[DecisionKind, str | None]:
    match effect:
        case HoldInteraction():
            return DecisionKind.HOLD, None
        case ReleaseInteraction():
            return DecisionKind.RELEASE, None if effect.recorded else "not_recorded"
        case AbortInteraction():
            return DecisionKind.ABORT, _REASONS[effect.why]
        case _:
            assert_never(effect)
