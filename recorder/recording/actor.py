"""One recording that is not over: performs what its state machine decides, and tells it what came of it.

Everything that happens to the recording passes one queue and is applied by one task, in order: step, write
down, announce, act. So a state is written down before anybody hears of it, and two things that happen at once
cannot both be the first.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from recorder.archive.archive import Archive
from recorder.database import Attempt, RecordingRow, RecordingTable
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording import events as word
from recorder.recording.events import Lifecycle, Phase, Timeouts
from recorder.recording.plan import terms, worker_order
from recorder.recording.state_machine import IllegalMoveError, Step, step
from recorder.settings.definitions import Settings
from recorder.worker.protocol import Ended, Event, Happened, Hello, SpoolGrew
from recorder.worker_pool.pool import Worker, WorkerGone, WorkerPool
from storage.spool import SpoolEnding

EVENTS_UNAPPLIED_MAX = 64  # a recording's life has some ten events; more waiting is a defect
SPOOL_RELEASE_S_MAX = 10.0  # a killed process writes its last pages back first
SPOOL_RELEASE_POLL_S = 0.05

_BEFORE_MEDIA = (Phase.CHECKING, Phase.LAUNCHING, Phase.BACKING_OFF)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActorDependencies:
    """What every live recording works with."""

    clock: Clock
    settings: Settings
    table: RecordingTable
    workers: WorkerPool
    shipping: Archive
    node: str  # whose recordings these are; see DataDirectory.node

    @property
    def terms(self) -> Timeouts:
        """How long the phases of a recording last where its conversation says nothing else."""
        return terms(self.settings)


class RecordingActor:
    """`row` is how it was last written down; `life` where it is. `run` returns when it is over."""

    def __init__(
        self, row: RecordingRow, first: Step, means: ActorDependencies, settings: Settings | None = None
    ) -> None:
        """`settings` as they count for its conversation, and for its whole life; None: the server's."""
        self.row = row
        self._settings = settings or means.settings
        self.terms = terms(self._settings)
        self.life, self._first_effects = first
        self.worker: Worker | None = None
        self._means = means
        self._changed: Callable[[RecordingActor], None] | None = None
        self._events: asyncio.Queue[word.Event] = asyncio.Queue(EVENTS_UNAPPLIED_MAX)
        self._moved = asyncio.Event()
        self._acting: set[asyncio.Task[None]] = set()
        self._uploading: asyncio.Task[None] | None = None
        self._stop_asked = False
        self._media_heard = False
        self._ended_attempt = 0  # whose end was heard, or made by us
        self._discard = False  # there never was anything to keep
        self._duration_s = row.duration_s
        self._bytes = row.bytes

    def __repr__(self) -> str:
        return f"<RecordingActor {self.row.id} {self.life.phase}>"

    @property
    def phase(self) -> Phase:
        return self.life.phase

    @property
    def written(self) -> tuple[float | None, int | None]:
        """Seconds and bytes that are in the spool or the store by now."""
        return self._duration_s, self._bytes

    def stop(self, reason: EndReason) -> None:
        """Ask it to end; only the first asking counts."""
        if not self._stop_asked:
            self._stop_asked = True
            self._post(word.StopRequested(reason=reason))

    async def until(self, reached: Callable[[Phase], bool]) -> Phase:
        """Wait until it is in such a phase, or over."""
        while not (reached(self.phase) or self.phase.is_last):
            await self._moved.wait()
        return self.phase

    async def run(self, changed: Callable[["RecordingActor"], None]) -> None:
        """Live the recording to its end, and say so whenever it changes."""
        self._changed = changed
        if self.row.state is not self.phase.state:
            await self._say_where_it_is()
        self._act(self._first_effects)
        while not self.phase.is_last:
            await self._apply(await self._next())
        if self._discard and self.worker is not None:
            await self.worker.gone()
        if self._discard:
            await self._means.shipping.discard(self.row.id)
        else:
            await self._means.shipping.forget(self.row.id)

    async def leave(self) -> None:
        """Stop caring, without ending anything: the next server takes it up."""
        for task in list(self._acting):
            task.cancel()
        if self._acting:
            await asyncio.wait(self._acting)

    async def adopt_worker(self) -> bool:
        """Look for the worker that an earlier server launched."""
        self.worker = await self._means.workers.adopt(self.row.id, self._hearing(self.life.attempt))
        return self.worker is not None

    # --- applying --------------------------------------------------------------------------------------
    async def _say_where_it_is(self) -> None:
        """Taken up from an earlier server, which did not come to write down what had become of it."""
        row = _described(self.row, self.life, self._means.clock.utc_now(), self.written)
        try:
            await self._means.table.save(row)
        except BystanderError as error:
            _log.error("the recording's state is not in the database", extra=self._fields(code=error.code))
        self.row = row
        self._tell()

    async def _next(self) -> word.Event:
        deadline = self.life.deadline
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - self._now())):
                return await self._events.get()
        except TimeoutError:
            return word.Overdue()

    async def _apply(self, event: word.Event) -> None:
        try:
            after, effects = step(self.life, event, self.terms, self._now())
        except IllegalMoveError as error:
            _log.warning("an event came at the wrong time", extra=self._fields(detail=error.detail))
            return
        if after == self.life:
            return
        self._discard = after.phase is Phase.FAILED and self.phase in _BEFORE_MEDIA
        row = _described(self.row, after, self._means.clock.utc_now(), self.written)
        await self._write_down(row, after, event)
        self.life, self.row = after, row
        _log.info("recording moved", extra=self._fields(event=type(event).__name__))
        self._moved.set()
        self._moved = asyncio.Event()
        self._tell()
        self._act(effects)

    async def _write_down(self, row: RecordingRow, after: Lifecycle, event: word.Event) -> None:
        """A database that refuses must not end a recording: the spool says enough to make up for it."""
        table, now = self._means.table, self._means.clock.utc_now()
        try:
            await table.save(row)
            if self.phase is Phase.LAUNCHING:
                ready_at = now if after.phase is Phase.READY else None
                failure = _failure_of(event) if ready_at is None else None
                await table.attempt_ended(row.id, self.life.attempt, ready_at=ready_at, failure=failure)
            if after.phase is Phase.LAUNCHING:
                await table.attempted(Attempt(recording=row.id, number=after.attempt, launched_at=now))
        except BystanderError as error:
            _log.error("the recording's state is not in the database", extra=self._fields(code=error.code))

    # --- acting ----------------------------------------------------------------------------------------
    def _act(self, effects: tuple[word.Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case word.CheckStore():
                    self._start(self._check_store())
                case word.LaunchWorker():
                    self._start(self._launch(effect.attempt))
                case word.StopWorker():
                    self._start(self._stop_worker(effect))
                case word.KillWorker():
                    self._kill_worker()
                case word.Upload():
                    self._uploading = self._start(self._upload())
                case word.AbandonUpload():
                    if self._uploading is not None:
                        self._uploading.cancel()
                case _:
                    raise NotImplementedError(type(effect).__name__)

    async def _check_store(self) -> None:
        try:
            await self._means.shipping.allowed()
            if self._settings.recording.check_store:
                await self._means.shipping.check()
        except BystanderError as error:
            _log.error("the store cannot be used", extra=self._fields(code=error.code, detail=error.detail))
            self._post(word.StoreUnreachable(failure=error.code))
        else:
            self._post(word.StoreReachable())

    async def _launch(self, attempt: int) -> None:
        if self.worker is not None:
            await self.worker.gone()  # it holds the spool's lock until then, and takes its socket with it
        try:
            order = worker_order(self._settings, self.row, str(self._means.shipping.spool))
            worker = await self._means.workers.launch(self.row.id, order, self._hearing(attempt))
        except BystanderError as error:
            if self.life.attempt == attempt:
                self._end(word.WorkerLost(failure=error.code))
            return
        if self.life.attempt == attempt and self.phase in (Phase.LAUNCHING, Phase.READY):
            self.worker = worker
        else:
            worker.kill()

    async def _stop_worker(self, effect: word.StopWorker) -> None:
        if self.worker is None:
            self._post(word.WorkerLost(failure="worker_died"))
            return
        try:
            stopped = await self.worker.stop(effect.reason)
        except BystanderError as error:  # its death, or the deadline of this phase, goes on from here
            _log.error("the worker did not stop", extra=self._fields(code=error.code))
            return
        _log.debug("the worker stopped", extra=self._fields(bytes=stopped.bytes))

    def _kill_worker(self) -> None:
        self._ended_attempt = self.life.attempt
        if self.worker is not None:
            self.worker.kill()

    async def _upload(self) -> None:
        """Ship what is missing."""
        if self.worker is not None:
            await self.worker.gone()  # while it lives it may still write
        try:
            reason, failure = self.life.end_reason, self.life.failure
            ending = await self._sealed(reason, failure or "worker_died")
            if ending is not None:
                self._duration_s, self._bytes = ending.duration_us / 1e6, ending.bytes
            stored = await self._means.shipping.finish(self.row.id, self.row.object_key)
        except BystanderError as error:
            _log.error("the upload failed", extra=self._fields(code=error.code, detail=error.detail))
            self._post(word.UploadFailed(failure=error.code))
            return
        if stored is None:
            self._bytes = 0
            self._post(word.NothingWritten())
            return
        self._bytes = stored.size
        self._post(word.Uploaded())

    async def _sealed(self, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        """What the spool ends with. A worker that was killed holds it until the last of it is gone."""
        until = self._now() + SPOOL_RELEASE_S_MAX
        while True:
            try:
                return await self._means.shipping.seal(self.row.id, reason, failure)
            except BystanderError as error:
                if error.code != "spool_in_use" or self._now() > until:
                    raise
            await asyncio.sleep(SPOOL_RELEASE_POLL_S)

    def _start(self, action: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(action, name=f"acting for {self.row.id}")
        self._acting.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._acting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect while recording", extra=self._fields(), exc_info=error)

    # --- hearing ---------------------------------------------------------------------------------------
    def _hearing(self, attempt: int) -> Callable[[Event | WorkerGone], None]:
        """What a worker says counts as long as its attempt is the current one."""

        def heard(event: Event | WorkerGone) -> None:
            if self.life.attempt == attempt:
                self._hear(event)

        return heard

    def _hear(self, event: Event | WorkerGone) -> None:
        match event:
            case Hello():
                self._means.shipping.begin(self.row.id)
                if self.phase is Phase.LAUNCHING:
                    self._post(word.WorkerReady())
                elif event.statistics.state is RecordingState.RECORDING:
                    self._begin_recording()  # found again, after it began
            case Happened():
                if event.event.kind == "recording_started":
                    self._begin_recording()
            case SpoolGrew():
                self._duration_s, self._bytes = event.duration_s, event.bytes
                self._means.shipping.grew(self.row.id)
                self._tell()
            case Ended():
                self._duration_s, self._bytes = event.duration_s, event.bytes
                self._end(word.WorkerEnded(reason=event.reason, failure=event.failure))
            case WorkerGone():
                self._end(word.WorkerLost(failure=event.failure))

    def _begin_recording(self) -> None:
        if not self._media_heard and self.row.started_at is None:
            self._media_heard = True
            self._post(word.MediaStarted())

    def _end(self, event: word.WorkerEnded | word.WorkerLost) -> None:
        """The first word of a worker's end counts; its death after that is how it should be."""
        if self._ended_attempt < self.life.attempt:
            self._ended_attempt = self.life.attempt
            self._post(event)

    def _post(self, event: word.Event) -> None:
        """Each source of events is bounded by itself, so the queue cannot be full but by a defect."""
        self._events.put_nowait(event)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(self)

    def _now(self) -> float:
        return self._means.clock.monotonic_ns() / 1e9

    def _fields(self, **more: object) -> dict[str, object]:
        return {"recording": self.row.id, "phase": self.phase, **more}


def _described(
    row: RecordingRow, after: Lifecycle, now: datetime, written: tuple[float | None, int | None]
) -> RecordingRow:
    """The row as it is after a move."""
    duration_s, size = written
    ending = after.phase.is_last or after.phase in (Phase.DRAINING, Phase.UPLOADING)
    return msgspec.structs.replace(
        row,
        state=after.phase.state,
        end_reason=after.end_reason,
        failure=after.failure,
        started_at=now if after.phase is Phase.RECORDING and row.started_at is None else row.started_at,
        ended_at=now if ending and row.ended_at is None else row.ended_at,
        duration_s=duration_s,
        bytes=size,
    )


def _failure_of(event: word.Event) -> str:
    if isinstance(event, word.WorkerLost):
        return event.failure
    if isinstance(event, word.WorkerEnded):
        return event.failure or "worker_died"
    return "worker_not_ready" if isinstance(event, word.Overdue) else "stopped_before_start"
