"""The supervisor of one conversation: decides, writes down with all that it changes, tells, and does.

Everything here is called under the conversation's lock, which recorder.supervision.supervisors holds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from recorder.database import RecordingRow
from recorder.database.supervisions import Change, SupervisionTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Conversation, Interaction
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording.actor import RecordingActor
from recorder.recording.registry import RecordingRegistry
from recorder.settings.definitions import Settings
from recorder.supervision import events
from recorder.supervision.decisions import Decisions
from recorder.supervision.events import Effect, Event, Reason, SupervisedInteraction
from recorder.supervision.interactions import RunningInteractions
from recorder.supervision.policy import Activity, covers, triggers
from recorder.supervision.state_machine import Stage, Supervision, decoded, encoded, restored, step
from recorder.supervision.translation import decisions_of, rules, why_over

AGAIN_S = 1.0  # after a database that refused
RETURN_S = 60.0  # how long a restarted server waits for a room to say that its call still runs

_OPEN = (  # what is interrupted goes on by itself
    RecordingState.READY,
    RecordingState.RECORDING,
    RecordingState.PAUSED,
    RecordingState.INTERRUPTED,
)

Effects = tuple[Effect, ...]

_log = logging.getLogger(__name__)


class EffectiveSettings(Protocol):
    """The server's settings with what counts for one conversation."""

    def __call__(self, conversation: Conversation) -> Awaitable[Settings]: ...


@dataclass(frozen=True, slots=True)
class SupervisionDependencies:
    """What every conversation's supervision works with."""

    table: SupervisionTable
    recordings: RecordingRegistry
    decisions: Decisions
    effective: EffectiveSettings
    clock: Clock


