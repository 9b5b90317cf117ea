"""Orphaned uploads: known to the bucket and to no spool of this node; whose they are, how they are taken up.

The pages beside an upload (journal_format.py) give back its index and the bytes that no part holds. What
the parts hold needs not come back: a spool is made whose media has holes there, and the upload goes on as if
its server had only been restarted.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from recorder.kernel.errors import BystanderError
from storage.errors import OBJECT_MISSING, UPLOAD_MISSING
from storage.keys import is_recording
from storage.store import RECORDING_MARK, MultipartUpload, ObjectStore
from storage.takeover.damaged_spool import extent, holds_its_media, is_stored, mend_spool
from storage.takeover.journal_events import joined
from storage.takeover.journal_format import (
    UPLOADS_PREFIX,
    Page,
    events_start,
    is_page,
    side_prefix,
    tail_range,
    unpack_page,
)
from storage.takeover.lease import NodeLease
from storage.takeover.restore import RestorePlan, restore_spool, upload_of

_log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What came of one recording that was found beside uploads."""

    RESTORED = "restored"  # it has a spool again and can be shipped
    NODE_LIVES = "node_lives"  # another node works on it, or was silent for too short a time
    OTHER_INSTALLATION = "other_installation"
    STORED = "stored"  # the object is whole; what lay beside it is removed
    UNREADABLE = "unreadable"  # nothing to begin from


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found: recordings with their verdicts, and uploads that nothing of ours speaks of."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    unknown: list[MultipartUpload] = field(default_factory=list)

    @property
    def restored(self) -> list[str]:
        """The recordings that have a spool again."""
        return [name for name, verdict in self.verdicts.items() if verdict is Verdict.RESTORED]


async def take_up(store: ObjectStore, root: Path, lease: NodeLease, ours: Sequence[str] = ()) -> Survey:
    """Restore the spool of every upload that is ours to continue; report the others, and touch none of them.

    `ours` are the ids of uploads that spools of this node speak of. Doing it again finds nothing new to do.
    """
    beside: dict[str, list[str]] = {}
    async for info in store.list_objects(UPLOADS_PREFIX):
        recording, _, name = info.key.removeprefix(UPLOADS_PREFIX).partition("/")
        beside.setdefault(recording, []).append(name)
    uploads = [upload async for upload in store.uploads.list_uploads()]
    finding = _Finding(store, root, lease, frozenset(upload.id for upload in uploads))
    survey, known = Survey(), set(ours)
    for recording, names in beside.items():
        if not is_recording(recording):
            continue
        if await asyncio.to_thread(is_stored, root, recording):
            await _clear(store, recording)  # a list did not show it when the upload was over
            continue
        if await asyncio.to_thread(holds_its_media, root, recording):
            continue  # its own spool says more than what lies beside its upload
        survey.verdicts[recording], its_uploads = await finding.examine(recording, sorted(names))
        known |= its_uploads
    survey.unknown.extend(upload for upload in uploads if upload.id not in known)
    return survey


@dataclass(frozen=True, slots=True)
class _Finding:
    """What is the same for every recording that is found."""

    store: ObjectStore
    root: Path
    lease: NodeLease
    dangling: frozenset[str]  # ids of all uploads

    async def examine(self, recording: str, names: Sequence[str]) -> tuple[Verdict, set[str]]:
        """The verdict, and the ids of uploads that its pages speak of. Others' pages are not all read."""
        named = [name for name in names if is_page(name)]
        last_part = [name for name in named if tail_range(name) is None][-1:]
        newest = await _pages(self.store, recording, [*last_part, *named[-1:]])
        verdict = await self._refused(newest)
        if verdict is not None:
            return verdict, _uploads(newest)
        pages = await _pages(self.store, recording, named)
        events = [name for name in names if events_start(name) is not None]
        return await self._take_up(recording, pages, events), _uploads(pages)

    async def _refused(self, pages: list[Page]) -> Verdict | None:
        if any(page.header.installation != self.lease.installation for page in pages):
            return Verdict.OTHER_INSTALLATION
        for node in {page.header.node for page in pages} - {self.lease.node}:
            if not await self.lease.has_lapsed(node):
                return Verdict.NODE_LIVES
        return None

    async def _take_up(self, recording: str, pages: list[Page], events: Sequence[str]) -> Verdict:
        verdict = await self._refused(pages)
        if verdict is not None:
            return verdict
        salvage = await self._salvage(pages)
        if salvage is None or salvage.facts.recording != recording:
            return Verdict.UNREADABLE
        if not await self.lease.claim(recording):
            return Verdict.NODE_LIVES
        if await _is_stored(self.store, recording, salvage.facts.key):
            await _clear(self.store, recording)
            return Verdict.STORED
        if await asyncio.to_thread(mend_spool, self.root, salvage.facts):
            return Verdict.RESTORED
        held = await asyncio.to_thread(extent, self.root, recording)
        if held and held >= salvage.entries[-1].stop:
            return Verdict.RESTORED  # it says as much by itself
        read = {name: await _read(self.store, side_prefix(recording) + name) for name in events}
        lines = joined({name: data for name, data in read.items() if data is not None})
        await asyncio.to_thread(restore_spool, self.root, salvage, lines)
        return Verdict.RESTORED

    async def _salvage(self, pages: list[Page]) -> RestorePlan | None:
        upload_id = upload_of(pages, self.dangling)
        if not pages or upload_id is None or upload_id not in self.dangling:
            return RestorePlan.of(pages, upload_id, None)
        upload = MultipartUpload(pages[0].header.facts.key, upload_id)
        try:
            listed = await self.store.uploads.list_parts(upload)
        except BystanderError as error:
            if error.code != UPLOAD_MISSING:
                raise
            listed = None  # somebody aborted it just now
        return RestorePlan.of(pages, upload_id, listed)


def _uploads(pages: Sequence[Page]) -> set[str]:
    return {page.header.upload_id for page in pages if page.header.upload_id is not None}


async def _pages(store: ObjectStore, recording: str, names: Sequence[str]) -> list[Page]:
    found = []
    for name in names:
        data = await _read(store, side_prefix(recording) + name)
        if data is None:
            continue  # its node lives, and has just removed it
        page = await asyncio.to_thread(unpack_page, data)
        if page is None:
            _log.error("a page beside the upload of %s is damaged", recording)
        else:
            found.append(page)
    return found


async def _read(store: ObjectStore, key: str) -> bytes | None:
    try:
        info = await store.head(key)
        return b"".join([chunk async for chunk in store.read(info.key, 0, info.size)])
    except BystanderError as error:
        if error.code != OBJECT_MISSING:
            raise
        return None


async def _is_stored(store: ObjectStore, recording: str, key: str) -> bool:
    """An object under the recording's key with its mark is whole: nothing is visible before that."""
    try:
        info = await store.head(key)
    except BystanderError as error:
        if error.code != OBJECT_MISSING:
            raise
        return False
    return dict(info.metadata).get(RECORDING_MARK) == recording


async def clear_unfinished(store: ObjectStore, recording: str, key: str) -> None:
    """Remove what an upload that was given up left unfinished; the object, where there is one, stays."""
    async for upload in store.uploads.list_uploads(key):
        if upload.key == key:
            await store.uploads.abort(upload)
    await _clear(store, recording)


async def _clear(store: ObjectStore, recording: str) -> None:
    keys = [info.key async for info in store.list_objects(side_prefix(recording))]
    for key in keys:
        await store.delete(key)
