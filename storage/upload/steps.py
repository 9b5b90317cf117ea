"""The steps of an upload, each done against the store once: the state goes in, the next state comes out.

Whatever fails raises; recording_upload.py tries again. Every step may be repeated after any failure.
"""

import asyncio
import logging
from collections.abc import Sequence

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import FragmentKind
from storage.errors import CORRUPTED, OBJECT_MISSING, UPLOAD_MISSING, store_error
from storage.finalise.hard_link import finished_media, forget_head
from storage.keys import events_key
from storage.spool.format import IndexEntry
from storage.spool.part_bytes import FinaliseInit, PartBytes, read_part
from storage.spool.reader import SpoolReader
from storage.store import RECORDING_MARK, MultipartUpload, ObjectProperties, ObjectStore
from storage.upload_plan import plan
from storage.upload_plan.plan import Action, PutWhole, SendPart, Simple
from storage.upload_plan.state import Container, UploadState

_log = logging.getLogger(__name__)


class UploadSteps:
    """What can be done for one recording's upload."""

    def __init__(
        self,
        store: ObjectStore,
        reader: SpoolReader,
        slots: asyncio.Semaphore,
        finalise_init: FinaliseInit | None,
        *,
        grow_init: FinaliseInit | None = None,
    ) -> None:
        """`slots` bounds the parts that all recordings together have in memory."""
        joins = store.uploads.joins_parts
        self._room = 0 if joins or finalise_init is None or grow_init is None else plan.INDEX_ROOM_BYTES
        self._store = store
        self._reader = reader
        self._slots = slots
        self._finalise_init = finalise_init
        self._grow_init = grow_init or finalise_init
        self._fill_head = self._grow_init if joins else finalise_init
        mark = ((RECORDING_MARK, reader.facts.recording),)
        self._properties = ObjectProperties(reader.facts.content_type, mark)

    async def perform(self, state: UploadState, action: Action, entries: Sequence[IndexEntry]) -> UploadState:
        """Do one action that `decide` chose; all but WAIT, DISCARD_SPOOL and GIVE_UP_EMPTY."""
        if isinstance(action, SendPart):
            return await self._send_part(state, action, entries)
        if isinstance(action, PutWhole):
            return await self._put_whole(state, entries)
        if action is Simple.ADOPT:
            return await self._adopt(state, entries)
        if action is Simple.BEGIN:
            upload = await self._store.uploads.begin(state.key, self._properties)
            return plan.begun(state, upload.id, room=self._room)
        if action is Simple.PUT_EVENTS:
            return await self._put_events(state)
        if action is Simple.COMPLETE:
            await self._store.uploads.complete(_upload(state), plan.placed(state))
            return plan.completed(state, self._store.uploads.expected_etag(state.parts))
        if action is Simple.VERIFY:
            return await self._verify(state, entries)
        raise ValueError(f"{action} is no step of an upload")

    async def reconcile(
        self, state: UploadState, entries: Sequence[IndexEntry], *, ended: bool
    ) -> UploadState:
        """Ask the store what it has of an upload that we are not sure about, and believe it."""
        try:
            listed = await self._store.uploads.list_parts(_upload(state))
        except BystanderError as error:
            if error.code != UPLOAD_MISSING:
                raise
            return await self._completed_or_gone(state, entries, ended=ended)
        state = plan.reconciled(state, listed)
        action = plan.decide(state, entries, ended=ended)
        found = plan.unrecorded(state, action, listed)
        if found is None or not isinstance(action, SendPart):
            return state
        part = await self._read(state, entries, action)
        if part.md5 != found.etag:
            return state
        acknowledged = plan.part_of(action, etag=found.etag, md5=part.md5)
        return plan.sent(state, action, acknowledged, part.damaged)

    async def abort_strays(self, state: UploadState) -> None:
        """Abort whatever dangles under this key: it can only be ours, and the object is whole."""
        async for upload in self._store.uploads.list_uploads(state.key):
            if upload.key == state.key:
                await self._store.uploads.abort(upload)

    async def _send_part(
        self, state: UploadState, action: SendPart, entries: Sequence[IndexEntry]
    ) -> UploadState:
        async with self._slots:
            part = await self._read(state, entries, action)
            offset = action.offset + (state.head_growth if action.number > 1 else 0)
            sent = await self._store.uploads.put_part(_upload(state), action.number, offset, part.data)
        acknowledged = plan.part_of(action, etag=sent.etag, md5=sent.md5)
        growth = len(part.data) - action.size
        return plan.sent(state, action, acknowledged, part.damaged, growth=growth)

    async def _put_whole(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        async with self._slots:
            part = await asyncio.to_thread(
                read_part, self._reader, entries, 0, len(entries) - 1, self._grow_init
            )
            info = await self._store.put(state.key, part.data, self._properties)
        return plan.put_whole(state, info.etag, part.damaged, growth=len(part.data) - entries[-1].stop)

    async def _adopt(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        if self._store.adoption is None:
            return plan.restarted(state)  # another store than when this began
        try:
            media = await asyncio.to_thread(
                finished_media, self._reader, entries, self._finalise_init, self._grow_init
            )
        except BystanderError as error:
            if error.code != "disk_full" or state.container is not Container.MP4:
                raise
            _log.warning("no room to make %s an ordinary file; it stays fragmented", state.key)
            await asyncio.to_thread(forget_head, self._reader)
            return plan.left_fragmented(state, entries)
        info = await self._store.adoption.adopt(media, state.key, self._properties)
        return plan.put_whole(state, info.etag, (), growth=info.size - entries[-1].stop)

    async def _put_events(self, state: UploadState) -> UploadState:
        lines = await asyncio.to_thread(self._reader.events)
        properties = ObjectProperties("application/jsonl", self._properties.metadata)
        await self._store.put(events_key(state.key), lines, properties)
        return plan.events_stored(state)

    async def _verify(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        info = await self._store.head(state.key)
        size = plan.object_size(state, entries)
        if info.size != size:
            raise store_error(CORRUPTED, f"{info.size} bytes, not {size}")
        if state.etag is None or not plan.same_rule(state.etag, info.etag):
            await self._compare_ends(state, entries)
        elif info.etag != state.etag:
            raise store_error(CORRUPTED, "another digest")
        if state.strays:
            await self.abort_strays(state)
        return plan.verified(state, info)

    async def _compare_ends(self, state: UploadState, entries: Sequence[IndexEntry]) -> None:
        """Where the store tells no digest of the object: its first and last fragments, read back.

        And all that stands behind them.
        """
        behind = sum(entry.kind is FragmentKind.TABLES for entry in entries)
        for at in (0, *range(len(entries) - behind - 1, len(entries))):
            entry = entries[at]
            _, damaged = await asyncio.to_thread(self._reader.read_checked, [entry])
            if damaged:  # or only the store had it: the spool was made again of what lay beside the upload
                continue
            part = await self._fragments(state, entries, at, at, self._fill_head)
            start = entry.offset + (state.head_growth if at else 0)
            chunks = [chunk async for chunk in self._store.read(state.key, start, start + len(part.data))]
            if b"".join(chunks) != part.data:
                raise store_error(CORRUPTED, "other bytes are read back")

    async def _completed_or_gone(
        self, state: UploadState, entries: Sequence[IndexEntry], *, ended: bool
    ) -> UploadState:
        """The upload is not there: it was completed and we did not hear of it, or somebody aborted it."""
        try:
            info = await self._store.head(state.key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return plan.restarted(state)
        marks = dict(info.metadata)
        ours = marks.get(RECORDING_MARK, self._reader.facts.recording) == self._reader.facts.recording
        if (
            ended
            and ours
            and info.size == plan.object_size(state, entries)
            and plan.decide(state, entries, ended=True) is Simple.COMPLETE
        ):
            return plan.completed(state, self._store.uploads.expected_etag(state.parts))
        return plan.restarted(state)

    async def _read(self, state: UploadState, entries: Sequence[IndexEntry], action: SendPart) -> PartBytes:
        fill = self._fill_head if action.fill_head else None
        return await self._fragments(state, entries, action.first, action.last, fill)

    async def _fragments(
        self,
        state: UploadState,
        entries: Sequence[IndexEntry],
        first: int,
        last: int,
        fill: FinaliseInit | None,
    ) -> PartBytes:
        room = 0 if self._store.uploads.joins_parts else state.head_growth
        return await asyncio.to_thread(read_part, self._reader, entries, first, last, fill, room=room)


def _upload(state: UploadState) -> MultipartUpload:
    if state.upload_id is None:
        raise BystanderError("upload_not_begun", "An upload has no id.", fault=Fault.SERVER, status=500)
    return MultipartUpload(state.key, state.upload_id)
