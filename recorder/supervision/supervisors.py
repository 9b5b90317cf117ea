"""The supervisors of all conversations: what begins and ends in each, and what becomes of its recordings.

Each conversation has one lock: what happens to it is applied in order, written down with everything that it
changes, and only then told and done. Conversations in which nothing runs cost nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recorder.database import ConversationTable, RecordingRow
from recorder.database.supervisions import SupervisionTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Conversation, Interaction, InteractionKind, LayerKind
from recorder.kernel.errors import caller_error
from recorder.kernel.media import SourceKind
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase
from recorder.recording.registry import RecordingRegistry
from recorder.supervision import events
from recorder.supervision.conversation_supervisor import (
    ConversationSupervisor,
    EffectiveSettings,
    SupervisionDependencies,
)
from recorder.supervision.decisions import Decisions
from recorder.supervision.policy import Activity, may_start_by_hand, may_stop, refusal_of_stream
from signaling.ports import Caller

_log = logging.getLogger(__name__)


class Supervisors:
    """One for each server."""

    def __init__(
        self,
        table: SupervisionTable,
        conversations: ConversationTable,
        recordings: RecordingRegistry,
        decisions: Decisions,
        effective: EffectiveSettings,
        clock: Clock,
    ) -> None:
        self._dependencies = SupervisionDependencies(table, recordings, decisions, effective, clock)
        self._conversations = conversations
        self._open: dict[str, ConversationSupervisor] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what happens in a conversation ----------------------------------------------------------------
    async def begin(
        self,
        conversation: Conversation,
        *,
        kind: InteractionKind,
        layer: LayerKind | None,
        by_pin: bool = False,
        owner: str | None = None,
    ) -> Interaction:
        """Something begins: HELD where it has to wait. With an `owner` that has one running: that one."""
        self._dependencies.recordings.check_accepting()
        settings = await self._dependencies.effective(conversation)
        activity = Activity(kind=kind, layer=layer, by_pin=by_pin)
        async with self.of(conversation) as supervisor:
            await self._check_running(conversation.id)
            found = supervisor.take_back(owner)
            return found or await supervisor.begin(activity, owner, settings)

    async def end(
        self, conversation: Conversation, interaction: str, *, unowned: bool = False
    ) -> Interaction:
        """It has ended; twice is the same as once. 404 not_found; `unowned`: 403 where it has an owner."""
        async with self.of(conversation) as supervisor:
            if unowned and supervisor.is_owned(interaction):
                raise caller_error("forbidden", "The room says when its own call has ended.", status=403)
            return await supervisor.end(interaction)

    async def interaction(self, conversation: Conversation, interaction: str) -> Interaction:
        """As it was last decided about; 404 not_found."""
        return await self._dependencies.table.interaction(conversation.id, interaction)

    async def close(self, conversation: Conversation) -> None:
        """The conversation has ended."""
        async with self.of(conversation) as supervisor:
            if not supervisor.is_over:
                await supervisor.apply(events.Closed())

    async def start_by_hand(self, conversation: Conversation, caller: Caller) -> RecordingActor:
        """403 forbidden, 409 recording_disabled, recording_in_progress, 503 without room for it."""
        settings = await self._dependencies.effective(conversation)
        role = None if caller.participant is None else caller.participant.role
        if not settings.recording.enabled:
            raise caller_error("recording_disabled", "Recording is switched off.", status=409)
        if not may_start_by_hand(settings.recording, role):
            raise caller_error("forbidden", "Your role may not start recordings.", status=403)
        async with self.of(conversation) as supervisor:
            await self._check_running(conversation.id)
            return await supervisor.start_by_hand(settings)

    async def check_stop(self, conversation: str, recording: str, caller: Caller) -> None:
        """403 forbidden where the caller's role may not stop this recording."""
        if caller.participant is None:
            return
        known = await self._conversations.get(conversation)
        settings = await self._dependencies.effective(known)
        async with self.of(known) as supervisor:
            automatic = supervisor.is_automatic(recording)
        if not may_stop(settings.recording, caller.participant.role, automatic=automatic):
            what = "a recording that started by itself" if automatic else "recordings"
            raise caller_error("forbidden", f"Your role may not stop {what}.", status=403)

    def is_automatic(self, conversation: str, recording: str) -> bool:
        """Whether this recording is there because something that triggers runs, as far as is known now."""
        supervisor = self._open.get(conversation)
        return supervisor is not None and supervisor.is_automatic(recording)

    async def check_source(self, recording: RecordingRow, source: SourceKind) -> None:
        """403 not_recorded, saying why, where the recording does not take a stream of this source now."""
        if source.interaction is InteractionKind.CALL:
            return
        conversation = await self._conversations.get(recording.conversation)
        settings = await self._dependencies.effective(conversation)
        async with self.of(conversation) as supervisor:
            refusal = refusal_of_stream(source, settings.recording, supervisor.running())
        if refusal is not None:
            raise caller_error("not_recorded", refusal, status=403)

    def changed(self, live: RecordingActor, before: Phase | None) -> None:
        """A recording is in another phase, which is written down; a Listener."""
        if before is live.phase:
            return
        supervisor = self._open.get(live.row.conversation)
        if supervisor is not None:  # else nothing there waits for any recording
            self._later(self._moved(supervisor.conversation, live.row))

    async def restore(self) -> int:
        """Go on from where an earlier server was; its recordings have been taken up. Returns how many."""
        kept = await self._dependencies.table.kept()
        for conversation in kept:
            async with self.of(await self._conversations.get(conversation)) as supervisor:
                await supervisor.restore()
        return len(kept)

    async def leave(self) -> None:
        """Stop deciding; the next server goes on."""
        for supervisor in self._open.values():
            supervisor.leave()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- parts -----------------------------------------------------------------------------------------
    def of(self, conversation: Conversation) -> "_Held":
        """The conversation's supervisor, for the length of a block alone."""
        held = self._open.get(conversation.id)
        if held is None:
            held = ConversationSupervisor(
                conversation, self._dependencies, lambda work: self._later(self._alone(conversation, work))
            )
            self._open[conversation.id] = held
        return _Held(held, self._open)

    async def _alone(self, conversation: Conversation, work: Callable[[], Awaitable[None]]) -> None:
        async with self.of(conversation):
            await work()

    async def _moved(self, conversation: Conversation, row: RecordingRow) -> None:
        async with self.of(conversation) as supervisor:
            await supervisor.heard(row)

    async def _check_running(self, conversation: str) -> None:
        if (await self._conversations.get(conversation)).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a conversation could not be supervised", exc_info=error)


class _Held:
    """A conversation under its lock; forgotten afterwards when nothing runs in it and nobody waits."""

    def __init__(self, supervisor: ConversationSupervisor, opened: dict[str, ConversationSupervisor]) -> None:
        self._supervisor = supervisor
        self._opened = opened

    async def __aenter__(self) -> ConversationSupervisor:
        await self._supervisor.enter()
        try:
            await self._supervisor.load()
        except BaseException:
            self._leave()
            raise
        return self._supervisor

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._supervisor.exit()
        if self._supervisor.is_forgettable:
            self._opened.pop(self._supervisor.conversation.id, None)
