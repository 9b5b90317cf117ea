"""What people do in a room, and are refused, for the audit log: by the names of the API's operations."""

from recorder.kernel.audit.act import Act, Outcome
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from signaling.audit_port import Audit
from signaling.ports import Caller
from signaling.routes.acts import actor_of

START, STOP, CONSENT = "startRecording", "stopRecording", "answerConsent"


class NotedActs:
    """Notes the acts of one conversation's room."""

    def __init__(self, audit: Audit, clock: Clock, conversation: str) -> None:
        self._audit = audit
        self._clock = clock
        self._conversation = conversation

    def note(
        self,
        action: str,
        participant: Participant,
        *,
        recording: str | None = None,
        error: BystanderError | None = None,
    ) -> None:
        """One act, done unless there is an `error`; that is a refusal, or a failure of ours (5xx)."""
        outcome = Outcome.DONE
        if error is not None:
            outcome = Outcome.REFUSED if error.status < 500 else Outcome.FAILED
        act = Act(
            occurred_at=self._clock.utc_now(),
            action=action,
            actor=actor_of(Caller(participant), None),
            outcome=outcome,
            code=None if error is None else error.code,
            conversation=self._conversation,
            recording=recording,
        )
        self._audit.note(act, is_countable=outcome is Outcome.REFUSED)
