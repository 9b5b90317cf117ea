"""A recording's row after a move of its state machine; pure."""

from datetime import datetime, timedelta

import msgspec

from recorder.kernel.recording import RecordingRow
from recorder.recording import events
from recorder.recording.events import Lifecycle, Phase


def moved_row(
    row: RecordingRow,
    after: Lifecycle,
    now: datetime,
    duration_s: float | None,
    size: int | None,
    media_ago_s: float = 0.0,
) -> RecordingRow:
    """The row as it is after a move, with what is in the spool or the store by now.

    A recording starts with its first media, which was captured `media_ago_s` before it was heard of, and ends
    no sooner than that lasts.
    """
    ending = after.phase.is_last or after.phase in (Phase.DRAINING, Phase.UPLOADING)
    started_at, ended_at = row.started_at, row.ended_at
    if after.phase is Phase.RECORDING and started_at is None:
        started_at = now - timedelta(seconds=media_ago_s)
    if ending and ended_at is None:
        ended_at = now
    if started_at is not None and ended_at is not None and duration_s is not None:
        ended_at = max(ended_at, started_at + timedelta(seconds=duration_s))
    return msgspec.structs.replace(
        row,
        state=after.phase.state,
        end_reason=after.end_reason,
        failure=after.failure,
        started_at=started_at,
        ended_at=ended_at,
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
