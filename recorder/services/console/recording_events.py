"""Recording events: who came, left, was muted or shared, as the worker wrote it beside the media."""

import asyncio

from recorder.archive.archive import Archive
from recorder.database import RecordingTable
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.limits import MIB
from storage.errors import OBJECT_MISSING
from storage.keys import events_key
from storage.spool import open_or_none
from storage.store import ObjectStore

EVENTS_BYTES_MAX = 16 * MIB  # some 60,000 events: what one answer may hold in memory


class RecordingEvents:
    """Reads only: the spool while it is there, then the object beside the recording."""

    def __init__(self, table: RecordingTable, archive: Archive) -> None:
        self._table = table
        self._archive = archive

    async def of(self, recording: str) -> bytes:
        """Whole lines of JSON; 404 not_found, 409 no_events where none were kept."""
        row = await self._table.get(recording)
        reader = await asyncio.to_thread(open_or_none, self._archive.spool, recording)
        if reader is not None:
            try:
                return await asyncio.to_thread(reader.events)
            finally:
                reader.close()
        return await self._stored(await self._archive.store_of(row.store), events_key(row.object_key))

    async def _stored(self, store: ObjectStore, key: str) -> bytes:
        try:
            size = min((await store.head(key)).size, EVENTS_BYTES_MAX)
            if size == 0:
                return b""
            data = b"".join([chunk async for chunk in store.read(key, 0, size)])
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            raise caller_error("no_events", "No events were kept of this recording.", status=409) from None
        return data[: data.rfind(b"\n") + 1]
