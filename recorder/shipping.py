"""What happens to a recording's bytes once they are in the spool: shipped, read back, removed."""

import asyncio
import logging
import shutil
from pathlib import Path

from recorder.errors import BystanderError
from recorder.storage_verdict import StorageVerdict
from recorder.values import EndReason
from storage.keys import events_key
from storage.objects import ObjectStore
from storage.spool import SpoolEnding, SpoolReader, seal
from storage.uploader import Recovered, StoredObject, Uploader

_log = logging.getLogger(__name__)


class Shipping:
    """The server's one way to storage. Errors are storage's own."""

    def __init__(
        self, store: ObjectStore, uploader: Uploader, spool: Path, verdict: StorageVerdict | None = None
    ) -> None:
        self.store = store
        self.verdict = verdict
        self.spool = spool
        self._uploader = uploader

    async def check(self) -> None:
        """Whether the store can be used now; raises what is wrong."""
        await self.store.check()

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
        return await asyncio.to_thread(self._ending, recording)

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

    async def delete(self, recording: str, key: str) -> None:
        """Remove the recording's object, its sidecar, and its spool."""
        await self.store.delete(key)
        await self.store.delete(events_key(key))
        await self.forget(recording)
        await self.discard(recording)

    def waiting_for_store(self) -> int:
        """How many uploads the store keeps waiting."""
        return len(self._uploader.troubles())

    async def close(self) -> None:
        """Stop shipping; the spools stay and are taken up by the next server."""
        await self._uploader.close()
        await self.store.close()

    def _ending(self, recording: str) -> SpoolEnding | None:
        try:
            reader = SpoolReader.open(self.spool, recording)
        except BystanderError as error:
            _log.info("no spool", extra={"recording": recording, "code": error.code})
            return None
        try:
            return reader.ending
        finally:
            reader.close()
