"""The archive of recordings: spools shipped to the store, read back, removed."""

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from recorder.archive.store_shipping import StoreShipping
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from recorder.node.background_task import BackgroundTask
from recorder.stores.named_stores import NamedStore, NamedStores
from storage.spool import SpoolEnding, SpoolFacts, mend, seal, spool_ending, unended_s
from storage.spool.format import FACTS
from storage.spool.small_files import read_twice
from storage.store import ObjectStore
from storage.takeover.orphaned_uploads import Verdict
from storage.upload.found_spools import SPOOL_DAMAGED, find_spools
from storage.upload.uploader import Recovered, StoredObject, Survey

TAKE_UP_TIMEOUT_S = 15.0  # of a start: a store that does not answer does not keep a server from recording
TAKE_UP_INTERVAL_S = 300.0  # between looks at what lost nodes left: one list of uploads and one of pages
FIRST_LOOK_INTERVAL_S = 10.0  # until the store has answered once: recordings without a spool wait for that
Left = Callable[[Sequence[str]], Awaitable[None]]  # told which recordings lost nodes left

_log = logging.getLogger(__name__)


class Archive:
    """The server's one way to storage. Errors are storage's own."""

    def __init__(self, stores: NamedStores, shipping: Sequence[StoreShipping], spool: Path) -> None:
        """`shipping` is of each of the stores."""
        self.stores = stores
        self.spool = spool
        self._shipping = {one.place.name: one for one in shipping}
        self._damaged: dict[str, str] = {}  # spools that cannot be taken up, and by which code
        self._looking: BackgroundTask | None = None
        self._looked_after: set[asyncio.Task[None]] = set()

    # --- stores ----------------------------------------------------------------------------------------
    @property
    def default(self) -> NamedStore:
        """What [storage] names."""
        return self.stores.default

    @property
    def store(self) -> ObjectStore:
        """The default's."""
        return self.stores.default.store

    async def store_of(self, store: str | None) -> ObjectStore:
        """The store that something remembers by id; store_not_configured (503)."""
        return (await self.stores.of(store)).store

    async def check(self, store: str | None = None) -> None:
        """Whether a recording may begin; raises what is wrong with its store, if that matters."""
        await (await self._of(store)).check()

    async def allowed(self, store: str | None = None) -> None:
        """Whether anything new may count on the store: storage_test_failed while its last test failed."""
        await (await self._of(store)).allowed()

    async def _of(self, store: str | None) -> StoreShipping:
        return self._shipping[(await self.stores.of(store)).name]

    def _at_once(self, store: str | None) -> StoreShipping | None:
        found = self.stores.at_once(store)
        return None if found is None else self._shipping[found.name]

    # --- shipping --------------------------------------------------------------------------------------
    def begin(self, recording: str, store: str | None = None) -> None:
        """Ship the recording's spool from now on; where its store is not known yet, from its end on."""
        if (shipping := self._at_once(store)) is not None:
            shipping.uploader.begin(recording)

    def grew(self, recording: str, store: str | None = None) -> None:
        if (shipping := self._at_once(store)) is not None:
            shipping.uploader.grew(recording)

    async def finish(self, recording: str, key: str, store: str | None = None) -> StoredObject | None:
        """Returns once the object is whole and verified; None when there is nothing to keep.

        Without a spool it is the object under `key`, where that is the recording's: it was completed before.
        """
        shipping = await self._of(store)
        self._damaged.pop(recording, None)  # what is still in its way, the uploader says
        return await shipping.finish(recording, key)

    async def forget(self, recording: str) -> None:
        """The outcome is written down: what the upload left behind may go."""
        try:
            for shipping in self._shipping.values():
                await shipping.uploader.forget(recording)
        except BystanderError as error:
            _log.warning("a spool was not cleared", extra={"recording": recording, "code": error.code})

    async def mend(self, recording: str, key: str, store: str | None = None) -> None:
        """Let what the database knows of it stand where its spool's facts are damaged, or say otherwise."""
        facts = SpoolFacts(
            recording=recording,
            conversation=key.partition("/")[0],
            key=key,
            content_type="video/mp4",
            created_at=datetime.now(UTC),
            store=store,
        )
        if await asyncio.to_thread(mend, self.spool, facts):
            _log.error("a spool's facts are written down again", extra={"recording": recording})

    def kept(self) -> dict[str, str]:
        """Recordings whose spool stays because nothing proves that the store has them, and why."""
        kept = {name: code for name, code in self._damaged.items() if (self.spool / name).exists()}
        for shipping in self._shipping.values():
            kept |= shipping.uploader.kept()
        return kept

    def stalled_s(self) -> float:
        """How long the upload that waits longest has waited for its store; 0 when none does."""
        since = [stall.since for one in self._shipping.values() for stall in one.uploader.troubles().values()]
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
        """What is recorded and not in its store."""
        return sum(one.uploader.backlog_bytes() for one in self._shipping.values())

    def sent_bytes(self) -> int:
        """What the stores ever took, since this process began."""
        return sum(one.uploader.sent_bytes() for one in self._shipping.values())

    def backlog_age_s(self, now_s: float) -> float:
        """How long the oldest of the backlog has waited, at least; `now_s` by the monotonic clock."""
        return max(one.uploader.backlog_age_s(now_s) for one in self._shipping.values())

    async def ending(self, recording: str) -> SpoolEnding | None:
        """How the spool says that the recording ended; None when it does not say."""
        try:
            return await asyncio.to_thread(spool_ending, self.spool, recording)
        except BystanderError as error:
            if error.code != "spool_damaged":
                raise
            _log.error("a spool's ending cannot be read", extra={"recording": recording})
            return None

    async def seal(
        self, recording: str, reason: EndReason | None, failure: str, store: str | None = None
    ) -> SpoolEnding | None:
        """How the recording ended: as its worker wrote, else as given; None without a spool.

        That there is none is not believed before its store was looked through, which may give one back.
        """
        sealed = await self._sealed(recording, reason, failure)
        if sealed is None and self._looking is not None:
            shipping = await self._of(store)
            if not shipping.was_looked_through:
                _log.warning(
                    "a recording without a spool waits for the store", extra={"recording": recording}
                )
                await shipping.looked_through()
                sealed = await self._sealed(recording, reason, failure)
        return sealed

    async def discard(self, recording: str) -> None:
        """Remove the spool of a recording that never began."""
        await asyncio.to_thread(shutil.rmtree, self.spool / recording, ignore_errors=True)

    async def recover(self, going_on: Collection[str] = ()) -> list[Recovered]:
        """Take up every spool that an earlier server left, each for its own store, and say which.

        Those `going_on` are not ended.
        """
        found = await asyncio.to_thread(find_spools, self.spool, going_on)
        return [await self._taken_up(spool) for spool in found]

    async def _taken_up(self, spool: Recovered) -> Recovered:
        if spool.facts is None or spool.damage is not None:
            self._damaged[spool.recording] = spool.damage or SPOOL_DAMAGED
            return spool
        try:
            (await self._of(spool.facts.store)).uploader.begin(spool.recording)
        except BystanderError as error:
            _log.error(
                "a spool waits for its store", extra={"recording": spool.recording, "code": error.code}
            )
            self._damaged[spool.recording] = error.code
            return replace(spool, damage=error.code)
        return spool

    async def store_of_spool(self, recording: str) -> str | None:
        """Which store a spool is for, by id."""
        facts = await asyncio.to_thread(read_twice, self.spool / recording / FACTS, SpoolFacts)
        return None if facts is None else facts.store

    async def written_s(self, recording: str) -> float | None:
        """How much of a recording is in its spool, which nobody writes and which has no ending; else None."""
        try:
            return await asyncio.to_thread(unended_s, self.spool, recording)
        except BystanderError as error:
            _log.error("a spool cannot be gone on with", extra={"recording": recording, "code": error.code})
            return None

    async def survey(self) -> Survey:
        """Take up what lost nodes left, once, and say what was found; the default store's own errors."""
        whole = Survey()
        for shipping in self._shipping.values():
            try:
                found = await shipping.survey()
            except BystanderError as error:
                if shipping.place is self.default:
                    raise
                _log.warning(
                    "a store cannot be looked through",
                    extra={"store": shipping.place.name, "code": error.code},
                )
                continue
            whole.verdicts.update(found.verdicts)
            whole.unknown.extend(found.unknown)
        return whole

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
            looked = self._shipping[self.default.name].was_looked_through
            await asyncio.sleep(TAKE_UP_INTERVAL_S if looked else FIRST_LOOK_INTERVAL_S)
            try:
                await told(left_behind(await self._take_up()))
            except BystanderError as error:  # of the database; their spools are found at the next start
                _log.error("what was taken up is not written down", extra={"code": error.code})

    async def _take_up(self) -> Survey | None:
        try:
            return await self.survey()
        except BystanderError as error:
            _log.warning("the bucket cannot be looked through", extra={"code": error.code})
            return None

    async def drop(self, recording: str) -> None:
        """Stop shipping a recording that is to be deleted."""
        for shipping in self._shipping.values():
            await shipping.uploader.drop(recording)

    def waiting_for_store(self) -> int:
        """How many uploads their stores keep waiting."""
        return sum(len(one.uploader.troubles()) for one in self._shipping.values())

    async def close(self) -> None:
        """Stop shipping; the spools stay and are taken up by the next server."""
        if self._looking is not None:
            await self._looking.stop()
        tasks = list(self._looked_after)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for shipping in self._shipping.values():
            await shipping.uploader.close()
        await self.stores.close()

    async def _sealed(self, recording: str, reason: EndReason | None, failure: str) -> SpoolEnding | None:
        try:
            return await asyncio.to_thread(
                seal, self.spool, recording, reason or EndReason.ABORT_UNEXPECTED, failure
            )
        except BystanderError as error:
            if error.code != "spool_missing":
                raise
            return None

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
