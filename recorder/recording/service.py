"""Recordings as callers know them: started, watched, stopped, read; those that are not over live in here."""

import asyncio
import builtins
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any, Literal, Protocol

import msgspec

from recorder.database import ConversationTable, RecordingRow
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.media import IceServer
from recorder.kernel.recording import EndReason, EntryPoint, Recording
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.actor import ActorDependencies, RecordingActor
from recorder.recording.deletion import check_recordings_deletable, delete_recording, is_held_elsewhere
from recorder.recording.events import Phase
from recorder.recording.ice_servers import ice_servers
from recorder.recording.metrics import RecordingMetrics
from recorder.recording.plan import new_row, terms
from recorder.recording.playback import Playlists
from recorder.recording.state_machine import begin
from recorder.recording.watchers import Watchers
from recorder.settings.definitions import Settings
from signaling.ports import Caller, MediaBytes, Playlist
from storage.reading import OpenMedia, StoredMedia, open_media
from storage.stores.presigned_links import LinkTerms, no_store_link, presigned

LIVE_RECORDINGS_MAX = 1000  # of one node; its cores are full long before

_ENDING = (Phase.DRAINING, Phase.UPLOADING, Phase.AVAILABLE, Phase.FAILED)

_log = logging.getLogger(__name__)


class Supervisor(Protocol):
    """Decides which recordings there are."""

    async def start_by_hand(self, conversation: Conversation, caller: Caller) -> RecordingActor:
        """Begin one because somebody asked; raises why not."""
        ...

    def moved(self, live: RecordingActor) -> None:
        """A recording has come to another phase, which is written down."""
        ...


