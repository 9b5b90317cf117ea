"""The recordings of a node that are not over: begun, found, asked to end, and let go when they are."""

import asyncio
import logging
import os
from collections.abc import Iterator

import msgspec
import psutil

from recorder.database import ConversationTable, RecordingRow
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError, Fault, not_found
from recorder.kernel.recording import EndReason
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.actor import RecordingActor
from recorder.recording.changes import RecordingChanges
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.events import Phase
from recorder.recording.plan import new_row, terms
from recorder.recording.state_machine import begin
from recorder.settings.definitions import Settings
from recorder.worker_pool.admission import Budget, shortage
from recorder.worker_pool.occupancy import Occupancy

_ENDING = (Phase.DRAINING, Phase.UPLOADING, Phase.AVAILABLE, Phase.FAILED)

_log = logging.getLogger(__name__)


class RecordingRegistry:
    """The actors of one server, by recording and by entry point. What becomes of them goes to `changes`."""

    def __init__(
        self,
        dependencies: ActorDependencies,
        conversations: ConversationTable,
        secrets: EntryPointSecrets,
        changes: RecordingChanges,
    ) -> None:
        self._dependencies = dependencies
        self._conversations = conversations
        self._secrets = secrets
        self._changes = changes
        self._actors: dict[str, RecordingActor] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._entry_points: dict[str, str] = {}  # name in the URL -> recording
        self._phases: dict[str, Phase] = {}  # as they were last published
        self._accepting = True

    def __iter__(self) -> Iterator[RecordingActor]:
        return iter(list(self._actors.values()))

    def __contains__(self, recording: str) -> bool:
        return recording in self._actors

    @property
    def count(self) -> int:
        return len(self._actors)

    @property
    def worker_walls(self) -> list[str] | None:
        """What the newest worker stands behind; None before the first."""
        return self._dependencies.workers.walls

    @property
    def budget(self) -> Budget:
        """What recordings may take of this machine."""
        limits = self._dependencies.settings.limits
        return Budget(
            cores=os.cpu_count() or 1,
            recordings_max=limits.recordings_max,
            cpu_share_max=limits.cpu_share_max,
            memory_free_bytes_min=limits.memory_free_bytes_min,
        )

    @property
    def occupancy(self) -> Occupancy:
        """What its workers take, as of the last sampling."""
        return self._dependencies.workers.occupancy.now

    def room(self) -> tuple[Budget, Occupancy]:
        """What recordings may take, and what they take."""
        return self.budget, self.occupancy

    # --- looking them up -------------------------------------------------------------------------------
    def get(self, recording: str) -> RecordingActor | None:
        """None where it is over."""
        return self._actors.get(recording)

    def live(self, recording: str) -> RecordingActor:
        """404 not_found where it is over."""
        if (actor := self._actors.get(recording)) is None:
            raise not_found("recording")
        return actor

    def of(self, conversation: str) -> list[RecordingActor]:
        return [actor for actor in self if actor.row.conversation == conversation]

    def is_recording(self, conversation: str) -> bool:
        """Whether anything of the conversation is recorded now, or about to be."""
        return any(actor.phase not in _ENDING for actor in self.of(conversation))

    def published_at(self, entry_point: str) -> RecordingActor:
        """The recording behind the last part of an entry point's URL.

        404 once it is over; recording_interrupted (503) while another worker is on its way.
        """
        actor = self._actors.get(self._entry_points.get(entry_point, ""))
        if actor is not None and actor.phase is Phase.INTERRUPTED:
            raise _refusal("recording_interrupted", "The recording is interrupted and will go on; try again.")
        if actor is None or not actor.phase.takes_publishers:
            raise not_found("entry point")
        return actor

    async def row(self, recording: str) -> RecordingRow | None:
        """How it is now; None where there is none."""
        if (actor := self._actors.get(recording)) is not None:
            life = actor.life  # of one that was adopted it may be newer than what is written down
            return msgspec.structs.replace(
                actor.row, state=life.phase.state, end_reason=life.end_reason, failure=life.failure
            )
        try:
            return await self._dependencies.table.get(recording)
        except BystanderError as error:
            if error.code != "not_found":
                raise
            return None

    # --- beginning -------------------------------------------------------------------------------------
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
        self._check_admission()
        await self._dependencies.archive.check_room(self._dependencies.settings.limits.spool_free_bytes_min)
        store = self._dependencies.archive.stores.named(settings.recording.store).id
        number = 1 + await self._dependencies.table.count_of(conversation.id)
        named = await self._conversations.participants(conversation.id)
        now, node = self._dependencies.clock.utc_now(), self._dependencies.node
        return new_row(
            settings, conversation, number, now, named, recording=recording, node=node, store=store
        )

    def _check_admission(self) -> None:
        lacking = shortage(self.budget, len(self._actors), self.occupancy, psutil.virtual_memory().available)
        if lacking is not None:
            raise _refusal("overloaded", lacking)

    def begin(self, row: RecordingRow, settings: Settings) -> None:
        """Begin what was planned; `settings` as they count for its conversation."""
        first = begin(terms(settings), self._dependencies.now_s())
        self._publish(self.admit(RecordingActor(row, first, self._dependencies, settings)))

    def admit(self, actor: RecordingActor) -> RecordingActor:
        """Let a recording live in here until it is over."""
        recording = actor.row.id
        entry_point = self._secrets.name(recording)
        self._actors[recording] = actor
        self._entry_points[entry_point] = recording
        task = asyncio.create_task(actor.run(self._publish), name=f"recording {recording}")
        self._tasks[recording] = task
        task.add_done_callback(lambda task: self._over(recording, entry_point, task))
        return actor

    # --- ending ----------------------------------------------------------------------------------------
    def end(self, recording: str, reason: EndReason) -> None:
        """Ask it to end; nothing where it is over."""
        if (actor := self._actors.get(recording)) is not None:
            actor.stop(reason)

    async def ended(self, recording: str, reason: EndReason) -> None:
        """Ask it to end, and wait until it takes nothing more."""
        if (actor := self._actors.get(recording)) is not None:
            actor.stop(reason)
            await actor.until(lambda phase: phase in _ENDING)

    async def end_all_of(self, conversation: str, reason: EndReason) -> None:
        """End whatever is being recorded of a conversation."""
        for actor in self.of(conversation):
            await self.ended(actor.row.id, reason)

    async def over(self, conversation: str, timeout_s: float) -> None:
        """Wait, but no longer than this, until no recording of the conversation lives any more."""
        waiting = [self._tasks[actor.row.id] for actor in self.of(conversation)]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)

    async def drain(self, timeout_s: float) -> int:
        """Accept no more, end all, wait until they are stored; returns how many are not yet."""
        self._accepting = False
        for actor in self:
            actor.stop(EndReason.ABORT_SYSTEM)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=timeout_s)
        return await self.leave()

    async def leave(self) -> int:
        """Let go of all that live without ending them: the next server takes them up. Returns how many."""
        left = [(recording, task) for recording, task in self._tasks.items() if not task.done()]
        actors = [self._actors[recording] for recording, _ in left]
        for _, task in left:
            task.cancel()
        for actor in actors:  # others may end meanwhile
            await actor.leave()
        return len(left)

    # --- parts -----------------------------------------------------------------------------------------
    def _publish(self, actor: RecordingActor) -> None:
        before = self._phases.get(actor.row.id)
        self._phases[actor.row.id] = actor.phase
        self._changes.publish(actor, before)

    def _over(self, recording: str, entry_point: str, task: "asyncio.Task[None]") -> None:
        del self._actors[recording], self._tasks[recording], self._entry_points[entry_point]
        self._phases.pop(recording, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect in a recording's life", extra={"recording": recording}, exc_info=error)


def _refusal(code: str, detail: str) -> BystanderError:
    return BystanderError(code, detail, fault=Fault.RESOURCE, status=503)
