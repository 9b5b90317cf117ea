"""One recording on its way from its spool to the store: does what storage.upload_plan.plan decides.

Everything is tried until it succeeds; what the store did while its answer was lost is found out by asking it.
Only damage to the spool itself, or a defect of ours, ends a shipment with an error; its spool then stays.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.log.subject import log_about
from storage.errors import FAILED, FULL, UNREACHABLE
from storage.finalise.progressive_mp4 import MakeMovie, ProgressiveMp4
from storage.spool.format import MEDIA, IndexEntry
from storage.spool.part_bytes import FinaliseInit
from storage.spool.reader import SpoolReader
from storage.store import ObjectStore
from storage.takeover.journal import Journal
from storage.takeover.journal_plan import PutJournal, PutPart, PutPendingFragment
from storage.takeover.lease import NodeLease
from storage.upload.backoff import Backoff
from storage.upload.files import UploadFiles
from storage.upload.slots import UploadSlots
from storage.upload.steps import UploadSteps
from storage.upload_plan import plan
from storage.upload_plan.plan import Action, SendPart, Simple
from storage.upload_plan.remedy import Remedy, remedy
from storage.upload_plan.state import Container, HeadPolicy, Phase, StoredObject, UploadState

JOINING_LOOKS_MAX = 20  # for an object whose completion was not heard of: ten minutes, at 30 s
DISPROVED_MAX = 3  # objects that were sent anew because of what was seen of them; then the spool stays
UPLOAD_DEFECT = "upload_defect"  # of an upload that a defect of ours ended
POLL_S = 5.0  # looks at the spool this often even when nobody says that it grew

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StallReason:
    """Why a shipment waits: the code of the last failure, how often in a row, and since when."""

    code: str
    attempts: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """Equal failures in a row."""

    code: str = ""
    in_a_row: int = 0

    def counted(self, code: str) -> "Failures":
        return Failures(code, self.in_a_row + 1 if code == self.code else 1)


@dataclass(frozen=True, slots=True)
class UploadContext:
    """What all shipments of one uploader share."""

    root: Path
    store: ObjectStore
    clock: Clock
    part_size_bytes: int
    slots: UploadSlots  # for parts in memory, of all recordings
    head: HeadPolicy
    finalise_init: FinaliseInit | None
    grow_init: FinaliseInit | None  # the same for stores that let part 1 become longer
    container: Container  # of uploads that begin from now on
    make_movie: MakeMovie | None
    lease: NodeLease | None  # None: nothing is kept beside uploads
    tail_interval_s: float
    sleep: Callable[[float], Awaitable[None]]


class RecordingUpload:
    """Ships one spool; `run` returns when the object is verified."""

    def __init__(self, route: UploadContext, recording: str, backoff: Backoff) -> None:
        self.recording = recording
        self.trouble: StallReason | None = None
        self._route = route
        self._backoff = backoff
        self._news = asyncio.Event()
        self._ordinary: ProgressiveMp4 | None = None
        self._doubtful = False  # the store may have more, or less, than the state says
        self._refusals = 0  # part_refused in a row
        self._failures = Failures()
        self._joining_looks = 0  # left, for what the store may still be joining
        self._disproved = 0
        self._recorded = 0  # bytes of whole fragments at the last look
        self._acknowledged = 0
        self._waits: tuple[int, float] = (0, self._now_s())  # bytes up to which something waits since when

    def _now_s(self) -> float:
        return self._route.clock.monotonic_ns() / 1e9

    @property
    def behind_since_s(self) -> float:
        """Since when, at least, the oldest of the backlog has waited, by the monotonic clock."""
        return self._waits[1]

    def wake(self) -> None:
        """The spool grew or ended."""
        self._news.set()

    async def run(self) -> StoredObject:
        """Ship to the end. recording_empty when there is no media, spool_damaged, upload_elsewhere."""
        log_about(self.recording)
        self._files = await _opened(self._route.root / self.recording)
        try:
            state = await asyncio.to_thread(self._files.load)
            if state is None or not state.is_over:
                state = await self._ship(state)
            await asyncio.to_thread(self._clear_spool, state)
        except Exception as error:
            await asyncio.to_thread(self._files.note_kept, getattr(error, "code", UPLOAD_DEFECT))
            raise
        finally:
            self._files.close()
        if state.stored is None:
            raise BystanderError(
                "recording_empty", "No media was recorded.", fault=Fault.RESOURCE, status=404
            )
        return state.stored

    def _clear_spool(self, state: UploadState) -> None:
        """What the object lacks may be wanted of the spool: then its files are set aside, not removed."""
        if state.stored is None or state.stored.is_whole:
            self._files.discard_media()
        else:
            self._files.set_aside()
            _log.error("%s is incomplete in the store; what is left of its spool is kept", self.recording)

    @property
    def backlog_bytes(self) -> int:
        """What is recorded and the store has not acknowledged."""
        return max(0, self._recorded - self._acknowledged)

    async def _ship(self, state: UploadState | None) -> UploadState:
        route = self._route
        self._reader = await asyncio.to_thread(SpoolReader.open, route.root, self.recording)
        if state is not None and state.key != self._reader.facts.key:
            _log.error("upload.json of %s names another key; its upload begins anew", self.recording)
            self._files.distrust()
            state = None
        try:
            self._doubtful = state is not None and state.upload_id is not None
            self._state = await self._fitting(state) if state else await self._first_state()
            self._choose_steps()
            self._tail = self._tail_of(self._state)
            while not self._state.is_over:
                await self._turn()
            return self._state
        finally:
            self._reader.close()

    async def _first_state(self) -> UploadState:
        route, facts, adoption = self._route, self._reader.facts, self._route.store.adoption
        adopts = adoption is not None and await adoption.can_adopt(self._reader.directory / MEDIA)
        return UploadState(
            key=facts.key,
            head=route.head,
            part_size_bytes=route.part_size_bytes,
            container=route.container,
            adopts=adopts,
            strays=self._files.lost_state,
        )

    async def _fitting(self, state: UploadState) -> UploadState:
        """The state, or a fresh one where the store that took the file over is on another disk now."""
        adoption = self._route.store.adoption
        if not state.adopts or state.phase is not Phase.SENDING:
            return state
        fits = adoption is not None and await adoption.can_adopt(self._reader.directory / MEDIA)
        return state if fits else plan.restarted(state)

    def _choose_steps(self) -> None:
        """The steps of what the object is to be, which may turn out not to be possible."""
        route, self._ordinary = self._route, None
        self._reader.extend(b"")
        fill, grow = route.finalise_init, route.grow_init
        if self._state.container is Container.MP4 and route.make_movie is not None and fill is not None:
            inner = (grow or fill) if route.store.uploads.joins_parts else fill
            self._ordinary = ProgressiveMp4(self._reader, route.make_movie, inner)
            fill, grow = self._ordinary.fill, None
        self._steps = UploadSteps(route.store, self._reader, route.slots, fill, grow_init=grow)

    def _tail_of(self, state: UploadState) -> Journal | None:
        route = self._route
        if route.lease is None or route.tail_interval_s == 0 or state.adopts:
            return None
        return Journal(route.store, self._reader, route.lease, route.clock, interval_s=route.tail_interval_s)

    async def _turn(self) -> None:
        """Look, decide, act once."""
        self._news.clear()
        entries, ended = await asyncio.to_thread(self._look)
        action = plan.decide(self._state, entries, ended=ended)
        try:
            idle = not await self._acted_beside(action, entries, ended=ended)
            if idle and (action is not Simple.WAIT or self._must_ask):
                await self._act(action, entries, ended=ended)
                idle = False
        except BystanderError as error:
            await self._failed(error, action)
        else:
            self._succeeded()  # also where nothing is left to ask of the store: then nothing waits for it
            if idle:
                await self._wait_for_news()

    async def _acted_beside(self, action: Action, entries: list[IndexEntry], *, ended: bool) -> bool:
        """Make sure that we may write; then do what is due beside the upload, if the upload can wait."""
        if self._tail is None or self._route.lease is None:
            return False
        await self._route.lease.hold(self.recording)
        sending = action if isinstance(action, SendPart) else None
        if self._must_ask or (ended and sending is None):
            return False
        await self._tail.look()
        step = self._tail.next_step(self._state, entries, sending)
        if ended and not isinstance(step, PutPart):
            return False  # all of it is about to be in the object
        if step is None or (isinstance(step, (PutJournal, PutPendingFragment)) and action is not Simple.WAIT):
            return False
        await self._tail.perform(step, self._state, entries)
        return True

    def _succeeded(self) -> None:
        self.trouble = None
        self._failures = Failures()
        self._backoff.succeeded()

    def _look(self) -> tuple[list[IndexEntry], bool]:
        ended = self._reader.ending is not None  # asked first, so that the index read next is all there is
        entries = self._reader.index()
        self._recorded = entries[-1].stop if entries else 0
        self._acknowledged = self._recorded if self._state.is_over else self._state.acknowledged
        if self._acknowledged >= self._waits[0]:
            self._waits = (self._recorded, self._now_s())
        if self._ordinary is None:
            return entries, ended
        finished = self._ordinary.look(entries, self._state, ended=ended)
        if finished is None:
            self._state = plan.left_fragmented(self._state, entries)
            self._choose_steps()
        return finished or entries, ended

    @property
    def _must_ask(self) -> bool:
        state = self._state
        return self._doubtful and state.phase is Phase.SENDING and state.upload_id is not None

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(POLL_S if self._tail is None else min(POLL_S, self._tail.wait_s)):
                await self._news.wait()
        except TimeoutError:
            return

    async def _act(self, action: Action, entries: list[IndexEntry], *, ended: bool) -> None:
        if self._must_ask:
            joining = self._joining_looks > 0
            self._joining_looks = max(0, self._joining_looks - 1)
            state = await self._steps.reconcile(self._state, entries, ended=ended, joining=joining)
        else:
            if action is Simple.BEGIN:  # who is killed before its answer is written down must know of it
                await asyncio.to_thread(self._files.save, plan.suspected(self._state))
            state = await self._steps.perform(self._state, action, entries)
            self._refusals = 0
        if state.is_over:
            await self._clear_beside(state)
        self._doubtful = True  # until what was done is written down
        await asyncio.to_thread(self._files.save, state)
        self._doubtful = False
        container, self._state = self._state.container, state
        if state.container is not container:
            self._choose_steps()

    async def _clear_beside(self, state: UploadState) -> None:
        """Nothing beside the object is needed any more, nor what was put there before journals were
        switched off."""
        route = self._route
        if self._tail is not None:
            await self._tail.clear()
        elif route.lease is not None and not state.adopts:
            await Journal(
                route.store, self._reader, route.lease, route.clock, interval_s=route.tail_interval_s
            ).clear()

    async def _failed(self, error: BystanderError, action: Action) -> None:
        if error.code == "disk_failed" and not self._reader.directory.is_dir():
            raise BystanderError(
                "spool_missing", "The spool was removed.", fault=Fault.SERVER, status=404
            ) from error
        self._failures = self._failures.counted(error.code)
        if action is Simple.COMPLETE and error.code in (UNREACHABLE, FAILED) and not self._joining_looks:
            self._joining_looks = JOINING_LOOKS_MAX
        since = self._route.clock.utc_now() if self.trouble is None else self.trouble.since
        self.trouble = StallReason(error.code, self._backoff.attempts + 1, since)
        wait_s = self._backoff.failed()
        _log.warning("upload of %s: %s at %s; again in %.1f s", self.recording, error, action, wait_s)
        if error.code == FULL:  # a directory on the same disk may need the room that is held back
            await asyncio.to_thread(self._files.give_up_reserve)
        match remedy(error.code, action, refusals=self._refusals, failures=self._failures.in_a_row):
            case Remedy.GIVE_UP:
                raise error
            case Remedy.ASK_THE_STORE:
                self._doubtful = True
                self._refusals += 1
            case Remedy.RESTART if self._state.acknowledged > self._recorded and action is Simple.VERIFY:
                raise error  # the store has, or had, more than could be sent again
            case Remedy.RESTART:
                self._disproved += action is Simple.VERIFY
                if self._disproved > DISPROVED_MAX:
                    raise _unproved(error) from error
                self._restart()
            case Remedy.RESTART_HOLDING_HEAD:
                self._restart(HeadPolicy.HOLD)
            case Remedy.TRY_AGAIN:
                if action is Simple.BEGIN:
                    self._state = plan.suspected(self._state)
        await self._route.sleep(wait_s)

    def _restart(self, head: HeadPolicy | None = None) -> None:
        self._refusals = 0
        self._state = plan.restarted(self._state, head)
        self._choose_steps()  # what is sent again is read again


def _unproved(error: BystanderError) -> BystanderError:
    detail = (
        f"What the store has could not be proved to be the recording ({error.detail}); the spool is kept."
    )
    return BystanderError("object_unproved", detail, fault=Fault.DESTINATION, status=409)


async def _opened(directory: Path) -> UploadFiles:
    """The upload's files and their lock; when cancelled meanwhile, the lock is given up all the same."""
    opening = asyncio.ensure_future(asyncio.to_thread(UploadFiles, directory))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_give_up)
        raise


def _give_up(opening: asyncio.Future[UploadFiles]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
