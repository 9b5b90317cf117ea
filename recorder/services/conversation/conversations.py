"""Conversations as callers know them; ending or deleting one ends or deletes its recordings with it."""

import builtins
from datetime import datetime, timedelta

import msgspec

from recorder.database import ConversationTable
from recorder.database.keys import token_hash
from recorder.deletion.deletion import RecordingDeletion
from recorder.deletion.file_deletion import FileDeletion
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import (
    Conversation,
    Interaction,
    InteractionKind,
    LayerKind,
    Participant,
    Role,
)
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.ids import new_id, new_secret
from recorder.kernel.recording import EndReason
from recorder.recording.registry import RecordingRegistry
from recorder.supervision.supervisors import Supervisors
from signaling.ports import Caller

TOKEN_TTL_S = 4 * 3600.0  # a participant's: longer than a long call, shorter than a working day


class Conversations:
    """Fulfils signaling.ports.Conversations. `base_url` is where people reach their rooms."""

    def __init__(
        self,
        table: ConversationTable,
        registry: RecordingRegistry,
        deletion: RecordingDeletion,
        files: FileDeletion,
        supervisors: Supervisors,
        clock: Clock,
        *,
        base_url: str = "",
        token_ttl_s: float = TOKEN_TTL_S,
    ) -> None:
        self._table = table
        self._registry = registry
        self._deletion = deletion
        self._files = files
        self._supervisors = supervisors
        self._clock = clock
        self._token_ttl = timedelta(seconds=token_ttl_s)
        self._base_url = base_url
        self._is_leaving = False

    def leave(self) -> None:
        """Change no interaction any more: rooms that close with this server go on in the next one."""
        self._is_leaving = True

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

    async def end(self, conversation: str) -> Conversation:
        """Ends its interactions and recordings too; ending twice is the same as once."""
        ended = await self._table.end(conversation, self._clock.utc_now())
        await self._supervisors.close(ended)
        await self._registry.end_all_of(conversation, EndReason.NORMAL)
        return ended

    async def delete(self, conversation: str, *, end_recordings: bool = False) -> None:
        """Removes its recordings and files, with their bytes, first: rows without them are tried again.

        409 recording_in_progress while something is being recorded, unless that is to end and go, too.
        """
        if not end_recordings and self._registry.is_recording(conversation):
            detail = "The conversation is being recorded: end it first, or ask for end_recordings."
            raise caller_error("recording_in_progress", detail, status=409)
        await self._deletion.check(conversation)
        await self._files.check(conversation, self._clock.utc_now())
        await self._supervisors.close(await self._table.end(conversation, self._clock.utc_now()))
        await self._deletion.delete_all_of(conversation)
        await self._files.delete_all_of(conversation, self._clock.utc_now())
        await self._table.delete(conversation)

    async def add_participant(self, conversation: str, *, role: Role, name: str) -> Participant:
        await self._running(conversation)
        token, now = new_secret(), self._clock.utc_now()
        participant = Participant(id=new_id("part"), conversation=conversation, role=role, name=name)
        expires_at = now + self._token_ttl
        await self._table.add_participant(participant, token_hash(token), now, expires_at)
        return self._with_token(participant, token, expires_at)

    async def renew_token(self, conversation: str, participant: str) -> Participant:
        """A new token; the one before is good no longer."""
        await self._running(conversation)
        token, expires_at = new_secret(), self._clock.utc_now() + self._token_ttl
        renewed = await self._table.renew_token(conversation, participant, token_hash(token), expires_at)
        return self._with_token(renewed, token, expires_at)

    async def participants(self, conversation: str) -> builtins.list[Participant]:
        await self._table.get(conversation)
        return await self._table.participants(conversation)

    async def start_interaction(
        self,
        conversation: str,
        *,
        kind: InteractionKind,
        layer: LayerKind | None,
        by_pin: bool = False,
        owner: str | None = None,
    ) -> Interaction:
        """With what it triggers: HELD where it has to wait until it can be recorded."""
        self._check_staying()
        if (layer is not None) != (kind is InteractionKind.COLLABORATION_LAYER):
            detail = "A COLLABORATION_LAYER names its layer, and a CALL has none."
            raise caller_error("invalid_interaction", detail, status=422)
        known = await self._table.get(conversation)
        return await self._supervisors.begin(known, kind=kind, layer=layer, by_pin=by_pin, owner=owner)

    async def interaction(self, conversation: str, interaction: str) -> Interaction:
        """One that runs, or ran; 404 not_found."""
        return await self._supervisors.interaction(await self._table.get(conversation), interaction)

    async def end_interaction(
        self, conversation: str, interaction: str, *, ended_by: Caller | None = None
    ) -> Interaction:
        """A room says itself when its call has ended: a participant who did would end the recording of it."""
        self._check_staying()
        by_participant = ended_by is not None and ended_by.participant is not None
        known = await self._table.get(conversation)
        return await self._supervisors.end(known, interaction, unowned=by_participant)

    def _check_staying(self) -> None:
        if self._is_leaving:
            detail = "This server hands over to the next one; ask again in a second."
            raise BystanderError("server_leaving", detail, fault=Fault.RESOURCE, status=503)

    def _with_token(self, participant: Participant, token: str, expires_at: datetime) -> Participant:
        room_url = (
            f"{self._base_url}/room/{participant.conversation}#token={token}"  # a fragment is in no log
        )
        return msgspec.structs.replace(
            participant, token=token, token_expires_at=expires_at, room_url=room_url
        )

    async def _running(self, conversation: str) -> None:
        if (await self._table.get(conversation)).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)
