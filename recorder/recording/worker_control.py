"""One recording's worker as its actor needs it: launched, found again, asked to stop, and listened to."""

import logging
from collections.abc import Callable

from recorder.database import RecordingRow
from recorder.kernel.errors import BystanderError
from recorder.kernel.log.span import span
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import EndReason, RecordingState
from recorder.recording import events
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.plan import worker_order
from recorder.recording.reception import Reception
from recorder.settings.definitions import Settings
from recorder.worker.protocol import Ended, Event, Happened, Hello, SpoolGrew
from recorder.worker_pool.pool import Worker, WorkerGone

_MEDIA_BEGAN = ("recording_started", "gap")  # by the first worker, by one that goes on

_log = logging.getLogger(__name__)


class WorkerControl:
    """The worker of the current attempt. What it says comes to `post` as events of the state machine.

    Only the current attempt is heard, and of its end the first word alone: its death after that is how it
    should be. `grew` is called whenever there is more in the spool, and when media arrives
    again or no more, `heard` with whatever happened to the media.
    """

    def __init__(
        self,
        row: RecordingRow,
        dependencies: ActorDependencies,
        settings: Settings,
        post: Callable[[events.Event], None],
        grew: Callable[[], None],
        heard: Callable[[MediaEvent], None],
    ) -> None:
        self.worker: Worker | None = None
        self.duration_s = row.duration_s
        self.bytes = row.bytes
        self.reception = Reception()
        self._row = row
        self._dependencies = dependencies
        self._settings = settings
        self._post = post
        self._grew = grew
        self._heard = heard
        self._attempt = 0  # which one is current
        self._greeting_awaited = False  # the current one was launched and has not said hello
        self._ended_attempt = 0  # whose end was heard, or made by us
        self._media_heard = row.started_at is not None and row.state is not RecordingState.INTERRUPTED
        self._zero_ns = _began_ns(
            row, dependencies
        )  # local time of the recording's zero; its worker knows better

    async def adopt(self, attempt: int) -> bool:
        """Look for the worker that an earlier server launched."""
        self._attempt = attempt
        self.worker = await self._dependencies.workers.adopt(self._row.id, self._hearing(attempt))
        return self.worker is not None

    async def launch(self, attempt: int) -> None:
        """Start a worker for this attempt; WorkerLost is posted where that fails."""
        self._attempt, self._greeting_awaited, self._media_heard = attempt, True, False
        self.reception = Reception()
        await self.gone()  # the one before holds the spool's lock until then, and takes its socket with it
        try:
            spool = str(self._dependencies.archive.spool)
            order = worker_order(self._settings, self._row, spool, self._zero_ns)
            with span("launch worker", {"recording": self._row.id, "attempt": attempt}):
                worker = await self._dependencies.workers.launch(self._row.id, order, self._hearing(attempt))
        except BystanderError as error:
            if self._attempt == attempt:
                self._end(events.WorkerLost(failure=error.code))
            return
        if self._attempt == attempt and self._ended_attempt < attempt:
            self.worker = worker
        else:
            worker.kill()

    async def stop(self, reason: EndReason) -> None:
        """Ask it to write its last fragment and end."""
        if self.worker is None:
            self._ended_attempt = self._attempt
            self._post(events.WorkerLost(failure="worker_died"))
            return
        try:
            stopped = await self.worker.stop(reason)
        except BystanderError as error:  # its death, or the deadline of this phase, goes on from here
            _log.error("the worker did not stop", extra={"recording": self._row.id, "code": error.code})
            return
        _log.debug("the worker stopped", extra={"recording": self._row.id, "bytes": stopped.bytes})

    def kill(self) -> None:
        """End it at once; nothing that it says counts any more."""
        self._ended_attempt = self._attempt
        if self.worker is not None:
            self.worker.kill()

    async def gone(self) -> None:
        """Wait until there is no process any more: while it lives it may still write."""
        if self.worker is not None:
            await self.worker.gone()

    def note_written(self, duration_s: float | None, size: int) -> None:
        """So much is in the spool or the store by now."""
        self.duration_s, self.bytes = duration_s, size

    # --- hearing ---------------------------------------------------------------------------------------
    def _hearing(self, attempt: int) -> Callable[[Event | WorkerGone], None]:
        def hear(event: Event | WorkerGone) -> None:
            if self._attempt == attempt:
                self._hear(event)

        return hear

    def _hear(self, event: Event | WorkerGone) -> None:
        match event:
            case Hello():
                self._zero_ns = event.zero_ns or self._zero_ns
                self._dependencies.archive.begin(self._row.id, self._row.store)
                self._greeted(event)
            case Happened():
                self._zero_ns = event.zero_ns or self._zero_ns
                if event.event.kind in _MEDIA_BEGAN:
                    self._media(event.zero_ns)
                self._heard(event.event)
                if self.reception.observe(event.event):
                    self._grew()
            case SpoolGrew():
                self.note_written(event.duration_s, event.bytes)
                self._dependencies.archive.grew(self._row.id, self._row.store)
                self._grew()
            case Ended():
                self.note_written(event.duration_s, event.bytes)
                self._end(events.WorkerEnded(reason=event.reason, failure=event.failure))
            case WorkerGone():
                self._end(events.WorkerLost(failure=event.failure))

    def _greeted(self, hello: Hello) -> None:
        if self._greeting_awaited:
            self._greeting_awaited = False
            if self._ended_attempt < self._attempt:
                self._post(events.WorkerReady())
        elif hello.statistics.state is RecordingState.RECORDING:
            self._media(hello.zero_ns)  # found again, after it began

    def _media(self, zero_ns: int | None) -> None:
        """`zero_ns` is the capture time of the first media on this machine's clock, as its worker says."""
        if not self._media_heard:
            self._media_heard = True
            now_ns = self._dependencies.clock.monotonic_ns()
            ago_s = 0.0 if zero_ns is None else max(0.0, (now_ns - zero_ns) / 1e9)
            self._post(events.MediaStarted(ago_s=ago_s))

    def _end(self, event: events.WorkerEnded | events.WorkerLost) -> None:
        if self._ended_attempt < self._attempt:
            self._ended_attempt = self._attempt
            self._post(event)


def _began_ns(row: RecordingRow, dependencies: ActorDependencies) -> int | None:
    """When it began on this machine's clock, as far as the civil one tells; None before it has."""
    if row.started_at is None:
        return None
    clock = dependencies.clock
    ago_s = (clock.utc_now() - row.started_at).total_seconds()
    return clock.monotonic_ns() - round(ago_s * 1e9)
