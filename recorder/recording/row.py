"""A recording's row after a move of its state machine; pure."""

from datetime import datetime

import msgspec

from recorder.kernel.recording import RecordingRow
from recorder.recording import events
from recorder.recording.events import Lifecycle, Phase


def moved_row(
    row: RecordingRow, after: Lifecycle, now: datetime, duration_s: float | None, size: int | None
) -> RecordingRow:
    """The row as it is after a move, with what is in the spool or the store by now."""
    ending = after.phase.is_last or after.phase in (Phase.DRAINING, Phase.UPLOADING)
    return msgspec.structs.replace(
        row,
        state=after.phase.state,
        end_reason=after.end_reason,
        failure=after.failure,
        started_at=now if after.phase is Phase.RECORDING and row.started_at is None else row.started_at,
        ended_at=now if ending and row.ended_at is None else row.ended_at,
        duration_s=duration_s,
        bytes=size,
    )


def attempt_failure(event: events.Event) -> str:
    """Why an attempt to launch came to nothing."""
    if isinstance(event, events.WorkerLost):
        return event.failure
    if isinstance(event, events.WorkerEnded):
        return event.failure or "worker_died"
    return "worker_not_ready" if isinstance(event, events.Overdue) else "stopped_before_start"
