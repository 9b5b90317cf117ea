"""The archive of recordings: spools shipped to the store, read back, removed."""

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from recorder.archive.storage_verdict import StorageVerdict
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from recorder.node.background_task import BackgroundTask
from storage.errors import FAILED, OBJECT_MISSING, THROTTLED, UNREACHABLE
from storage.spool import SpoolEnding, SpoolFacts, mend, seal, spool_ending, unended_s
from storage.store import RECORDING_MARK, ObjectStore
from storage.takeover.orphaned_uploads import Verdict
from storage.upload.uploader import Recovered, StoredObject, Survey, Uploader

TAKE_UP_TIMEOUT_S = 15.0  # of a start: a store that does not answer does not keep a server from recording
TAKE_UP_INTERVAL_S = 300.0  # between looks at what lost nodes left: one list of uploads and one of pages
FIRST_LOOK_INTERVAL_S = 10.0  # until the store has answered once: recordings without a spool wait for that
Left = Callable[[Sequence[str]], Awaitable[None]]  # told which recordings lost nodes left
_SPOOLED_OVER = (UNREACHABLE, THROTTLED, FAILED)  # a store that refuses us will refuse us later, too

_log = logging.getLogger(__name__)


class Archive:
    """The server's one way to storage. Errors are storage's own."""

    def __init__(
        self,
        store: ObjectStore,
        uploader: Uploader,
        spool: Path,
        verdict: StorageVerdict | None = None,
        *,
        spool_when_unreachable: bool = False,
    ) -> None:
        self._spool_when_unreachable = spool_when_unreachable
        self._looking: BackgroundTask | None = None
        self._looked = asyncio.Event()  # the bucket was looked through, since this process began
        self._looked_after: set[asyncio.Task[None]] = set()
        self._reported: set[str] = set()  # ids of uploads of unknown origin
        self.store = store
        self.verdict = verdict
        self.spool = spool
        self._uploader = uploader

    async def check(self) -> None:
        """Whether a recording may begin; raises what is wrong with the store, if that matters."""
        try:
            await self.store.check()
        except BystanderError as error:
            if not self._spool_when_unreachable or error.code not in _SPOOLED_OVER:
                raise
            _log.warning("the store does not answer; it is spooled", extra={"code": error.code})

    async def allowed(self) -> None:
        """Whether anything new may count on the store: storage_test_failed while its last test failed."""
        if self.verdict is not None:
            await self.verdict.check()

    def begin(self, recording: str) -> None:
        """Ship the recording's spool, which exists, from now on."""
        self._uploader.begin(recording)

    def grew(self, recording: str) -> None:
        self._uploader.grew(recording)

    async def finish(self, recording: str, key: str) -> StoredObject | None:
        """Returns once the object is whole and verified; None when there is nothing to keep.

        Without a spool it is the object under `key`, where that is the recording's: it was completed before.
        """
        try:
            return await self._uploader.finish(recording)
        except BystanderError as error:
            if error.code == "recording_empty":
                return None
            if error.code != "spool_missing":
                raise
        return await self._completed(recording, key)

    async def forget(self, recording: str) -> None:
        """The outcome is written down: what the upload left behind may go."""
        try:
            await self._uploader.forget(recording)
        except BystanderError as error:
            _log.warning("a spool was not cleared", extra={"recording": recording, "code": error.code})

    async def mend(self, recording: str, key: str) -> None:
        """Let what the database knows of it stand where its spool's facts are damaged, or say otherwise."""
        facts = SpoolFacts(
            recording=recording,
            conversation=key.partition("/")[0],
            key=key,
            content_type="video/mp4",
            created_at=datetime.now(UTC),
        )
        if await asyncio.to_thread(mend, self.spool, facts):
            _log.error("a spool's facts are written down again", extra={"recording": recording})

    def kept(self) -> dict[str, str]:
        """Recordings whose spool stays because nothing proves that the store has them, and why."""
        return self._uploader.kept()

    def stalled_s(self) -> float:
        """How long the upload that waits longest has waited for the store; 0 when none does."""
        since = [stall.since for stall in self._uploader.troubles().values()]
        return (datetime.now(UTC) - min(since)).total_seconds() if since else 0.0

    def disk_free_bytes(self) -> int:
        """What the spools' disk has room for."""
        try:
            disk = os.statvfs(self.spool)
        except FileNotFoundError:  # nothing was recorded yet
            disk = os.statvfs(self.spool.parent)
        return disk.f_bavail * disk.f_frsize

    async def check_room(self, free_bytes_min: int) -> None:
        """Raises disk_almost_full (503) where a new recording might not come to its end."""
        free_bytes = await asyncio.to_thread(self.disk_free_bytes)
        if free_bytes < free_bytes_min:
            raise BystanderError(
                "disk_almost_full",
                f"The disk has {free_bytes} bytes left; a new recording needs {free_bytes_min}.",
                fault=Fault.RESOURCE,
                status=503,
            )

    def backlog_bytes(self) -> int:
        """What is recorded and not in the store."""
        return self._uploader.backlog_bytes()

    def sent_bytes(self) -> int:
        """What the store ever took, since this process began."""
        return self._uploader.sent_bytes()

    def backlog_age_s(self, now_s: float) -> float:
        """How long the oldest of the backlog has waited, at least; `now_s` by the monotonic clock."""
        return self._uploader.backlog_age_s(now_s)

    async def ending(self, recording: str) -> SpoolEnding | None:
        """How the spool says that the recording ended; None when it does not say."""
        try:
            return await asyncio.to_thread(spool_ending, self.spool, recording)
        except BystanderError as error:
            if error.code != "spool_damaged":
                raise
            _log.error("a spool's ending cannot be read", extra={"recording": recording})
            return None

    async def seal(self, recording: str, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        """How the recording ended: as its worker wrote, else as given; None without a spool.

        That there is none is not believed before the bucket was looked through, which may give one back.
        """
        sealed = await self._sealed(recording, reason, failure)
        if sealed is None and self._looking is not None and not self._looked.is_set():
            _log.warning("a recording without a spool waits for the store", extra={"recording": recording})
            await self._looked.wait()
            sealed = await self._sealed(recording, reason, failure)
        return sealed

    async def discard(self, recording: str) -> None:
        """Remove the spool of a recording that never began."""
        await asyncio.to_thread(shutil.rmtree, self.spool / recording, ignore_errors=True)

    async def recover(self, going_on: Collection[str] = ()) -> list[Recovered]:
        """Take up every spool that an earlier server left, and say which; those `going_on` are not ended."""
        return await self._uploader.recover(going_on)

    async def written_s(self, recording: str) -> float | None:
        """How much of a recording is in its spool, which nobody writes and which has no ending; else None."""
        try:
            return await asyncio.to_thread(unended_s, self.spool, recording)
        except BystanderError as error:
            _log.error("a spool cannot be gone on with", extra={"recording": recording, "code": error.code})
            return None

    async def survey(self) -> Survey:
        """Take up what lost nodes left, once, and say what was found; the store's own errors."""
        return await self._uploader.take_up()

    async def take_up(self, told: Left) -> Sequence[str]:
        """Take up what lost nodes left: now, as far as the store answers, and from time to time.

        Returns which recordings have a spool again, or are whole in the store, by now; `told` of later ones.
        """
        left: Sequence[str] = ()
        try:
            async with asyncio.timeout(TAKE_UP_TIMEOUT_S):
                left = left_behind(await self._take_up())
        except TimeoutError:
            _log.warning("the store takes long to say what lost nodes left; it is asked again")
        self._looking = BackgroundTask("taking up", partial(self._look_forever, told))
        self._looking.start()
        return left

    async def check_looking(self) -> None:
        """Raises task_stopped (503) while nobody looks for what lost nodes left, though somebody should."""
        if self._looking is not None:
            await self._looking.check()

    def look_after(self, completing: Coroutine[Any, Any, None]) -> None:
        """Have something completed that nobody waits for; it is given up when this closes."""
        task = asyncio.create_task(completing)
        self._looked_after.add(task)
        task.add_done_callback(self._cared)

    async def _look_forever(self, told: Left) -> None:
        while True:
            await asyncio.sleep(TAKE_UP_INTERVAL_S if self._looked.is_set() else FIRST_LOOK_INTERVAL_S)
            try:
                await told(left_behind(await self._take_up()))
            except BystanderError as error:  # of the database; their spools are found at the next start
                _log.error("what was taken up is not written down", extra={"code": error.code})

    async def _take_up(self) -> Survey | None:
        try:
            survey = await self.survey()
        except BystanderError as error:
            _log.warning("the bucket cannot be looked through", extra={"code": error.code})
            return None
        self._looked.set()
        for recording, verdict in survey.verdicts.items():
            _log.info("an upload without a spool", extra={"recording": recording, "verdict": verdict})
        for upload in survey.unknown:
            if upload.id not in self._reported:
                self._reported.add(upload.id)
                _log.warning("an upload of unknown origin is left alone", extra={"key": upload.key})
        return survey

    async def drop(self, recording: str) -> None:
        """Stop shipping a recording that is to be deleted."""
        await self._uploader.drop(recording)

    def waiting_for_store(self) -> int:
        """How many uploads the store keeps waiting."""
        return len(self._uploader.troubles())

    async def close(self) -> None:
        """Stop shipping; the spools stay and are taken up by the next server."""
        if self._looking is not None:
            await self._looking.stop()
        tasks = list(self._looked_after)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._uploader.close()
        await self.store.close()

    async def _sealed(self, recording: str, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        try:
            return await asyncio.to_thread(
                seal, self.spool, recording, reason or EndReason.ABORT_UNEXPECTED, failure
            )
        except BystanderError as error:
            if error.code != "spool_missing":
                raise
            return None

    async def _completed(self, recording: str, key: str) -> StoredObject | None:
        """The object as it stands in the store: nothing is visible under its key before it is whole."""
        try:
            info = await self.store.head(key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return None
        if dict(info.metadata).get(RECORDING_MARK) != recording:
            return None
        return StoredObject(key=key, size=info.size, etag=info.etag)

    def _cared(self, task: asyncio.Task[None]) -> None:
        self._looked_after.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect while completing", exc_info=error)


def left_behind(survey: Survey | None) -> list[str]:
    """Recordings to be brought to their end here; none where the bucket could not be looked through."""
    if survey is None:
        return []
    ours = (Verdict.RESTORED, Verdict.STORED)
    return [recording for recording, verdict in survey.verdicts.items() if verdict in ours]