class RecordingService:
    """Fulfils signaling.ports.Recordings. One for each server."""

    def __init__(
        self,
        settings: Settings,
        conversations: ConversationTable,
        means: ActorDependencies,
        secrets: EntryPointSecrets,
        watchers: Watchers,
        metrics: RecordingMetrics,
    ) -> None:
        self._settings = settings
        self._conversations = conversations
        self._means = means
        self._secrets = secrets
        self._watchers = watchers
        self._metrics = metrics
        self._live: dict[str, RecordingActor] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._entry_points: dict[str, str] = {}  # name in the URL -> recording
        self._phases: dict[str, Phase] = {}  # as the supervisor knows them
        self._supervisor: Supervisor
        self.began: Callable[[RecordingActor], None] = _nobody_waits  # media is taken, or found to be
        self._playlists = Playlists()
        self._accepting = True
        self.base_url = ""  # known once the server listens

    def __iter__(self) -> Iterator[RecordingActor]:
        return iter(list(self._live.values()))

    # --- the port --------------------------------------------------------------------------------------
    async def start(self, conversation: str, *, started_by: Caller) -> Recording:
        """A manual start: READY when this returns, or a BystanderError with what went wrong as its code."""
        await self._means.shipping.allowed()
        known = await self._conversations.get(conversation)
        live = await self._supervisor.start_by_hand(known, started_by)
        phase = await live.until(lambda phase: phase.takes_publishers)
        if not phase.takes_publishers:
            raise _not_started(live)
        return self._shown(live)

    async def get(self, recording: str) -> Recording:
        live = self._live.get(recording)
        return self._shown(live) if live else _of_row(await self._means.table.get(recording))

    async def list(self, conversation: str) -> list[Recording]:
        await self._conversations.get(conversation)
        rows = await self._means.table.of(conversation)
        return [self._shown(self._live[row.id]) if row.id in self._live else _of_row(row) for row in rows]

    async def stop(self, recording: str) -> Recording:
        """Returns at FINALIZING or later."""
        return await self._end(recording, EndReason.NORMAL)

    async def pause(self, recording: str) -> Recording:
        raise _no_pause()

    async def resume(self, recording: str) -> Recording:
        raise _no_pause()

    async def media(self, recording: str) -> MediaBytes:
        row, opened = await self._opened(recording)
        return MediaBytes(
            size=opened.size,
            complete=opened.complete,
            etag=opened.etag,
            content_type=opened.content_type,
            filename=row.filename,
            reader=opened,
        )

    async def playlist(self, recording: str, uri: str) -> Playlist:
        """An HLS playlist of what there is now, for media that is found at `uri`; no_media, no_index."""
        _, opened = await self._opened(recording)
        try:
            return await self._playlists.of(recording, opened, uri)
        finally:
            await opened.close()

    async def store_link(
        self, recording: str, *, lifetime_s: int, method: Literal["GET", "HEAD"], content_disposition: str
    ) -> str:
        """The store's own link to the stored object; no_store_link while, or where, there is none."""
        row, opened = await self._opened(recording)
        await opened.close()
        if not isinstance(opened, StoredMedia):
            raise no_store_link("The recording is not in the store yet.")
        terms = LinkTerms(lifetime_s, method, content_disposition)
        return await presigned(self._means.shipping.store, row.object_key, terms)

    def watch(self, conversation: str) -> AsyncIterator[Recording]:
        return self._watchers.watch(conversation, lambda: self.list(conversation))

    # --- for who decides that there are recordings -----------------------------------------------------
    def supervised_by(self, supervisor: Supervisor) -> None:
        """Who decides which recordings begin and end; named before anything is asked of this."""
        self._supervisor = supervisor

    @property
    def accepting(self) -> bool:
        """False from the beginning of a shutdown: what ends from then on was not meant to."""
        return self._accepting

    def check_accepting(self) -> None:
        """Raises shutting_down (503)."""
        if not self._accepting:
            raise _refusal("shutting_down", "The server is being shut down.")

    async def plan(self, conversation: Conversation, settings: Settings, recording: str) -> RecordingRow:
        """The row of a new recording, to be written down before `begin`; 503 when there is no room for it."""
        self.check_accepting()
        if len(self._live) >= LIVE_RECORDINGS_MAX:
            raise _refusal("overloaded", "The server has as many recordings as it can take.")
        number = 1 + await self._means.table.count_of(conversation.id)
        named = await self._conversations.participants(conversation.id)
        now = self._means.clock.utc_now()
        node = self._means.node
        return new_row(settings, conversation, number, now, named, recording=recording, node=node)

    def begin(self, row: RecordingRow, settings: Settings) -> None:
        """Begin what was planned; `settings` as they count for its conversation."""
        first = begin(terms(settings), self._now())
        self.changed(self.admit(RecordingActor(row, first, self._means, settings)))

    def end(self, recording: str, reason: EndReason) -> None:
        """Ask it to end; nothing where it is over."""
        if (live := self._live.get(recording)) is not None:
            live.stop(reason)

    def live(self, recording: str) -> RecordingActor:
        """404 not_found where it is over."""
        if (live := self._live.get(recording)) is None:
            raise not_found("recording")
        return live

    async def row(self, recording: str) -> RecordingRow | None:
        """How it is now; None where there is none."""
        if (live := self._live.get(recording)) is not None:
            life = live.life  # of one that was adopted it may be newer than what is written down
            return msgspec.structs.replace(
                live.row, state=life.phase.state, end_reason=life.end_reason, failure=life.failure
            )
        try:
            return await self._means.table.get(recording)
        except BystanderError as error:
            if error.code != "not_found":
                raise
            return None

    # --- for the rest of this package ------------------------------------------------------------------
    def shown(self, row: RecordingRow) -> Recording:
        """As the API says it: with what is newer of one that still runs."""
        live = self._live.get(row.id)
        return self._shown(live) if live else _of_row(row)

    def admit(self, live: RecordingActor) -> RecordingActor:
        """Let a recording live in here until it is over."""
        recording = live.row.id
        self._live[recording] = live
        self._entry_points[self._secrets.name(recording)] = recording
        task = asyncio.create_task(live.run(self.changed), name=f"recording {recording}")
        self._lives[recording] = task
        task.add_done_callback(lambda task: self._over(recording, task))
        return live

    def published_at(self, entry_point: str) -> RecordingActor:
        """The recording behind the last part of an entry point's URL; 404 once it is over."""
        live = self._live.get(self._entry_points.get(entry_point, ""))
        if live is None or not live.phase.takes_publishers:
            raise not_found("entry point")
        return live

    def changed(self, live: RecordingActor) -> None:
        """Tell those who watch."""
        self._watchers.tell(self._shown(live))
        before = self._phases.get(live.row.id)
        if before is live.phase:
            return
        self._phases[live.row.id] = live.phase
        if before is Phase.LAUNCHING and live.phase is Phase.READY:
            took = self._means.clock.utc_now() - live.row.requested_at
            self._metrics.start_seconds.observe(max(0.0, took.total_seconds()))
        self._supervisor.moved(live)
        if live.phase is Phase.RECORDING:
            self.began(live)

    def publisher_ice_servers(self, live: RecordingActor) -> builtins.list[IceServer]:
        """What a publisher of this recording is told, with credentials from now on."""
        turn = self._settings.turn
        until = int(self._means.clock.utc_now().timestamp()) + turn.credential_ttl_s
        return ice_servers(self._settings.call, turn, who=live.row.id, expires_unix_s=until)

    async def end_all_of(self, conversation: str, reason: EndReason) -> None:
        """End whatever is being recorded of a conversation."""
        for live in self:
            if live.row.conversation == conversation:
                await self._end(live.row.id, reason)

    async def delete_all_of(self, conversation: str) -> None:
        """End and remove every recording of a conversation, with its media."""
        await self.end_all_of(conversation, EndReason.NORMAL)
        waiting = [task for name, task in self._lives.items() if self._is_of(name, conversation)]
        if waiting:
            await asyncio.wait(waiting, timeout=self._means.terms.drain_timeout_s)
        rows = await self._means.table.of(conversation)
        if any(row.id in self._live or is_held_elsewhere(row, self._means.node) for row in rows):
            raise _refusal("recording_running", "A recording of the conversation is still being stored.")
        await self.check_deletable(conversation)
        for row in rows:
            await delete_recording(self._means.shipping, row)

    async def check_deletable(self, conversation: str) -> None:
        """object_locked (409), naming the date, if anything that was stored of it may not be deleted yet."""
        rows = await self._means.table.of(conversation)
        await check_recordings_deletable(self._means.shipping.store, rows, self._means.clock.utc_now())

    async def drain(self, timeout_s: float) -> int:
        """Accept no more, end all, wait until they are stored; returns how many are not yet."""
        self._accepting = False
        for live in self:
            live.stop(EndReason.ABORT_SYSTEM)
        if self._lives:
            await asyncio.wait(list(self._lives.values()), timeout=timeout_s)
        left = list(self._live.values())
        for live in left:
            self._lives[live.row.id].cancel()
            await live.leave()
        return len(left)

    # --- parts -----------------------------------------------------------------------------------------
    async def _opened(self, recording: str) -> tuple[RecordingRow, OpenMedia]:
        """What there is of it to read; the caller closes it. no_media (409) without a byte."""
        live = self._live.get(recording)
        row = live.row if live else await self._means.table.get(recording)
        shipping = self._means.shipping
        try:
            opened = await open_media(shipping.store, shipping.spool, recording, row.object_key)
        except BystanderError as error:
            if error.code != "object_missing":
                raise
            raise _no_media() from None
        if opened.size == 0:
            await opened.close()
            raise _no_media()
        return row, opened

    async def _end(self, recording: str, reason: EndReason) -> Recording:
        live = self._live.get(recording)
        if live is None:
            return await self.get(recording)
        live.stop(reason)
        await live.until(lambda phase: phase in _ENDING)
        return self._shown(live)

    def _is_of(self, recording: str, conversation: str) -> bool:
        live = self._live.get(recording)
        return live is not None and live.row.conversation == conversation

    def _over(self, recording: str, task: "asyncio.Task[None]") -> None:
        live = self._live.pop(recording)
        self._phases.pop(recording, None)
        del self._lives[recording], self._entry_points[self._secrets.name(recording)]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect in a recording's life", extra={"recording": recording}, exc_info=error)
        if live.phase.is_last:
            self._metrics.over(_of_row(live.row))

    def _shown(self, live: RecordingActor) -> Recording:
        duration_s, size = live.written
        entry_point = self._entry_point(live) if live.phase.takes_publishers else None
        return _of_row(live.row, duration_s=duration_s, bytes=size, entry_point=entry_point)

    def _entry_point(self, live: RecordingActor) -> EntryPoint:
        recording = live.row.id
        lifetime = timedelta(seconds=live.terms.media_timeout_s + live.terms.duration_s_max)
        return EntryPoint(
            url=f"{self.base_url}/whip/{self._secrets.name(recording)}",
            token=self._secrets.token(recording),
            ice_servers=self.publisher_ice_servers(live),
            expires_at=live.row.requested_at + lifetime,
        )

    def _now(self) -> float:
        return self._means.clock.monotonic_ns() / 1e9


def _of_row(row: RecordingRow, **newer: Any) -> Recording:
    told: dict[str, Any] = {"duration_s": row.duration_s, "bytes": row.bytes, **newer}
    return Recording(
        id=row.id,
        conversation=row.conversation,
        state=row.state,
        type=row.type,
        end_reason=row.end_reason,
        failure=row.failure,
        requested_at=row.requested_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        filename=row.filename,
        **told,
    )


def _nobody_waits(live: RecordingActor) -> None:
    """For a server that has nothing to say to a recording that begins."""


def _not_started(live: RecordingActor) -> BystanderError:
    code = live.life.failure or "recording_failed"
    no_store = live.life.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE
    fault = Fault.DESTINATION if no_store else Fault.SERVER
    return BystanderError(code, f"The recording {live.row.id} could not be started.", fault=fault, status=503)


def _refusal(code: str, detail: str) -> BystanderError:
    return BystanderError(code, detail, fault=Fault.RESOURCE, status=503)


def _no_media() -> BystanderError:
    return caller_error("no_media", "The recording has no media (yet).", status=409)


def _no_pause() -> BystanderError:
    return BystanderError("pause_unsupported", "Recordings cannot pause yet.", fault=Fault.CALLER, status=501)
