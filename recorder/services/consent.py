"""Consent: what participants answered, and whether anything of somebody may be taken. docs/access.md."""

from collections.abc import Awaitable, Callable

from recorder.database import ConversationTable
from recorder.database.consents import ConsentTable
from recorder.database.messages import new_message_id
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Consent, Participant
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.message import ConsentAnswer, ConsentGiven, Message
from recorder.services.conversation_terms import EffectiveTerms
from signaling.ports import Caller

StopTaking = Callable[[str, str], Awaitable[None]]
"""End whatever is being taken of a participant: called with the conversation and who refused."""

Note = Callable[[str, Participant, ConsentGiven], Awaitable[None]]
"""Tell what is being recorded of an answer that was kept: called with the conversation and who answered."""


async def _nothing_taken(conversation: str, participant: str) -> None:
    """For a server without entry points."""


async def _nothing_noted(conversation: str, who: Participant, given: ConsentGiven) -> None:
    """For a server without recordings."""


class Consents:
    """Fulfils signaling.ports.Consents."""

    def __init__(
        self, table: ConsentTable, conversations: ConversationTable, terms: EffectiveTerms, clock: Clock
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._terms = terms
        self._clock = clock
        self.stop_taking: StopTaking = _nothing_taken
        self.note: Note = _nothing_noted

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
        if answer is ConsentAnswer.REFUSED and await self._is_asked(conversation):
            await self.stop_taking(conversation, who.id)
        await self.note(conversation, who, given)
        return given

    async def list(self, conversation: str) -> list[ConsentGiven]:
        await self._conversations.get(conversation)
        return await self._table.of(conversation)

    async def require(self, conversation: str, participant: str) -> None:
        """403 consent_required where people are asked and this one has not agreed."""
        if not await self._is_asked(conversation):
            return
        answers = {given.participant: given.answer for given in await self._table.of(conversation)}
        if answers.get(participant) is not ConsentAnswer.AGREED:
            detail = "This participant has not agreed to being recorded."
            raise caller_error("consent_required", detail, status=403)

    async def _is_asked(self, conversation: str) -> bool:
        return (await self._terms.of(conversation)).consent is Consent.ASK

    async def _participant(self, conversation: str, participant: str) -> Participant:
        await self._conversations.get(conversation)
        for one in await self._conversations.participants(conversation):
            if one.id == participant:
                return one
        raise not_found("participant")
