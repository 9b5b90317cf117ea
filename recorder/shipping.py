"""What happens to a recording's bytes once they are in the spool: shipped, read back, removed."""

import asyncio
import logging
import shutil
from pathlib import Path

from recorder.clock import Clock
from recorder.data_directory import DataDirectory
from recorder.errors import BystanderError
from recorder.storage_verdict import StorageVerdict
from recorder.values import EndReason
from storage.lease import NodeLease
from storage.objects import ObjectStore
from storage.settings import StorageSettings
from storage.spool import SpoolEnding, seal, spool_ending
from storage.store_errors import FAILED, THROTTLED, UNREACHABLE
from storage.uploader import Recovered, StoredObject, Survey, Uploader

TAKE_UP_TIMEOUT_S = 15.0  # of a start: a store that does not answer does not keep a server from recording
TAKE_UP_INTERVAL_S = 300.0  # between looks at what lost nodes left: one list of uploads and one of pages
_SPOOLED_OVER = (UNREACHABLE, THROTTLED, FAILED)  # a store that refuses us will refuse us later, too

_log = logging.getLogger(__name__)


class Shipping:
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
        self._looking: asyncio.Task[None] | None = None
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

    async def finish(self, recording: str) -> StoredObject | None:
        """Returns once the object is whole and verified; None when there is nothing to keep."""
        try:
            return await self._uploader.finish(recording)
        except BystanderError as error:
            if error.code in ("recording_empty", "spool_missing"):
                return None
            raise

    async def forget(self, recording: str) -> None:
        """The outcome is written down: what the upload left behind may go."""
        try:
            await self._uploader.forget(recording)
        except BystanderError as error:
            _log.warning("a spool was not cleared", extra={"recording": recording, "code": error.code})

    async def ending(self, recording: str) -> SpoolEnding | None:
        """How the spool says that the recording ended; None when it does not say."""
        return await asyncio.to_thread(spool_ending, self.spool, recording)

    async def seal(self, recording: str, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        """How the recording ended: as its worker wrote, else as given; None without a spool."""
        try:
            return await asyncio.to_thread(
                seal, self.spool, recording, reason or EndReason.ABORT_UNEXPECTED, failure
            )
        except BystanderError as error:
            if error.code != "spool_missing":
                raise
            return None

    async def discard(self, recording: str) -> None:
        """Remove the spool of a recording that never began."""
        await asyncio.to_thread(shutil.rmtree, self.spool / recording, ignore_errors=True)

    async def recover(self) -> list[Recovered]:
        """Take up every spool that an earlier server left, and say which."""
        return await self._uploader.recover()

    async def take_up(self) -> None:
        """Take up what lost nodes left: now, as far as the store answers, and from time to time."""
        try:
            async with asyncio.timeout(TAKE_UP_TIMEOUT_S):
                await self._take_up()
        except TimeoutError:
            _log.warning("the store takes long to say what lost nodes left; it is asked again")
        self._looking = asyncio.create_task(self._look_forever(), name="taking up")

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(TAKE_UP_INTERVAL_S)
            await self._take_up()

    async def _take_up(self) -> Survey | None:
        try:
            survey = await self._uploader.take_up()
        except BystanderError as error:
            _log.warning("the bucket cannot be looked through", extra={"code": error.code})
            return None
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
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._uploader.close()
        await self.store.close()


async def node_lease(
    store: ObjectStore, settings: StorageSettings, data: DataDirectory, clock: Clock
) -> NodeLease | None:
    """This node's right to write into the bucket; None where the spool's disk is the store anyway."""
    if store.adoption is not None and await store.adoption.can_adopt(data.spool):
        return None
    installation = settings.installation
    if installation is None:
        installation = await asyncio.to_thread(data.installation)
    return NodeLease(
        store,
        clock,
        installation=installation,
        node=await asyncio.to_thread(data.node),
        takeover_after_s=settings.takeover_after_s,
    )
