"""The messages of conversations as callers see them: each role what is meant for it."""

import builtins

from recorder.database import ConversationTable
from recorder.database.messages import MessageTable, new_message_id
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.message import Message, MessageKind, is_shown
from recorder.services.conversation.conversation_terms import EffectiveTerms
from signaling.ports import Caller


class Messages:
    """Fulfils signaling.ports.Messages."""

    def __init__(
        self, table: MessageTable, conversations: ConversationTable, terms: EffectiveTerms, clock: Clock
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._terms = terms
        self._clock = clock

    async def say(self, caller: Caller, conversation: str, *, text: str, participant: str | None) -> Message:
        """A participant speaks for themself; an API key for whom it names, or for nobody."""
        if (await self._conversations.get(conversation)).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)
        writer = await self._writer(caller, conversation, participant)
        message = Message(
            id=new_message_id(),
            conversation=conversation,
            kind=MessageKind.CHAT,
            at=self._clock.utc_now(),
            participant=writer.id if writer else None,
            name=writer.name if writer else None,
            text=text,
        )
        await self._table.add(message)
        return message

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[Message]:
        """In their order, those that the caller's role sees."""
        terms = await self._terms.of(conversation)
        role = caller.participant.role if caller.participant else None
        kinds = frozenset(kind for kind in MessageKind if is_shown(kind, role, terms))
        return await self._table.list(conversation, kinds=kinds, after=after, limit=limit)

    async def _writer(self, caller: Caller, conversation: str, participant: str | None) -> Participant | None:
        if caller.participant is not None:
            if participant not in (None, caller.participant.id):
                raise caller_error("forbidden", "Nobody writes for somebody else.", status=403)
            return caller.participant
        if participant is None:
            return None
        for one in await self._conversations.participants(conversation):
            if one.id == participant:
                return one
        raise not_found("participant")
