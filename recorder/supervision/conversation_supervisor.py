"""One conversation's supervision at work: decides, writes down with all that it changes, tells, and does.

Everything here is called under the conversation's lock, which recorder.supervision.supervisors holds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recorder.database import RecordingRow
from recorder.database.supervisions import Change, SupervisionTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Conversation, Interaction
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording.actor import RecordingActor
from recorder.recording.service import RecordingService
from recorder.settings.definitions import Settings
from recorder.supervision import events as word
from recorder.supervision.decisions import Decisions
from recorder.supervision.events import Event, Reason, SupervisedInteraction
from recorder.supervision.interactions import RunningInteractions
from recorder.supervision.policy import Activity, covers, triggers
from recorder.supervision.state_machine import Stage, Supervision, restored, step
from recorder.supervision.translation import decisions_of, rules, why_over

AGAIN_S = 1.0  # after a database that refused
RETURN_S = 60.0  # how long a restarted server waits for a room to say that its call still runs

_OPEN = (RecordingState.READY, RecordingState.RECORDING, RecordingState.PAUSED)

_log = logging.getLogger(__name__)


class EffectiveSettings(Protocol):
    """The server's settings with what counts for one conversation."""

    def __call__(self, conversation: Conversation) -> Awaitable[Settings]: ...


@dataclass(frozen=True, slots=True)
class SupervisionDependencies:
    """What every conversation's supervision works with."""

    table: SupervisionTable
    recordings: RecordingService
    decisions: Decisions
    effective: EffectiveSettings
    clock: Clock


class ConversationSupervisor:
    """One conversation's supervision, its running interactions and its timer. Use under `lock`."""

    def __init__(
        self,
        conversation: Conversation,
        means: SupervisionDependencies,
        alone: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        """`alone` does something later under this conversation's lock."""
        self.conversation = conversation
        self.lock = asyncio.Lock()
        self.users = 0
        self._means = means
        self._alone = alone
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
        began = word.Began(interaction=supervised, rules=rules(settings))
        await self.apply(began, began=interaction, owner=owner, settings=settings)
        return self._running.get(interaction.id) or await self._ended(interaction.id)

    async def end(self, interaction: str) -> Interaction:
        known = await self._ended(interaction)
        if known.ended_at is None:
            await self.apply(word.Ended(interaction=interaction), ended=interaction)
        return await self._ended(interaction)

    async def start_by_hand(self, settings: Settings) -> RecordingActor:
        await self.apply(word.AskedByHand(rules=rules(settings)), settings=settings)
        return self._means.recordings.live(self._supervision.recording or "")

    async def heard(self, row: RecordingRow) -> None:
        """How one of the conversation's recordings is now."""
        if row.state in _OPEN:
            await self._try(word.Ready(recording=row.id))
        elif (why := why_over(row, self._supervision.stage)) is not None and self._means.recordings.accepting:
            await self._try(word.Over(recording=row.id, why=why))

    async def restore(self) -> None:
        """What an earlier server left, and what became of its recording since."""
        self._supervision = restored(self._supervision, self._now())
        self._running.unclaim()
        if self._running.unclaimed():
            self._in("return", RETURN_S, self._give_up_unclaimed)
        recording, starting = self._supervision.recording, self._supervision.stage is Stage.STARTING
        if recording is not None:
            row = await self._means.recordings.row(recording)
            if row is None or (starting and row.end_reason is EndReason.ABORT_UNEXPECTED):
                # It was our end that took the worker along: no attempt has failed.
                await self._try(word.Over(recording=recording, why=Reason.SHUT_DOWN))
            else:
                await self.heard(row)
        self._wait()

    async def load(self) -> None:
        """Once: what is kept of it."""
        if self._loaded:
            return
        self._supervision = await self._means.table.get(self.conversation.id)
        for interaction, owner in await self._means.table.running(self.conversation.id):
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
        recording = self._supervision.recording
        row = None if recording is None else await self._means.recordings.row(recording)
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
        row = None
        starting = [one for one in effects if isinstance(one, word.StartRecording)]
        if starting:
            settings = settings or await self._means.effective(self.conversation)
            try:
                row = await self._means.recordings.plan(self.conversation, settings, starting[0].recording)
            except BystanderError as error:
                if isinstance(event, word.AskedByHand):
                    raise
                _log.error("a recording cannot be begun", extra=self._fields(code=error.code))
                over = word.Over(recording=starting[0].recording, why=Reason.NOT_STARTED)
                after, more = step(after, over, self._now(), "")
                effects = (*(one for one in effects if one not in starting), *more)
        decisions = decisions_of(
            effects,
            conversation=self.conversation.id,
            recording=before.recording or after.recording,
            decided_at=now,
        )
        change = Change(
            supervision=after, began=began, owner=owner, ended=ended, decisions=decisions, recording=row
        )
        kept = await self._means.table.write(self.conversation, change, now)
        self._supervision = after
        if began is not None:
            self._running.add(began, owner)
        if ended is not None:
            self._running.remove(ended)
        self._running.obey(kept)
        if isinstance(event, word.Closed):
            self._running.clear()
        if kept:
            self._means.decisions.tell(self.conversation.id)
        if row is not None and settings is not None:
            self._means.recordings.begin(row, settings)
        for effect in effects:
            if isinstance(effect, word.StopRecording):
                self._means.recordings.end(effect.recording, EndReason.NORMAL)
        self._wait()

    # --- waiting ---------------------------------------------------------------------------------------
    def _wait(self) -> None:
        deadline = self._supervision.deadline
        self._cancel("deadline")
        if deadline is not None:
            self._in("deadline", max(0.0, deadline - self._now()), self._overdue)

    async def _overdue(self) -> None:
        deadline = self._supervision.deadline
        if deadline is None or not self._means.recordings.accepting:
            return
        if self._now() < deadline:  # it was moved while this waited for its turn
            self._wait()
        else:
            await self._try(word.Overdue())

    async def _give_up_unclaimed(self) -> None:
        for interaction in self._running.unclaimed():
            _log.info("a call was not taken up again", extra=self._fields(interaction=interaction))
            await self.end(interaction)

    def _in(self, name: str, delay_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._cancel(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(delay_s, lambda: self._alone(work))

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    async def _ended(self, interaction: str) -> Interaction:
        return await self._means.table.interaction(self.conversation.id, interaction)

    def _now(self) -> float:
        return self._means.clock.monotonic_ns() / 1e9

    def _utc_now(self) -> datetime:
        return self._means.clock.utc_now()

    def _fields(self, **more: object) -> dict[str, object]:
        return {"conversation": self.conversation.id, "stage": self._supervision.stage, **more}
