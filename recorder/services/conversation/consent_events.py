"""Consent events: answers to being recorded, among the events of the recordings. docs/access.md."""

import asyncio
import logging

from recorder.database import ConversationTable
from recorder.database.consents import ConsentTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import MediaEvent
from recorder.kernel.message import ConsentAnswer, ConsentGiven
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase
from recorder.recording.registry import RecordingRegistry

_KINDS = {ConsentAnswer.AGREED: "consent_given", ConsentAnswer.REFUSED: "consent_refused"}

_log = logging.getLogger(__name__)


class ConsentEvents:
    """Passes answers to the workers of recordings that have begun; those from before when they begin.

    Answers that the worker has already are passed again where that is simpler: it writes each once.
    """

    def __init__(
        self,
        registry: RecordingRegistry,
        table: ConsentTable,
        conversations: ConversationTable,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._table = table
        self._conversations = conversations
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def answered(self, conversation: str, who: Participant, given: ConsentGiven) -> None:
        """An answer has been kept. What no worker takes stands in the messages all the same."""
        for actor in self._registry.of(conversation):
            if actor.phase is Phase.RECORDING:
                await self._note(actor, who, given)

    def changed(self, actor: RecordingActor, before: Phase | None) -> None:
        """Pass on all answers where a recording has begun, or was found again after a restart; a Listener."""
        if actor.phase is not Phase.RECORDING or before is Phase.RECORDING:
            return
        task = asyncio.create_task(self._note_all(actor), name=f"consents of {actor.row.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def leave(self) -> None:
        """Pass on no more; the next server does when it finds the recording."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _note_all(self, actor: RecordingActor) -> None:
        conversation = actor.row.conversation
        answers = {given.participant: given for given in await self._table.of(conversation)}
        for who in await self._conversations.participants(conversation):
            if who.id in answers:
                await self._note(actor, who, answers[who.id])

    async def _note(self, actor: RecordingActor, who: Participant, given: ConsentGiven) -> None:
        if actor.worker is None:
            return
        event = MediaEvent(
            kind=_KINDS[given.answer],
            at_s=0.0,  # the worker says when
            participant=who.id,
            name=who.name,
            role=who.role,
            detail={"answered_at": given.at.isoformat()},
        )
        ago_s = max(0.0, (self._clock.utc_now() - given.at).total_seconds())
        try:
            await actor.worker.note(f"{who.id} {given.at.isoformat()}", event, ago_s)
        except BystanderError as error:
            fields = {"recording": actor.row.id, "participant": who.id, "code": error.code}
            _log.error("an answer is not among the recording's events", extra=fields)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("answers are not among a recording's events", exc_info=error)
