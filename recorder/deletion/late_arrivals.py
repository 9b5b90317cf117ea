"""Late arrivals: what a gateway held back and lets through after the recording was deleted goes, too.

A request that was given up by us may still be carried out, minutes later. So the places of deleted recordings
are looked at again, some times in a day, and what came back there is removed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recorder.database.deletions import Deletion, DeletionTable
from recorder.deletion.deletion import delete_objects_of
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.stores.named_stores import NamedStores
from storage.errors import OBJECT_MISSING
from storage.keys import keys_of
from storage.store import RECORDING_MARK, ObjectStore
from storage.takeover.journal_format import side_prefix

LOOK_EVERY_S = 300.0

_log = logging.getLogger(__name__)


class LateArrivals:
    """One for each server; looking twice does no harm."""

    def __init__(self, table: DeletionTable, stores: NamedStores, clock: Clock) -> None:
        self._table = table
        self._stores = stores
        self._clock = clock

    async def look_forever(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look from time to time; what cannot be looked at now is looked at later."""
        while True:
            await sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except BystanderError as error:  # of the database
                _log.error("late arrivals are not looked for", extra={"code": error.code})

    async def look(self) -> int:
        """Look at what is due, and say of how many recordings something had come back."""
        found = 0
        for deletion in await self._table.due(self._clock.utc_now()):
            try:
                found += await self._removed(deletion)
            except BystanderError as error:
                fields = {"recording": deletion.recording, "code": error.code}
                _log.warning("a deleted recording's place cannot be looked at", extra=fields)
            await self._table.looked(deletion, self._clock.utc_now())
        return found

    async def _removed(self, deletion: Deletion) -> bool:
        store = (await self._stores.of(deletion.store)).store
        if not await _has_anything(store, deletion):
            return False
        await delete_objects_of(store, deletion.recording, deletion.object_key)
        _log.warning("a deleted recording had come back", extra={"recording": deletion.recording})
        return True


async def _has_anything(store: ObjectStore, deletion: Deletion) -> bool:
    for key in keys_of(deletion.object_key):
        try:
            info = await store.head(key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            continue
        if dict(info.metadata).get(RECORDING_MARK) == deletion.recording:
            return True
    async for upload in store.uploads.list_uploads(deletion.object_key):
        if upload.key == deletion.object_key:
            return True
    async for _ in store.list_objects(side_prefix(deletion.recording)):
        return True
    return False
