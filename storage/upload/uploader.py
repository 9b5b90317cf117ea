"""The uploader of this node's spools: each goes to the store while it is written, and after any crash."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from storage.finalise.progressive_mp4 import MakeMovie
from storage.settings import StorageSettings
from storage.spool import open_or_none, seal, spooled_recordings
from storage.spool.format import UPLOAD
from storage.spool.part_bytes import FinaliseInit
from storage.spool.small_files import read_twice
from storage.store import ObjectStore
from storage.takeover.lease import NodeLease
from storage.takeover.orphaned_uploads import Survey, take_up
from storage.upload.backoff import Backoff
from storage.upload.files import UploadFiles
from storage.upload.found_spools import SPOOL_DAMAGED, WORKER_DIED, Recovered, find_spools
from storage.upload.recording_upload import UPLOAD_DEFECT, RecordingUpload, StallReason, UploadContext
from storage.upload.slots import UploadSlots
from storage.upload_plan.state import Container, HeadPolicy, StoredObject, UploadState

__all__ = ["Recovered", "StoredObject", "Survey", "Uploader"]

RECEIPTS_MAX = 1000  # finished uploads whose outcome nobody asked to forget; about a kilobyte of disk each

_log = logging.getLogger(__name__)


class Uploader:
    """One for each server process. All methods on the event loop; disk and network elsewhere.

    `finish` waits as long as the store takes: an outage is waited out, and what could not be shipped before
    `close` is taken up by `recover` in the next process.
    """

    def __init__(
        self,
        store: ObjectStore,
        root: Path,
        clock: Clock,
        settings: StorageSettings,
        *,
        finalise_init: FinaliseInit | None = None,
        grow_init: FinaliseInit | None = None,
        make_movie: MakeMovie | None = None,
        lease: NodeLease | None = None,
        replaces_parts: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seed: int | None = None,
    ) -> None:
        """`replaces_parts`: what the storage test found; only then part 1 is sent before the end.

        With a `lease` the bucket alone can complete an upload; `grow_init` may return more than it is given.
        `make_movie` makes the ordinary files of `storage.container`; ValueError where that needs it.
        """
        container = Container(settings.container)
        if container is Container.MP4 and (make_movie is None or finalise_init is None):
            raise ValueError("nothing makes the files of the container mp4")
        filled = HeadPolicy.REPLACE if replaces_parts else HeadPolicy.HOLD
        self._root = root
        self._settings = settings
        self._seed = seed
        self._route = UploadContext(
            root=root,
            store=store,
            clock=clock,
            part_size_bytes=settings.part_size_bytes,
            slots=UploadSlots(settings.parts_in_flight_max),
            head=HeadPolicy.AS_IT_IS if finalise_init is None else filled,
            finalise_init=finalise_init,
            grow_init=grow_init,
            container=container,
            make_movie=make_movie,
            lease=lease,
            tail_interval_s=settings.tail_interval_s,
            sleep=sleep,
        )
        self._shipments: dict[str, RecordingUpload] = {}
        self._tasks: dict[str, asyncio.Task[StoredObject]] = {}
        self._damaged: dict[str, str] = {}  # spools that no upload can begin of, and by which code

    def __repr__(self) -> str:
        return f"Uploader(shipping={len(self._tasks)}, in_trouble={len(self.troubles())})"

    def begin(self, recording: str) -> None:
        """Ship this spool from now on; it must exist. Beginning again is the same as once."""
        task = self._tasks.get(recording)
        if task is not None and (not task.done() or (not task.cancelled() and task.exception() is None)):
            return
        self._damaged.pop(recording, None)
        backoff = Backoff(
            initial_s=self._settings.retry_delay_initial_s,
            max_s=self._settings.retry_delay_max_s,
            seed=None if self._seed is None else f"{self._seed}:{recording}",
        )
        shipment = self._shipments[recording] = RecordingUpload(self._route, recording, backoff)
        task = self._tasks[recording] = asyncio.create_task(shipment.run(), name=f"ship {recording}")
        task.add_done_callback(lambda task: self._ended(recording, task))

    def grew(self, recording: str) -> None:
        """There is more in the spool."""
        self.begin(recording)
        shipment = self._shipments.get(recording)
        if shipment is not None:
            shipment.wake()

    async def finish(self, recording: str) -> StoredObject:
        """Ship the rest; returns once the object is whole and verified and the spool's media is removed.

        Call it when the recording has ended, or its worker is dead: then the spool is sealed with
        ABORT_UNEXPECTED. May be called again, and is safe to cancel. recording_empty (404) when there is no
        media, recording_running (409) while the worker writes, spool_damaged when nothing can be saved,
        uploader_closed (503) when `close` came first.
        """
        try:
            await asyncio.to_thread(self._seal_if_orphaned, recording)
        except BystanderError as error:
            if error.code == SPOOL_DAMAGED:
                self._damaged[recording] = error.code
            raise
        self.begin(recording)
        self.grew(recording)
        task = self._tasks[recording]
        await asyncio.wait([task])
        if task.cancelled():
            raise BystanderError(
                "uploader_closed",
                "The server stops; the upload goes on later.",
                fault=Fault.RESOURCE,
                status=503,
            )
        await self._forget_oldest()
        return _outcome(task)

    async def recover(self, going_on: Collection[str] = ()) -> list[Recovered]:
        """Take up every spool under the root, oldest first; the caller finishes those that ended.

        Those `going_on` are about to be written again, and are left open. Running it again finds nothing new
        to do. Of several uploaders each begins its own instead.
        """
        found = await asyncio.to_thread(find_spools, self._root, going_on)
        for recovered in found:
            if recovered.damage is None:
                self.begin(recovered.recording)
            else:
                self._damaged[recovered.recording] = recovered.damage
        return found

    async def take_up(self) -> Survey:
        """Restore and ship what the bucket knows of and no spool here, if it is ours and its node is lost.

        Uploads of unknown origin are in the answer and are left alone. Doing it again does nothing new.
        """
        lease = self._route.lease
        if lease is None:
            return Survey()
        ours = await asyncio.to_thread(self._upload_ids)
        survey = await take_up(self._route.store, self._root, lease, ours)
        for recording in survey.restored:
            self.begin(recording)
        return survey

    async def forget(self, recording: str) -> None:
        """Remove the receipt of a finished upload, once its outcome is written down elsewhere."""
        task = self._tasks.get(recording)
        if task is not None and not task.done():
            raise BystanderError(
                "recording_running", "The upload still runs.", fault=Fault.SERVER, status=409
            )
        self._tasks.pop(recording, None)
        self._shipments.pop(recording, None)
        await asyncio.to_thread(self._remove, recording)

    async def drop(self, recording: str) -> None:
        """Stop shipping a recording that is to be deleted; its spool and the store stay as they are."""
        self._shipments.pop(recording, None)
        task = self._tasks.pop(recording, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _forget_oldest(self) -> None:
        done = [recording for recording, task in self._tasks.items() if task.done()]
        for recording in done[: max(0, len(done) - RECEIPTS_MAX)]:
            try:
                await self.forget(recording)
            except BystanderError as error:  # another recording's: it is found again at the next start
                _log.warning("the receipt of %s stays: %s", recording, error.code)

    def backlog_bytes(self) -> int:
        """What all recordings have that the store has not acknowledged yet."""
        return sum(shipment.backlog_bytes for shipment in self._shipments.values())

    def sent_bytes(self) -> int:
        """What the store ever took of all recordings, each time it was sent."""
        return self._route.slots.sent_bytes

    def backlog_age_s(self, now_s: float) -> float:
        """How long the oldest of the backlog has waited, at least; by the monotonic clock."""
        return max(
            (now_s - s.behind_since_s for s in self._shipments.values() if s.backlog_bytes), default=0.0
        )

    def kept(self) -> dict[str, str]:
        """Recordings whose upload ended without a proof, or never began, and by which code: their spools
        stay."""
        failed = {name: code for name, code in self._damaged.items() if (self._root / name).exists()}
        for recording, task in self._tasks.items():
            error = task.exception() if task.done() and not task.cancelled() else None
            code = getattr(error, "code", UPLOAD_DEFECT)
            given_up = error is None or not (self._root / recording).exists()
            if not given_up and code not in ("recording_empty", "spool_missing"):
                failed[recording] = code
        return failed

    def troubles(self) -> dict[str, StallReason]:
        """The recordings whose upload waits for the store, and why."""
        return {name: s.trouble for name, s in self._shipments.items() if s.trouble is not None}

    async def close(self) -> None:
        """Stop shipping. Nothing is lost: the spools stay, and so does what the store has of them."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, recording: str, task: asyncio.Task[StoredObject]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._shipments.pop(recording, None)
        elif isinstance(error, BystanderError) and error.code == "recording_empty":
            _log.info("nothing to upload of %s: it ended before any media", recording)
        else:
            _log.error("upload of %s ended: %s", recording, error)

    def _seal_if_orphaned(self, recording: str) -> None:
        reader = open_or_none(self._root, recording)
        if reader is None:
            return
        try:
            if reader.is_being_written:
                raise BystanderError(
                    "recording_running", "The worker still writes.", fault=Fault.SERVER, status=409
                )
        finally:
            reader.close()
        seal(self._root, recording, EndReason.ABORT_UNEXPECTED, WORKER_DIED)

    def _upload_ids(self) -> list[str]:
        states = [_state_of(self._root / recording) for recording in spooled_recordings(self._root)]
        return [state.upload_id for state in states if state is not None and state.upload_id is not None]

    def _remove(self, recording: str) -> None:
        directory = self._root / recording
        if not directory.is_dir():
            return
        files = UploadFiles(directory)
        try:
            state = files.load()
            if state is not None and state.is_over:
                files.remove()
        finally:
            files.close()


def _state_of(directory: Path) -> UploadState | None:
    try:
        return read_twice(directory / UPLOAD, UploadState)
    except BystanderError as error:
        _log.error("upload.json of %s: %s", directory.name, error)
        return None


def _outcome(task: asyncio.Task[StoredObject]) -> StoredObject:
    """What came of an upload; a defect of ours is an error with a code like others."""
    error = task.exception()
    if error is None or isinstance(error, BystanderError):
        return task.result()
    raise BystanderError(
        UPLOAD_DEFECT, f"The upload met a defect: {type(error).__name__}.", fault=Fault.SERVER, status=500
    ) from error
