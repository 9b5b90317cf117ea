"""Conversations as callers know them; ending or deleting one ends or deletes its recordings with it."""

import builtins

from recorder.clock import Clock
from recorder.database import ConversationTable
from recorder.database.keys import token_hash
from recorder.errors import caller_error
from recorder.ids import new_id, new_secret
from recorder.recordings import Recordings
from recorder.values import (
    Conversation,
    EndReason,
    Interaction,
    InteractionKind,
    LayerKind,
    Participant,
    Role,
)


class Conversations:
    """Fulfils signaling.ports.Conversations."""

    def __init__(self, table: ConversationTable, recordings: Recordings, clock: Clock) -> None:
        self._table = table
        self._recordings = recordings
        self._clock = clock
        self.base_url = ""  # known once the server listens

    async def create(
        self,
        *,
        template: str | None,
        external_id: str | None,
        metadata: dict[str, str],
        account: str = "default",
    ) -> Conversation:
        conversation = Conversation(
            id=new_id("conv"),
            account=account,
            external_id=external_id,
            template=template,
            metadata=metadata,
            created_at=self._clock.utc_now(),
        )
        await self._table.add(conversation)
        return conversation

    async def get(self, conversation: str) -> Conversation:
        return await self._table.get(conversation)

    async def list(self, *, after: str | None, limit: int) -> list[Conversation]:
        return await self._table.list(after=after, limit=limit)

    async def end(self, conversation: str) -> Conversation:
        """Ends its interactions and recordings too; ending twice is the same as once."""
        ended = await self._table.end(conversation, self._clock.utc_now())
        await self._recordings.end_all_of(conversation, EndReason.NORMAL)
        return ended

    async def delete(self, conversation: str) -> None:
        """Removes its recordings, with their media, first: a row without media could be tried again."""
        await self._table.end(conversation, self._clock.utc_now())
        await self._recordings.delete_all_of(conversation)
        await self._table.delete(conversation)

    async def add_participant(self, conversation: str, *, role: Role, name: str) -> Participant:
        await self._running(conversation)
        token = new_secret()
        participant = Participant(
            id=new_id("part"),
            conversation=conversation,
            role=role,
            name=name,
            token=token,
            room_url=f"{self.base_url}/room/{conversation}#token={token}",  # a fragment is in no log
        )
        await self._table.add_participant(participant, token_hash(token), self._clock.utc_now())
        return participant

    async def participants(self, conversation: str) -> builtins.list[Participant]:
        await self._table.get(conversation)
        return await self._table.participants(conversation)

    async def start_interaction(
        self, conversation: str, *, kind: InteractionKind, layer: LayerKind | None
    ) -> Interaction:
        await self._running(conversation)
        if (layer is not None) != (kind is InteractionKind.COLLABORATION_LAYER):
            detail = "A COLLABORATION_LAYER names its layer, and a CALL has none."
            raise caller_error("invalid_interaction", detail, status=422)
        interaction = Interaction(
            id=new_id("int"),
            conversation=conversation,
            kind=kind,
            layer=layer,
            started_at=self._clock.utc_now(),
        )
        await self._table.add_interaction(interaction)
        return interaction

    async def end_interaction(self, conversation: str, interaction: str) -> Interaction:
        return await self._table.end_interaction(conversation, interaction, self._clock.utc_now())

    async def _running(self, conversation: str) -> None:
        if (await self._table.get(conversation)).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)
