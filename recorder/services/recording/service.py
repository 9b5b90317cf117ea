"""Recordings as callers ask for them: started by hand, stopped, listed, watched and read."""

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from recorder.database import ConversationTable
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason, Recording
from recorder.recording.actor import RecordingActor
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.events import Phase
from recorder.recording.registry import RecordingRegistry
from recorder.services.recording.reading import RecordingReader
from recorder.services.recording.view import RecordingView
from recorder.services.recording.watchers import Watchers
from recorder.supervision.conversation_supervisor import EffectiveSettings
from recorder.supervision.supervisors import Supervisors
from signaling.ports import Caller, MediaBytes, Playlist


class RecordingService:
    """Fulfils signaling.ports.Recordings. One for each server; asks supervision, which asks the registry."""

    def __init__(
        self,
        registry: RecordingRegistry,
        supervisors: Supervisors,
        dependencies: ActorDependencies,
        conversations: ConversationTable,
        view: RecordingView,
        effective: EffectiveSettings,
    ) -> None:
        self._registry = registry
        self._supervisors = supervisors
        self._table = dependencies.table
        self._archive = dependencies.archive
        self._conversations = conversations
        self._view = view
        self._effective = effective
        self._reader = RecordingReader(registry, dependencies)
        self._watchers = Watchers()

    async def start(self, conversation: str, *, started_by: Caller) -> Recording:
        """A manual start: READY when this returns, or a BystanderError with what went wrong as its code."""
        known = await self._conversations.get(conversation)
        settings = await self._effective(known)
        await self._archive.allowed(self._archive.stores.named(settings.recording.store).id)
        actor = await self._supervisors.start_by_hand(known, started_by)
        phase = await actor.until(lambda phase: phase.takes_publishers)
        if not phase.takes_publishers:
            raise _not_started(actor)
        return self._shown(self._view.of_actor(actor))

    async def get(self, recording: str) -> Recording:
        actor = self._registry.get(recording)
        if actor is not None:
            return self._shown(self._view.of_actor(actor))
        return self._shown(self._view.of_row(await self._table.get(recording)))

    async def list(self, conversation: str) -> list[Recording]:
        await self._conversations.get(conversation)
        return [self._shown(self._view.of_row(row)) for row in await self._table.of(conversation)]

    async def stop(self, recording: str, *, stopped_by: Caller) -> Recording:
        """Returns at FINALIZING or later; 403 forbidden."""
        conversation = (await self.get(recording)).conversation
        await self._supervisors.check_stop(conversation, recording, stopped_by)
        await self._registry.ended(recording, EndReason.NORMAL)
        return await self.get(recording)

    async def pause(self, recording: str) -> Recording:
        raise _no_pause()

    async def resume(self, recording: str) -> Recording:
        raise _no_pause()

    async def media(self, recording: str) -> MediaBytes:
        return await self._reader.media(recording)

    async def playlist(self, recording: str, uri: str) -> Playlist:
        """An HLS playlist of what there is now, for media that is found at `uri`; no_media, no_index."""
        return await self._reader.playlist(recording, uri)

    async def store_link(
        self, recording: str, *, lifetime_s: int, method: Literal["GET", "HEAD"], content_disposition: str
    ) -> str:
        """The store's own link to the stored object; no_store_link while, or where, there is none."""
        return await self._reader.store_link(
            recording, lifetime_s=lifetime_s, method=method, content_disposition=content_disposition
        )

    def watch(self, conversation: str) -> AsyncIterator[Recording]:
        return self._watchers.watch(conversation, lambda: self.list(conversation))

    def changed(self, actor: RecordingActor, before: Phase | None) -> None:
        """Tell those who watch; a Listener."""
        self._watchers.tell(
            actor.row.conversation, actor.row.id, lambda: self._shown(self._view.of_actor(actor))
        )

    def _shown(self, recording: Recording) -> Recording:
        """With what its conversation's supervisor knows of it."""
        automatic = self._supervisors.is_automatic(recording.conversation, recording.id)
        return msgspec.structs.replace(recording, automatic=automatic)


def _not_started(actor: RecordingActor) -> BystanderError:
    code = actor.life.failure or "recording_failed"
    no_store = actor.life.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE
    fault = Fault.DESTINATION if no_store else Fault.SERVER
    return BystanderError(
        code, f"The recording {actor.row.id} could not be started.", fault=fault, status=503
    )


def _no_pause() -> BystanderError:
    return BystanderError("pause_unsupported", "Recordings cannot pause yet.", fault=Fault.CALLER, status=501)
