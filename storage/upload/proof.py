"""Proofs that an object holds what was recorded: its bytes, read back and compared fragment by fragment.

What a fragment must be is known from the index, which has its checksum also where the spool has no bytes
of it any more. Nothing is held in memory but the chunk that is being read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import google_crc32c

from recorder.kernel.limits import MIB
from recorder.kernel.media import FragmentKind
from storage.errors import FAILED, store_error
from storage.spool import format as form
from storage.spool.format import IndexEntry
from storage.spool.part_bytes import free_box
from storage.spool.reader import SpoolReader
from storage.store import ObjectInfo, ObjectStore

NEEDLE_BYTES = 64  # of the first fragment: enough to find where in a longer object it stands
HEAD_BYTES_MAX = 4 * MIB  # within which it stands: the index of more than a day


class ReadBack:
    """One object, read from one place on."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")
        self.bytes_read = 0

    async def crc32c(self, length: int) -> int:
        """The checksum of the next `length` bytes; store_failed where there are fewer."""
        digest = 0
        while length > 0:
            if not self._left:
                await self._next()
            piece = self._left[:length]
            digest = int(google_crc32c.extend(digest, bytes(piece)))
            self._left = self._left[len(piece) :]
            length -= len(piece)
        return digest

    async def _next(self) -> None:
        chunk = await anext(self._chunks, b"")
        if not chunk:
            raise store_error(FAILED, "fewer bytes are read back than there are")
        self.bytes_read += len(chunk)
        self._left = memoryview(chunk)


async def unlike(
    store: ObjectStore,
    reader: SpoolReader,
    key: str,
    entries: Sequence[IndexEntry],
    growth: int,
    blank: Sequence[int] = (),
    *,
    counted: Callable[[int], None] = lambda _: None,
) -> list[IndexEntry]:
    """The fragments whose bytes in the object are others than were recorded; those at `blank` must be blank.

    `entries` adjoin and leave out the init segment; they stand `growth` bytes further on than in the spool.
    """
    if not entries:
        return []
    back = ReadBack(store.read(key, entries[0].offset + growth, entries[-1].stop + growth))
    found = []
    for entry in entries:
        expected = await asyncio.to_thread(_expected, reader, entry, blank=entry.offset in blank)
        if await back.crc32c(entry.length) != expected:
            found.append(entry)
    counted(back.bytes_read)
    return found


async def holds_all(
    store: ObjectStore, reader: SpoolReader, info: ObjectInfo, entries: Sequence[IndexEntry]
) -> bool:
    """Whether every fragment that the spool knows of is in this object, wherever in its beginning they
    begin."""
    media = [entry for entry in entries if entry.kind is FragmentKind.MEDIA]
    if not media:
        return True
    needle = await asyncio.to_thread(
        reader.read, media[0].offset, min(media[0].stop, media[0].offset + NEEDLE_BYTES)
    )
    chunks = [
        chunk async for chunk in store.read(info.key, 0, min(info.size, media[0].offset + HEAD_BYTES_MAX))
    ]
    place = b"".join(chunks).find(needle)
    growth = place - media[0].offset
    if place < 0 or media[-1].stop + growth > info.size:
        return False
    return not await unlike(store, reader, info.key, media, growth)


def _expected(reader: SpoolReader, entry: IndexEntry, *, blank: bool) -> int:
    if blank:
        return form.crc32c(free_box(entry.length))
    if entry.crc32c == form.CHECKSUM_UNKNOWN:
        return form.crc32c(reader.read(entry.offset, entry.stop))
    return entry.crc32c
