"""Shipping to one store: whether it may be used, what goes there, and what lost nodes left in it."""

import asyncio
import logging

from recorder.archive.storage_verdict import StorageVerdict
from recorder.kernel.errors import BystanderError
from recorder.stores.named_stores import NamedStore
from storage.errors import FAILED, OBJECT_MISSING, THROTTLED, UNREACHABLE
from storage.store import RECORDING_MARK
from storage.upload.uploader import StoredObject, Survey, Uploader

_SPOOLED_OVER = (UNREACHABLE, THROTTLED, FAILED)  # a store that refuses us will refuse us later, too

_log = logging.getLogger(__name__)


class StoreShipping:
    """From this node's spools to one store."""

    def __init__(self, place: NamedStore, uploader: Uploader, verdict: StorageVerdict | None = None) -> None:
        self.place = place
        self.uploader = uploader
        self.verdict = verdict
        self._looked = asyncio.Event()  # it was looked through, since this process began
        self._reported: set[str] = set()  # ids of uploads of unknown origin

    @property
    def was_looked_through(self) -> bool:
        return self._looked.is_set()

    async def looked_through(self) -> None:
        """Wait until it was."""
        await self._looked.wait()

    async def check(self) -> None:
        """Whether a recording may begin; raises what is wrong with the store, if that matters."""
        try:
            await self.place.check()
        except BystanderError as error:
            if not self.place.settings.spool_when_unreachable or error.code not in _SPOOLED_OVER:
                raise
            _log.warning("the store does not answer; it is spooled", extra={"code": error.code})

    async def allowed(self) -> None:
        """Whether anything new may count on the store: storage_test_failed while its last test failed."""
        if self.verdict is not None:
            await self.verdict.check()

    async def finish(self, recording: str, key: str) -> StoredObject | None:
        """Returns once the object is whole and verified; None when there is nothing to keep.

        Without a spool it is the object under `key`, where that is the recording's: it was completed before.
        """
        try:
            return await self.uploader.finish(recording)
        except BystanderError as error:
            if error.code == "recording_empty":
                return None
            if error.code != "spool_missing":
                raise
        return await self._completed(recording, key)

    async def survey(self) -> Survey:
        """Take up what lost nodes left in it, once; the store's own errors."""
        survey = await self.uploader.take_up()
        self._looked.set()
        for recording, verdict in survey.verdicts.items():
            _log.info("an upload without a spool", extra={"recording": recording, "verdict": verdict})
        for upload in survey.unknown:
            if upload.id not in self._reported:
                self._reported.add(upload.id)
                _log.warning("an upload of unknown origin is left alone", extra={"key": upload.key})
        return survey

    async def _completed(self, recording: str, key: str) -> StoredObject | None:
        """The object as it stands in the store: nothing is visible under its key before it is whole."""
        try:
            info = await self.place.store.head(key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return None
        if dict(info.metadata).get(RECORDING_MARK) != recording:
            return None
        return StoredObject(key=key, size=info.size, etag=info.etag)
