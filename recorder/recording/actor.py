"""One recording that is not over: performs what its state machine decides, and tells it what came of it.

Everything that happens to the recording passes one queue and is applied by one task, in order: step, write
down, announce, act. So a state is written down before anybody hears of it, and two things that happen at once
cannot both be the first.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from recorder.archive.completion import complete_late, missing_s, shortcoming
from recorder.archive.roster_log import RosterLog
from recorder.database import Attempt, RecordingRow
from recorder.kernel.errors import BystanderError
from recorder.kernel.log.span import span
from recorder.kernel.log.subject import log_about, logging_about
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import EndReason
from recorder.recording import events
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.events import Lifecycle, Phase
from recorder.recording.plan import terms
from recorder.recording.row import attempt_failure, moved_row
from recorder.recording.state_machine import IllegalMoveError, Step, back_off_s, step
from recorder.recording.worker_control import WorkerControl
from recorder.settings.definitions import Settings
from recorder.worker_pool.pool import Worker
from storage.spool import SpoolEnding

EVENTS_UNAPPLIED_MAX = 64  # a recording's life has some ten events; more waiting is a defect
SPOOL_RELEASE_S_MAX = 10.0  # a killed process writes its last pages back first
SPOOL_RELEASE_POLL_S = 0.05
WRITE_DELAY_S_MAX = 30.0  # between two attempts to write the last state down

_BEFORE_MEDIA = (Phase.CHECKING, Phase.LAUNCHING, Phase.BACKING_OFF)

_log = logging.getLogger(__name__)


class RecordingActor:
    """`row` is how it was last written down; `life` where it is. `run` returns when it is over."""

    def __init__(
        self,
        row: RecordingRow,
        first: Step,
        dependencies: ActorDependencies,
        settings: Settings | None = None,
    ) -> None:
        """`settings` as they count for its conversation, and for its whole life; None: the server's."""
        self.row = row
        self._settings = settings or dependencies.settings
        self.terms = terms(self._settings)
        self.life, self._first_effects = first
        self._dependencies = dependencies
        self._control = WorkerControl(
            row, dependencies, self._settings, self._post, self._publish, self._heard
        )
        self._roster = RosterLog(row.id, dependencies.archive.spool, dependencies.presences)
        self._filename = row.filename
        self._missing_s = row.missing_s
        self._changed: Callable[[RecordingActor], None] | None = None
        self._events: asyncio.Queue[events.Event] = asyncio.Queue(EVENTS_UNAPPLIED_MAX)
        self._moved = asyncio.Event()
        self._acting: set[asyncio.Task[None]] = set()
        self._uploading: asyncio.Task[None] | None = None
        self._stop_asked = False
        self._discard = False  # there never was anything to keep

    def __repr__(self) -> str:
        return f"<RecordingActor {self.row.id} {self.life.phase}>"

    @property
    def phase(self) -> Phase:
        return self.life.phase

    @property
    def worker(self) -> Worker | None:
        """Its worker, while it has one."""
        return self._control.worker

    @property
    def is_receiving(self) -> bool:
        """False only where it is known that nobody's media arrives."""
        return self._control.reception.is_receiving

    @property
    def written(self) -> tuple[float | None, int | None]:
        """Seconds and bytes that are in the spool or the store by now."""
        return self._control.duration_s, self._control.bytes

    def stop(self, reason: EndReason) -> None:
        """Ask it to end; only the first asking counts."""
        if not self._stop_asked:
            self._stop_asked = True
            self._post(events.StopRequested(reason=reason))

    async def until(self, reached: Callable[[Phase], bool]) -> Phase:
        """Wait until it is in such a phase, or over."""
        while not (reached(self.phase) or self.phase.is_last):
            await self._moved.wait()
        return self.phase

    async def run(self, changed: Callable[["RecordingActor"], None]) -> None:
        """Live the recording to its end, and say so whenever it changes."""
        log_about(self.row.id)
        with span("recording", {"recording": self.row.id, "conversation": self.row.conversation}):
            await self._live(changed)

    async def _live(self, changed: Callable[["RecordingActor"], None]) -> None:
        self._changed = changed
        if self.row.state is not self.phase.state:
            await self._write_where_it_is()
        self._act(self._first_effects)
        while not self.phase.is_last:
            await self._apply(await self._next())
        await self._clear()
        if self._gave_up_media:  # the upload goes on, and may end well
            own = self._dependencies
            own.archive.look_after(complete_late(self.row.id, own.archive, own.table, own.clock))

    @property
    def _gave_up_media(self) -> bool:
        given_up = self.life.end_reason is EndReason.ABORT_BLOBSTORE_FAILURE
        return given_up and self.row.started_at is not None

    async def leave(self) -> None:
        """Stop caring, without ending anything: the next server takes it up."""
        for task in list(self._acting):
            task.cancel()
        if self._acting:
            await asyncio.wait(self._acting)

    async def adopt_worker(self) -> bool:
        """Look for the worker that an earlier server launched."""
        with logging_about(self.row.id):
            await self.read_roster()
            return await self._control.adopt(self.life.attempt)

    async def read_roster(self) -> None:
        """Take from its spool who has come and gone by now."""
        await self._roster.read()

    def lost_worker(self, failure: str) -> None:
        """The worker that an earlier server launched is gone."""
        self._post(events.WorkerLost(failure=failure))

    # --- applying --------------------------------------------------------------------------------------
    async def _write_where_it_is(self) -> None:
        """Taken up from an earlier server, which did not come to write down what had become of it."""
        row = moved_row(self.row, self.life, self._dependencies.clock.utc_now(), *self.written)
        await self._write(lambda: self._dependencies.table.save(row))
        self.row = row
        self._publish()

    async def _next(self) -> events.Event:
        deadline = self.life.deadline
        timeout_s = None if deadline is None else max(0.0, deadline - self._dependencies.now_s())
        try:
            async with asyncio.timeout(timeout_s):
                return await self._events.get()
        except TimeoutError:
            return events.Overdue()

    async def _apply(self, event: events.Event) -> None:
        try:
            after, effects = step(self.life, event, self.terms, self._dependencies.now_s())
        except IllegalMoveError as error:
            _log.warning("an event came at the wrong time", extra=self._fields(detail=error.detail))
            return
        if after == self.life:
            return
        self._discard = after.phase is Phase.FAILED and self.phase in _BEFORE_MEDIA
        ago_s = event.ago_s if isinstance(event, events.MediaStarted) else 0.0
        now = self._dependencies.clock.utc_now()
        moved = moved_row(self.row, after, now, *self.written, media_ago_s=ago_s)
        row = msgspec.structs.replace(moved, filename=self._filename, missing_s=self._missing_s)
        await self._write_move(row, after, event)
        self.life, self.row = after, row
        self._log_move(event)
        self._moved.set()
        self._moved = asyncio.Event()
        self._publish()
        self._act(effects)
        if isinstance(event, events.MediaStarted):
            self._start(self._roster.write(row))

    async def _write_move(self, row: RecordingRow, after: Lifecycle, event: events.Event) -> None:
        """In mid-life a database that refuses ends nothing: what comes later makes up for it.

        Nothing comes after the last state, and the upload's receipt goes with it: it waits for the database.
        """
        if self.phase.launches or after.phase.launches:
            await self._write(lambda: self._write_attempt(after, event))
        failures = 0
        while not await self._write(lambda: self._dependencies.table.save(row)) and after.phase.is_last:
            failures += 1
            await asyncio.sleep(back_off_s(failures, WRITE_DELAY_S_MAX))

    async def _write_attempt(self, after: Lifecycle, event: events.Event) -> None:
        table, now = self._dependencies.table, self._dependencies.clock.utc_now()
        if self.phase.launches:
            ready_at = now if after.phase in (Phase.READY, Phase.RESUMING) else None
            failure = attempt_failure(event) if ready_at is None else None
            await table.attempt_ended(self.row.id, self.life.attempt, ready_at=ready_at, failure=failure)
        if after.phase.launches:
            await table.attempted(Attempt(recording=self.row.id, number=after.attempt, launched_at=now))

    async def _write(self, write: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Whether the database took it."""
        try:
            await write()
        except BystanderError as error:
            _log.error("the recording's state is not in the database", extra=self._fields(code=error.code))
            return False
        return True

    # --- acting ----------------------------------------------------------------------------------------
    def _act(self, effects: tuple[events.Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case events.CheckStore():
                    self._start(self._check_store())
                case events.LaunchWorker():
                    self._start(self._control.launch(effect.attempt))
                case events.StopWorker():
                    self._start(self._control.stop(effect.reason))
                case events.KillWorker():
                    self._control.kill()
                case events.Upload():
                    self._uploading = self._start(self._upload())
                case events.AbandonUpload():
                    if self._uploading is not None:
                        self._uploading.cancel()
                case _:
                    raise NotImplementedError(type(effect).__name__)

    async def _check_store(self) -> None:
        try:
            await self._dependencies.archive.allowed(self.row.store)
            if self._settings.recording.check_store:
                await self._dependencies.archive.check(self.row.store)
        except BystanderError as error:
            _log.error("the store cannot be used", extra=self._fields(code=error.code, detail=error.detail))
            self._post(events.StoreUnreachable(failure=error.code))
        else:
            self._post(events.StoreReachable())

    async def _upload(self) -> None:
        """Ship what is missing."""
        with span("finish upload", {"recording": self.row.id}):
            await self._ship()

    async def _ship(self) -> None:
        await self._control.gone()
        try:
            ending = await self._sealed(self.life.end_reason, self.life.failure or "worker_died")
            if ending is not None:
                self._control.note_written(ending.duration_us / 1e6, ending.bytes)
                await self._close_roster(ending)
            stored = await self._dependencies.archive.finish(self.row.id, self.row.object_key, self.row.store)
        except BystanderError as error:
            _log.error("the upload failed", extra=self._fields(code=error.code, detail=error.detail))
            self._post(events.UploadFailed(failure=error.code))
            return
        self._control.note_written(self._control.duration_s, 0 if stored is None else stored.size)
        self._missing_s = None if stored is None else missing_s(stored)
        self._post(
            events.NothingWritten() if stored is None else events.Uploaded(failure=shortcoming(stored))
        )

    def _heard(self, event: MediaEvent) -> None:
        if self._roster.observe(event):
            self._start(self._roster.write(self.row))

    async def _close_roster(self, ending: SpoolEnding) -> None:
        """It is known who took part, and so the file's name; its key in the store was chosen at the start."""
        await self._roster.end(ending.duration_us / 1e6)
        await self._roster.write(self.row)
        self._filename = self._roster.filename(self.row)

    async def _sealed(self, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        """What the spool ends with. A worker that was killed holds it until the last of it is gone."""
        until = self._dependencies.now_s() + SPOOL_RELEASE_S_MAX
        while True:
            try:
                return await self._dependencies.archive.seal(self.row.id, reason, failure, self.row.store)
            except BystanderError as error:
                if error.code != "spool_in_use" or self._dependencies.now_s() > until:
                    raise
            await asyncio.sleep(SPOOL_RELEASE_POLL_S)

    async def _clear(self) -> None:
        """The outcome is written down: what is not needed any more goes."""
        if self._discard:
            await self._control.gone()
            await self._dependencies.archive.discard(self.row.id)
        else:
            await self._dependencies.archive.forget(self.row.id)

    # --- parts -----------------------------------------------------------------------------------------
    def _start(self, action: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(action, name=f"acting for {self.row.id}")
        self._acting.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._acting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect while recording", extra=self._fields(), exc_info=error)

    def _post(self, event: events.Event) -> None:
        """Each source of events is bounded by itself, so the queue cannot be full but by a defect."""
        self._events.put_nowait(event)

    def _publish(self) -> None:
        if self._changed is not None:
            self._changed(self)

    def _log_move(self, event: events.Event) -> None:
        """A warning where something went wrong: with the reason and the failure, and what told us so."""
        fields = self._fields(event=type(event).__name__)
        if self.life.failure is None:
            _log.info("recording moved", extra=fields)
        else:
            fields |= {"end_reason": self.life.end_reason, "failure": self.life.failure}
            fields |= {"missing_s": self.row.missing_s} if self.row.missing_s else {}
            _log.warning("recording moved after a failure", extra=fields)

    def _fields(self, **more: object) -> dict[str, object]:
        return {"recording": self.row.id, "conversation": self.row.conversation, "phase": self.phase, **more}
