"""Recordings in the audit log: each of their states, whoever or whatever brought them there."""

from collections.abc import Callable

from recorder.kernel.audit.act import Act, Actor, ActorKind, Outcome
from recorder.kernel.clock import Clock
from recorder.kernel.recording import RecordingState
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase

MOVED = "recordingMoved"


class RecordingActs:
    """Notes the moves of recordings; `changed` is a Listener."""

    def __init__(self, note: Callable[[Act], None], clock: Clock) -> None:
        self._note = note
        self._clock = clock

    def changed(self, actor: RecordingActor, before: Phase | None) -> None:
        """Note where a recording has come to."""
        row = actor.row
        if before is actor.phase:
            return
        said = {"state": row.state, "type": row.type, "end_reason": row.end_reason, "failure": row.failure}
        self._note(
            Act(
                occurred_at=self._clock.utc_now(),
                action=MOVED,
                actor=Actor(kind=ActorKind.SERVER, id=row.node),
                outcome=Outcome.FAILED if row.state is RecordingState.FAILED else Outcome.DONE,
                code=row.failure,
                conversation=row.conversation,
                recording=row.id,
                details={name: str(value) for name, value in said.items() if value is not None},
            )
        )
