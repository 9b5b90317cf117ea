"""Consent: whether anything of somebody may be taken, and what participants answered. docs/access.md."""

from collections.abc import Awaitable, Callable

from recorder.database import ConversationTable
from recorder.database.consents import ConsentTable
from recorder.database.messages import new_message_id
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Consent, Participant
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.message import ConsentAnswer, ConsentGiven, Message
from recorder.services.conversation.conversation_terms import EffectiveTerms
from signaling.ports import Caller

StopTaking = Callable[[str, str], Awaitable[None]]
"""End whatever is being taken of a participant: called with the conversation and who refused."""

RecordAnswer = Callable[[str, Participant, ConsentGiven], Awaitable[None]]
"""Put an answer that was kept among the events of what is being recorded of the conversation."""


class ConsentRequirement:
    """What has to be agreed to before media of a participant is taken."""

    def __init__(self, table: ConsentTable, terms: EffectiveTerms) -> None:
        self._table = table
        self._terms = terms

    async def is_asked(self, conversation: str) -> bool:
        """Whether people are asked in this conversation."""
        return (await self._terms.of(conversation)).consent is Consent.ASK

    async def require(self, conversation: str, participant: str) -> None:
        """403 consent_required where people are asked and this one has not agreed."""
        if not await self.is_asked(conversation):
            return
        answers = {given.participant: given.answer for given in await self._table.of(conversation)}
        if answers.get(participant) is not ConsentAnswer.AGREED:
            detail = "This participant has not agreed to being recorded."
            raise caller_error("consent_required", detail, status=403)


class Consents:
    """Fulfils signaling.ports.Consents: keeps an answer, then acts on it."""

    def __init__(
        self,
        table: ConsentTable,
        conversations: ConversationTable,
        requirement: ConsentRequirement,
        clock: Clock,
        *,
        stop_taking: StopTaking,
        record: RecordAnswer,
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._requirement = requirement
        self._clock = clock
        self._stop_taking = stop_taking
        self._record = record

    async def answer(
        self, caller: Caller, conversation: str, participant: str, answer: ConsentAnswer
    ) -> ConsentGiven:
        """A participant answers for themself; an API key passes on what somebody answered elsewhere."""
        if caller.participant is not None and caller.participant.id != participant:
            raise caller_error("forbidden", "Nobody answers for somebody else.", status=403)
        who = await self._participant(conversation, participant)
        given = ConsentGiven(participant=who.id, answer=answer, at=self._clock.utc_now())
        said = Message(
            id=new_message_id(),
            conversation=conversation,
            kind=answer.message,
            at=given.at,
            participant=who.id,
            name=who.name,
        )
        await self._table.put(conversation, given, said)
        if answer is ConsentAnswer.REFUSED and await self._requirement.is_asked(conversation):
            await self._stop_taking(conversation, who.id)
        await self._record(conversation, who, given)
        return given

    async def list(self, conversation: str) -> list[ConsentGiven]:
        await self._conversations.get(conversation)
        return await self._table.of(conversation)

    async def _participant(self, conversation: str, participant: str) -> Participant:
        await self._conversations.get(conversation)
        for who in await self._conversations.participants(conversation):
            if who.id == participant:
                return who
        raise not_found("participant")