class ConversationSupervisor:
    """One conversation's supervision, its running interactions and its timer. Use under `lock`."""

    def __init__(
        self,
        conversation: Conversation,
        dependencies: SupervisionDependencies,
        do_later: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        """`do_later` does something later under this conversation's lock."""
        self.conversation = conversation
        self._lock = asyncio.Lock()
        self._users = 0  # who have it, or wait for it
        self._dependencies = dependencies
        self._do_later = do_later
        self._supervision = Supervision()
        self._running = RunningInteractions()
        self._loaded = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def is_over(self) -> bool:
        return self._supervision.is_over and not self._running

    def running(self) -> list[tuple[Activity, bool]]:
        """What runs, and whether recordings take it."""
        return self._running.activities()

    @property
    def is_forgettable(self) -> bool:
        """Nobody uses it, and what it knows is written down."""
        return self._users == 0 and self.is_over

    async def enter(self) -> None:
        """Wait until this is the caller's alone."""
        self._users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._users -= 1
            raise

    def exit(self) -> None:
        """Leave it to the next one who waits."""
        self._users -= 1
        self._lock.release()

    def is_automatic(self, recording: str) -> bool:
        """Whether this recording is there because something that triggers runs."""
        return self._supervision.automatic and recording in self._supervision.recordings

    # --- what happens ----------------------------------------------------------------------------------
    def take_back(self, owner: str | None) -> Interaction | None:
        """The running interaction that this owner has."""
        return self._running.take_back(owner)

    async def begin(self, activity: Activity, owner: str | None, settings: Settings) -> Interaction:
        recording, before = settings.recording, self._supervision.stage is not Stage.IDLE
        interaction = Interaction(
            id=new_id("int"),
            conversation=self.conversation.id,
            kind=activity.kind,
            layer=activity.layer,
            by_pin=activity.by_pin,
            recorded=covers(recording, activity, recording_before=before),
            started_at=self._utc_now(),
        )
        supervised = SupervisedInteraction(
            id=interaction.id, triggers=triggers(recording, activity), covered=interaction.recorded
        )
        began = events.Began(interaction=supervised, rules=rules(settings))
        await self.apply(began, began=interaction, owner=owner, settings=settings)
        return self._running.get(interaction.id) or await self._ended(interaction.id)

    def is_owned(self, interaction: str) -> bool:
        """Whether a room goes on with it, and says when it has ended."""
        return self._running.is_owned(interaction)

    async def end(self, interaction: str) -> Interaction:
        known = await self._ended(interaction)
        if known.ended_at is None:
            await self.apply(events.Ended(interaction=interaction), ended=interaction)
        return await self._ended(interaction)

    async def start_by_hand(self, settings: Settings) -> RecordingActor:
        await self.apply(events.AskedByHand(rules=rules(settings)), settings=settings)
        return self._dependencies.recordings.live(self._supervision.recording or "")

    async def heard(self, row: RecordingRow) -> None:
        """How one of the conversation's recordings is now."""
        if row.state in _OPEN:
            await self._try(events.Ready(recording=row.id))
            if row.state is not RecordingState.READY:
                await self._try(events.MediaBegan(recording=row.id))
        elif self._dependencies.recordings.accepting:
            why = why_over(row, self._supervision.stage)
            if why is not None:
                await self._try(events.Over(recording=row.id, why=why, failure=row.failure))

    async def restore(self) -> None:
        """What an earlier server left, and what became of its recording since."""
        self._supervision = restored(self._supervision, self._now())
        self._running.unclaim()
        if self._running.unclaimed():
            self._in("return", RETURN_S, self._give_up_unclaimed)
        starting = self._supervision.stage is Stage.STARTING
        for recording in self._supervision.recordings:
            row = await self._dependencies.recordings.row(recording)
            if row is None or (starting and row.end_reason is EndReason.ABORT_UNEXPECTED):
                # It was our end that took the worker along: no attempt has failed.
                await self._try(events.Over(recording=recording, why=Reason.SHUT_DOWN))
            else:
                await self.heard(row)
        self._wait()

    async def load(self) -> None:
        """Once: what is kept of it."""
        if self._loaded:
            return
        self._supervision = decoded(await self._dependencies.table.get(self.conversation.id))
        for interaction, owner in await self._dependencies.table.running(self.conversation.id):
            self._running.add(interaction, owner)
        self._loaded = True

    def leave(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    # --- applying --------------------------------------------------------------------------------------
    async def _try(self, event: Event) -> None:
        """For what nobody can be told to ask again: what cannot be decided now is decided later."""
        try:
            await self.apply(event)
        except BystanderError as error:
            _log.error("nothing can be decided now", extra=self._fields(code=error.code))
            self._in("again", AGAIN_S, self._reconsider)

    async def _reconsider(self) -> None:
        for recording in self._supervision.recordings:
            row = await self._dependencies.recordings.row(recording)
            if row is not None:
                await self.heard(row)
        self._wait()

    async def apply(
        self,
        event: Event,
        *,
        began: Interaction | None = None,
        owner: str | None = None,
        ended: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Decide, write down, tell, do."""
        before, now = self._supervision, self._utc_now()
        after, effects = step(before, event, self._now(), new_id("rec"))
        if after == before and not effects and began is None and ended is None:
            return
        row, after, effects, settings = await self._planned(event, after, effects, settings)
        decisions = decisions_of(
            effects,
            conversation=self.conversation.id,
            recording=before.recording or after.recording,
            decided_at=now,
        )
        change = Change(
            supervision=encoded(after),
            began=began,
            owner=owner,
            ended=ended,
            decisions=decisions,
            recording=row,
        )
        kept = await self._dependencies.table.write(self.conversation, change, now)
        self._supervision = after
        if began is not None:
            self._running.add(began, owner)
        if ended is not None:
            self._running.remove(ended)
        self._running.obey(kept)
        if isinstance(event, events.Closed):
            self._running.clear()
        if kept:
            self._dependencies.decisions.tell(self.conversation.id)
        if row is not None and settings is not None:
            self._dependencies.recordings.begin(row, settings)
        for effect in effects:
            if isinstance(effect, events.StopRecording):
                self._dependencies.recordings.end(effect.recording, EndReason.NORMAL)
        self._wait()

    async def _planned(
        self, event: Event, after: Supervision, effects: Effects, settings: Settings | None
    ) -> tuple[RecordingRow | None, Supervision, Effects, Settings | None]:
        """The row of the recording that is to be started; where none can be, what follows from that."""
        start = next((effect for effect in effects if isinstance(effect, events.StartRecording)), None)
        if start is None:
            return None, after, effects, settings
        recordings = self._dependencies.recordings
        settings = settings or await self._dependencies.effective(self.conversation)
        try:
            row = await recordings.plan(self.conversation, settings, start.recording)
        except BystanderError as error:
            if isinstance(event, events.AskedByHand):
                raise
            _log.error("a recording cannot be begun", extra=self._fields(code=error.code))
            over = events.Over(recording=start.recording, why=Reason.NOT_STARTED, failure=error.code)
            after, more = step(after, over, self._now(), "")
            return None, after, (*(effect for effect in effects if effect is not start), *more), settings
        return msgspec.structs.replace(row, continues=start.continues), after, effects, settings

    # --- waiting ---------------------------------------------------------------------------------------
    def _wait(self) -> None:
        deadline = self._supervision.deadline
        self._cancel("deadline")
        if deadline is not None:
            self._in("deadline", max(0.0, deadline - self._now()), self._overdue)

    async def _overdue(self) -> None:
        deadline = self._supervision.deadline
        if deadline is None or not self._dependencies.recordings.accepting:
            return
        if self._now() < deadline:  # it was moved while this waited for its turn
            self._wait()
        else:
            await self._try(events.Overdue())

    async def _give_up_unclaimed(self) -> None:
        for interaction in self._running.unclaimed():
            _log.info("a call was not taken up again", extra=self._fields(interaction=interaction))
            await self.end(interaction)

    def _in(self, name: str, delay_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._cancel(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(delay_s, lambda: self._do_later(work))

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    async def _ended(self, interaction: str) -> Interaction:
        return await self._dependencies.table.interaction(self.conversation.id, interaction)

    def _now(self) -> float:
        return self._dependencies.clock.monotonic_ns() / 1e9

    def _utc_now(self) -> datetime:
        return self._dependencies.clock.utc_now()

    def _fields(self, **more: object) -> dict[str, object]:
        return {"conversation": self.conversation.id, "stage": self._supervision.stage, **more}
