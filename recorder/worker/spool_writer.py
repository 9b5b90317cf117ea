"""A worker's side of its spool: fragments and events go in, news of growth comes out, and at last an end.

Fragments come on the engine's render thread, which may wait for the disk. Events come on the event loop,
which may not: a thread of their own writes them, in order, and a bounded number of them waits for it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import Fragment, FragmentKind, MediaEvent
from recorder.kernel.recording import EndReason, Written
from recorder.worker.protocol import SpoolGrew
from storage.spool import SpoolFacts, SpoolReader, SpoolWriter

SPOOL_GREW_INTERVAL_S = 0.5  # fragments come every 2 s; shorter ones are told together
EVENTS_UNWRITTEN_MAX = 1024  # a disk that hangs for so long has stopped the fragments as well

RELEASE_S_MAX = 10.0  # a killed process writes its last pages back before it lets go of its spool
RELEASE_POLL_S = 0.02

_log = logging.getLogger(__name__)


class SpoolEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the recording ended, once all of it is in the spool."""

    reason: EndReason
    failure: str | None
    duration_s: float
    bytes: int


class WorkerSpool:
    """All that is written of one recording. `tell` hears of growth, on the event loop."""

    def __init__(
        self, spool: SpoolWriter, tell: Callable[[SpoolGrew], None], before: Written | None = None
    ) -> None:
        """`before`: what an earlier worker wrote into it, which this one goes on with."""
        self.before = before
        self._spool = spool
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._events = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._events_unwritten = 0
        self._telling: asyncio.TimerHandle | None = None
        self._has_ended = False

    def written(self) -> SpoolGrew:
        """How much there is by now."""
        spool = self._spool
        return SpoolGrew(fragments=spool.fragments, bytes=spool.size, duration_s=spool.duration_us / 1e6)

    def append(self, fragment: Fragment) -> None:
        """On the engine's render thread; raises what the disk refuses."""
        if fragment.kind is FragmentKind.INIT and self.before is not None:
            self._must_fit(fragment.data)
            return
        self._spool.append(fragment)
        self._loop.call_soon_threadsafe(self._grew)

    def append_event(self, event: MediaEvent) -> None:
        """Written soon; one that cannot be is logged, since no recording ends for it."""
        if self._has_ended or self._events_unwritten >= EVENTS_UNWRITTEN_MAX:
            _log.error("an event is not in the spool", extra={"kind": event.kind})
            return
        self._events_unwritten += 1
        try:
            written = self._loop.run_in_executor(
                self._events, self._spool.append_event, msgspec.json.encode(event)
            )
        except RuntimeError:  # the executor was shut down: the spool is being ended
            self._events_unwritten -= 1
            _log.info("an event came after the last", extra={"kind": event.kind})
            return
        written.add_done_callback(self._event_written)

    async def end(self, reason: EndReason, failure: str | None, duration_us: int | None) -> SpoolEnd:
        """Write the end behind everything else; `duration_us` None: as long as what is written."""
        end = await asyncio.to_thread(self._end, reason, failure, duration_us)
        self._has_ended = True
        return end

    def _must_fit(self, init_segment: bytes) -> None:
        """Raises where what comes cannot be played with the init segment that the recording has."""
        if self.before is None or self.before.init_segment != init_segment:
            raise BystanderError(
                "encoder_mismatch",
                "The recording was begun with other tracks.",
                fault=Fault.SERVER,
                status=500,
            )

    def _grew(self) -> None:
        if self._telling is None:
            self._telling = self._loop.call_later(SPOOL_GREW_INTERVAL_S, self._tell_growth)

    def _tell_growth(self) -> None:
        self._telling = None
        self._tell(self.written())

    def _event_written(self, written: "asyncio.Future[None]") -> None:
        self._events_unwritten -= 1
        error = written.exception()
        if error is not None:
            _log.error("an event could not be written", extra={"reason": str(error)})

    def _end(self, reason: EndReason, failure: str | None, duration_us: int | None) -> SpoolEnd:
        self._events.shutdown(wait=True)
        spool = self._spool
        duration_us = spool.duration_us if duration_us is None else duration_us
        try:
            spool.end(reason, failure, duration_us)
        except BystanderError as error:
            _log.error("the spool could not be ended", extra={"code": error.code})
            failure = failure or error.code
        finally:
            spool.close()
        return SpoolEnd(reason=reason, failure=failure, duration_s=duration_us / 1e6, bytes=spool.size)


@dataclass(frozen=True, slots=True)
class Opened:
    """A spool to write into, and what an earlier worker wrote: media, where there is any, and events."""

    spool: SpoolWriter
    written: Written | None = None
    events: tuple[MediaEvent, ...] = ()


def open_spool(root: Path, facts: SpoolFacts) -> Opened:
    """Make the spool, or take over the one that an earlier worker left. Blocks."""
    try:
        return Opened(SpoolWriter.create(root, facts))
    except BystanderError as error:
        if error.code != "spool_exists":
            raise
    spool = _resumed(root, facts.recording)
    return _with_what_is_written(spool, root, facts.recording)


def _resumed(root: Path, recording: str) -> SpoolWriter:
    until = time.monotonic() + RELEASE_S_MAX
    while True:
        try:
            return SpoolWriter.resume(root, recording)
        except BystanderError as error:
            if error.code != "spool_in_use" or time.monotonic() > until:
                raise
        time.sleep(RELEASE_POLL_S)


def _with_what_is_written(spool: SpoolWriter, root: Path, recording: str) -> Opened:
    reader = SpoolReader.open(root, recording)
    try:
        return Opened(spool, _written(reader) if spool.fragments else None, _events(reader))
    finally:
        reader.close()


def _written(reader: SpoolReader) -> Written:
    """What players need of a recording to play what comes behind it."""
    index = reader.index()
    init, last = index[0], index[-1]
    return Written(
        init_segment=reader.read(init.offset, init.stop),
        last_fragment=reader.read(last.offset, last.stop) if last.kind is FragmentKind.MEDIA else b"",
        fragments=len(index) - 1,
    )


def _events(reader: SpoolReader) -> tuple[MediaEvent, ...]:
    """All that can be read: a line that a crash has damaged keeps no recording from going on."""
    events = []
    for line in reader.events().splitlines():
        try:
            events.append(msgspec.json.decode(line, type=MediaEvent))
        except msgspec.DecodeError:
            _log.warning("a damaged event is passed over")
    return tuple(events)
