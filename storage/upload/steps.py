"""The steps of an upload, each done against the store once: the state goes in, the next state comes out.

Whatever fails raises; recording_upload.py tries again. Every step may be repeated after any failure.
"""

import asyncio
import logging
from collections.abc import Sequence

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.log.span import span
from storage.errors import CORRUPTED, FAILED, OBJECT_MISSING, UPLOAD_MISSING, store_error
from storage.finalise.hard_link import finished_media, forget_head
from storage.keys import events_key
from storage.spool.format import IndexEntry
from storage.spool.part_bytes import FinaliseInit, PartBytes, read_part
from storage.spool.reader import SpoolReader
from storage.store import (
    RECORDING_MARK,
    MultipartUpload,
    ObjectInfo,
    ObjectProperties,
    ObjectStore,
)
from storage.upload.proof import holds_all
from storage.upload.slots import UploadSlots
from storage.upload.verification import Verification
from storage.upload_plan import plan
from storage.upload_plan.plan import Action, PutWhole, SendPart, Simple
from storage.upload_plan.remedy import OBJECT_FOREIGN, STORED_IS_LONGER
from storage.upload_plan.shortfall import missing_event, shortfall
from storage.upload_plan.state import Container, UploadState

_log = logging.getLogger(__name__)


class UploadSteps:
    """What can be done for one recording's upload."""

    def __init__(
        self,
        store: ObjectStore,
        reader: SpoolReader,
        slots: UploadSlots,
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
        self._verification = Verification(store, reader, self._fragments)

    async def perform(self, state: UploadState, action: Action, entries: Sequence[IndexEntry]) -> UploadState:
        """Do one action that `decide` chose; all but WAIT."""
        told = {"recording": self._reader.facts.recording, "key": state.key}
        with span(f"upload: {_name(action)}", told):
            return await self._perform(state, action, entries)

    async def _perform(
        self, state: UploadState, action: Action, entries: Sequence[IndexEntry]
    ) -> UploadState:
        if isinstance(action, SendPart):
            return await self._send_part(state, action, entries)
        if isinstance(action, PutWhole):
            held = await self._held_already(state, entries)
            return held or await self._put_whole(state, entries)
        if action is Simple.ADOPT:
            held = await self._held_already(state, entries)
            return held or await self._adopt(state, entries)
        if action is Simple.BEGIN:
            upload = await self._store.uploads.begin(state.key, self._properties)
            return plan.begun(state, upload.id, room=self._room)
        if action is Simple.PUT_EVENTS:
            return await self._put_events(state)
        if action is Simple.COMPLETE:
            held = await self._held_already(state, entries)
            return held or await self._complete(state)
        if action is Simple.VERIFY:
            return await self._verify(state, entries)
        if action is Simple.GIVE_UP_EMPTY:
            return await self._held_already(state, entries) or self._emptied(state)
        raise ValueError(f"{action} is no step of an upload")

    def _emptied(self, state: UploadState) -> UploadState:
        """Nothing was recorded; spool_damaged where something was."""
        ending = self._reader.ending
        if state.acknowledged or (ending is not None and ending.fragments > 1):
            raise BystanderError(
                "spool_damaged", "The spool lost its media.", fault=Fault.DESTINATION, status=500
            )
        return plan.empty(state)

    async def reconcile(
        self, state: UploadState, entries: Sequence[IndexEntry], *, ended: bool, joining: bool = False
    ) -> UploadState:
        """Ask the store what it has of an upload that we are not sure about, and believe it.

        `joining`: it was asked to join the parts, and may still be at it though the upload is gone.
        """
        try:
            listed = await self._store.uploads.list_parts(_upload(state))
        except BystanderError as error:
            if not await self._is_gone(state, error):
                raise
            return await self._completed_or_gone(state, entries, ended=ended, joining=joining)
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

    async def _is_gone(self, state: UploadState, error: BystanderError) -> bool:
        """Whether the upload is there no more: stores have several ways to say so, and some answer with an
        error."""
        if error.code in (UPLOAD_MISSING, OBJECT_MISSING):
            return True
        if error.code != FAILED:
            return False
        found = [upload.id async for upload in self._store.uploads.list_uploads(state.key)]
        return state.upload_id not in found

    async def abort_strays(self, state: UploadState) -> None:
        """Abort whatever dangles under this key: it can only be ours, and the object is whole."""
        async for upload in self._store.uploads.list_uploads(state.key):
            if upload.key == state.key:
                await self._store.uploads.abort(upload)

    async def _held_already(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState | None:
        """Look at the object that would be replaced, if there is one.

        One of this recording that is longer, or as long where our spool is damaged, stays: it is the
        recording if it holds all that the spool has; else stored_is_longer (409), and both stay.
        object_foreign (409) where it is another recording's.
        """
        info = await self._head_or_none(state.key)
        if info is None:
            return None
        mark = dict(info.metadata).get(RECORDING_MARK)
        if mark is not None and mark != self._reader.facts.recording:
            raise _kept(
                OBJECT_FOREIGN, "Another recording's object stands under this key; nothing was replaced."
            )
        ours = plan.object_size(state, entries)
        if info.size < ours or (info.size == ours and not state.damaged):
            return None
        if not await holds_all(self._store, self._reader, info, entries):
            detail = (
                f"The object has {info.size} bytes, the spool would make {ours} of others; both are kept."
            )
            raise _kept(STORED_IS_LONGER, detail)
        _log.warning("%s is in the store already, and longer than its spool", state.key)
        if not state.adopts:
            await self.abort_strays(state)  # also of what a spool from the past cannot know
        lacks = shortfall(entries, self._reader.ending, (), held=info.size)
        held = plan.held_already(state, info, lacks)
        if state.events_stored:  # with what the object lacks, as at the end of any other upload
            await self._verify_events(held)
        return held

    async def _head_or_none(self, key: str) -> ObjectInfo | None:
        try:
            return await self._store.head(key)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return None

    async def _send_part(
        self, state: UploadState, action: SendPart, entries: Sequence[IndexEntry]
    ) -> UploadState:
        async with self._slots.taken(entries[-1].stop - state.acknowledged, action.size):
            part = await self._read(state, entries, action)
            offset = action.offset + (state.head_growth if action.number > 1 else 0)
            sent = await self._store.uploads.put_part(_upload(state), action.number, offset, part.data)
        acknowledged = plan.part_of(action, etag=sent.etag, md5=part.md5)
        if plan.is_suspect(acknowledged) and plan.tags_are_digests(state.parts):
            raise store_error(CORRUPTED, f"another digest of part {action.number}")
        growth = len(part.data) - action.size
        head = part.head_crc32c(entries, growth) if action.number == 1 else None
        return plan.sent(state, action, acknowledged, part.damaged, growth=growth, head_crc32c=head)

    async def _put_whole(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        async with self._slots.taken(entries[-1].stop, entries[-1].stop):
            part = await asyncio.to_thread(
                read_part, self._reader, entries, 0, len(entries) - 1, self._grow_init
            )
            await self._store.put(state.key, part.data, self._properties)
        size = entries[-1].stop
        growth = len(part.data) - size
        head = part.head_crc32c(entries, growth)
        return plan.put_whole(state, part.md5, part.damaged, growth=growth, size=size, head_crc32c=head)

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
        return plan.put_whole(
            state, info.etag, (), growth=info.size - entries[-1].stop, size=entries[-1].stop
        )

    async def _complete(self, state: UploadState) -> UploadState:
        await self._store.uploads.complete(_upload(state), plan.placed(state))
        return plan.completed(state, self._store.uploads.expected_etag(state.parts))

    async def _put_events(self, state: UploadState) -> UploadState:
        await self._store_events(state.key, await asyncio.to_thread(self._reader.events))
        return plan.events_stored(state)

    async def _store_events(self, key: str, lines: bytes) -> None:
        properties = ObjectProperties("application/jsonl", self._properties.metadata)
        await self._store.put(events_key(key), lines, properties)

    async def _verify(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        verified = await self._verification.of(state, entries)
        await self._verify_events(verified)
        if not state.adopts:
            await self.abort_strays(state)  # also of what a spool from the past cannot know
        return verified

    async def _verify_events(self, verified: UploadState) -> None:
        """The spool's lines go, too: they are stored again where the store has other ones, or none, with
        one more where the object lacks something."""
        lines = await asyncio.to_thread(self._reader.events)
        if verified.stored is not None and not verified.stored.is_whole:
            lines += missing_event(verified.stored, self._reader.ending)
        if not await self._holds_events(verified.key, lines):
            await self._store_events(verified.key, lines)
            if not await self._holds_events(verified.key, lines):
                raise store_error(FAILED, "other events are read back than were sent")

    async def _holds_events(self, key: str, lines: bytes) -> bool:
        info = await self._head_or_none(events_key(key))
        return info is not None and await self._verification.is_stored(info, lines)

    async def _completed_or_gone(
        self, state: UploadState, entries: Sequence[IndexEntry], *, ended: bool, joining: bool
    ) -> UploadState:
        """The upload is not there: it was completed and we did not hear of it, or somebody aborted it."""
        info = await self._head_or_none(state.key)
        if info is None:
            if joining:
                raise store_error(FAILED, "the upload is gone, and its object is not there yet")
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


def _name(action: Action) -> str:
    return action.value if isinstance(action, Simple) else type(action).__name__


def _upload(state: UploadState) -> MultipartUpload:
    if state.upload_id is None:
        raise BystanderError("upload_not_begun", "An upload has no id.", fault=Fault.SERVER, status=500)
    return MultipartUpload(state.key, state.upload_id)


def _kept(code: str, detail: str) -> BystanderError:
    return BystanderError(code, detail, fault=Fault.DESTINATION, status=409)
