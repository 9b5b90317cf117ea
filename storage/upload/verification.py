"""The verification of a finished object: whose it is, how long it is, and that it holds what was recorded.

The cheapest proof that the store allows is taken: its digest of the whole, its digests of the parts, or
every byte read back. Without a proof nothing of the spool is removed.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import FragmentKind
from storage.errors import CORRUPTED, store_error
from storage.spool import format as form
from storage.spool.format import IndexEntry
from storage.spool.part_bytes import FinaliseInit, PartBytes
from storage.spool.reader import SpoolReader
from storage.store import RECORDING_MARK, ObjectInfo, ObjectStore
from storage.upload.proof import ReadBack, unlike
from storage.upload_plan import plan
from storage.upload_plan.shortfall import Shortfall, shortfall
from storage.upload_plan.state import Proof, UploadState

# state, entries, first and last of them, what fills the head in -> their bytes as they are sent
Fragments = Callable[[UploadState, Sequence[IndexEntry], int, int, FinaliseInit | None], Awaitable[PartBytes]]
_MD5 = re.compile(r"[0-9a-f]{32}\Z")

_log = logging.getLogger(__name__)


class Verification:
    """Of one recording's object against its spool."""

    def __init__(self, store: ObjectStore, reader: SpoolReader, fragments: Fragments) -> None:
        self._store = store
        self._reader = reader
        self._fragments = fragments

    async def of(self, state: UploadState, entries: Sequence[IndexEntry]) -> UploadState:
        """The verified state. object_corrupted where the object is another than it must be,
        object_missing."""
        info = await self._store.head(state.key)
        size = plan.object_size(state, entries)
        if info.size != size:
            raise store_error(CORRUPTED, f"{info.size} bytes, not {size}")
        if dict(info.metadata).get(RECORDING_MARK) != self._reader.facts.recording:
            raise store_error(CORRUPTED, "an object without the recording's mark")
        proof = self._by_digest(state, info) or await self._by_whole_digest(state, info, entries)
        if proof is None:
            state, proof = await self._by_reading(state, entries)
        _log.info("%s is proved by %s", state.key, proof)
        return plan.verified(state, info, proof, self._shortfall(state, entries))

    async def is_stored(self, info: ObjectInfo, data: bytes) -> bool:
        """Whether a small object is these bytes."""
        if info.size != len(data):
            return False
        if info.etag == hashlib.md5(data, usedforsecurity=False).hexdigest() or not data:
            return True
        back = ReadBack(self._store.read(info.key, 0, info.size))
        return await back.crc32c(len(data)) == form.crc32c(data)

    def _by_digest(self, state: UploadState, info: ObjectInfo) -> Proof | None:
        """What the store's tags prove; object_corrupted where they prove the contrary."""
        if state.adopts:
            return Proof.SAME_FILE if info.etag == state.etag else None
        if state.etag is not None and info.etag == state.etag:
            return Proof.DIGEST
        digests = self._tells_digests(state)
        if digests and state.etag is not None and plan.same_rule(state.etag, info.etag):
            raise store_error(CORRUPTED, "another digest")
        return None

    async def _by_whole_digest(
        self, state: UploadState, info: ObjectInfo, entries: Sequence[IndexEntry]
    ) -> Proof | None:
        """Some stores tell the MD5 of all the bytes, however they were sent: it is made of the spool's."""
        if not self._tells_digests(state) or _MD5.match(info.etag) is None:
            return None
        if state.parts[-1].offset + state.parts[-1].size > entries[-1].stop:
            return None  # only the store has the rest
        digest = hashlib.md5(usedforsecurity=False)
        for part in state.parts:
            covered = [n for n, e in enumerate(entries) if part.offset <= e.offset < part.offset + part.size]
            if part.number == 1:
                head = await self._head_part(state, entries, covered[-1])
                if head is None:
                    return None
                digest.update(head)
                continue
            sent = await self._fragments(state, entries, covered[0], covered[-1], None)
            await asyncio.to_thread(digest.update, sent.data)
        return Proof.DIGEST if digest.hexdigest() == info.etag else None

    def _tells_digests(self, state: UploadState) -> bool:
        return self._store.uploads.tells_digests and plan.tags_are_digests(state.parts)

    async def _head_part(self, state: UploadState, entries: Sequence[IndexEntry], last: int) -> bytes | None:
        """Part 1 as it was sent, read from the store where it is ours there: only its init segment is not
        the spool's."""
        stop = entries[0].stop + state.head_growth
        init = b"".join([chunk async for chunk in self._store.read(state.key, 0, stop)])
        if state.head_crc32c is None or form.crc32c(init) != state.head_crc32c:
            return None
        if last == 0:
            return init
        return init + (await self._fragments(state, entries, 1, last, None)).data

    async def _by_reading(
        self, state: UploadState, entries: Sequence[IndexEntry]
    ) -> tuple[UploadState, Proof]:
        if not entries:
            raise BystanderError(
                "spool_damaged", "The spool lost its media.", fault=Fault.DESTINATION, status=500
            )
        await self._check_head(state, entries)
        whole = self._tells_digests(state) and all(p.etag == p.md5 for p in state.parts)
        compared = self._ends(entries) if whole else [entries[1:]]
        for run in compared:
            found = await unlike(self._store, self._reader, state.key, run, state.head_growth, state.damaged)
            state = await self._judged(state, found)
        return state, Proof.PARTS if whole else Proof.READ_BACK

    async def _check_head(self, state: UploadState, entries: Sequence[IndexEntry]) -> None:
        if state.head_crc32c is None:
            return  # of an upload that began before this was kept, or of another node
        stop = entries[0].stop + state.head_growth
        back = ReadBack(self._store.read(state.key, 0, stop))
        if await back.crc32c(stop) != state.head_crc32c:
            raise store_error(CORRUPTED, "another beginning is read back")

    def _ends(self, entries: Sequence[IndexEntry]) -> list[Sequence[IndexEntry]]:
        """The last fragment, and all that stands behind the fragments: the rest is known by its parts."""
        behind = sum(entry.kind is FragmentKind.TABLES for entry in entries)
        return [entries[max(1, len(entries) - behind - 1) :]]

    async def _judged(self, state: UploadState, found: Sequence[IndexEntry]) -> UploadState:
        """Other bytes than were recorded: sent again where the spool has them, and blank or lost where it
        has not."""
        for entry in found:
            _, damaged = await asyncio.to_thread(self._reader.read_checked, [entry])
            if not damaged:
                raise store_error(CORRUPTED, f"other bytes are read back at {entry.offset}")
        return plan.damaged_at(state, [entry.offset for entry in found])

    def _shortfall(self, state: UploadState, entries: Sequence[IndexEntry]) -> Shortfall:
        ending = self._reader.ending
        tables = any(entry.kind is FragmentKind.TABLES for entry in entries)  # which nobody recorded
        held = state.parts[-1].offset + state.parts[-1].size if state.parts and not tables else 0
        found = shortfall(entries, ending, state.damaged, held=held)
        if found != Shortfall():
            _log.error("%s lacks something of what was recorded: %s", state.key, found)
        return found
