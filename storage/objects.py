"""Objects that are whole when they are stored: files of conversations, snapshots, backgrounds.

The entrance for whatever is no recording: a file on this disk becomes an object, in parts where it is large,
so that memory holds one of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import MIB
from storage.errors import CORRUPTED, store_error
from storage.store import ObjectInfo, ObjectProperties, ObjectStore, Part

PART_BYTES = 8 * MIB  # of what is larger than one: S3 takes no less than 5, and one is held in memory


async def put_file(store: ObjectStore, key: str, file: Path, properties: ObjectProperties) -> ObjectInfo:
    """Make a finished file the object under `key`, in place of any other; whole and verified on return.

    The store's own errors; trying again after one leaves nothing behind.
    """
    size = (await asyncio.to_thread(file.stat)).st_size
    if store.adoption is not None and await store.adoption.can_adopt(file):
        stored = await store.adoption.adopt(file, key, properties)
    elif size <= PART_BYTES:
        stored = await store.put(key, await asyncio.to_thread(file.read_bytes), properties)
    else:
        stored = await _put_parts(store, key, file, size, properties)
    if stored.size != size:
        raise store_error(CORRUPTED, f"{stored.size} of {size} bytes")
    return stored


async def delete_object(store: ObjectStore, key: str) -> None:
    """Remove the object and what uploads of it were broken off; what is not there is removed already."""
    await _abort_uploads(store, key)
    await store.delete(key)


async def _put_parts(
    store: ObjectStore, key: str, file: Path, size: int, properties: ObjectProperties
) -> ObjectInfo:
    await _abort_uploads(store, key)
    upload = await store.uploads.begin(key, properties)
    try:
        parts: list[Part] = []
        async for offset, data in _parts_of(file, size):
            parts.append(await store.uploads.put_part(upload, len(parts) + 1, offset, data))
        await store.uploads.complete(upload, parts)
    except BaseException:
        with suppress(BystanderError):  # the next attempt looks for it again
            await store.uploads.abort(upload)
        raise
    return await store.head(key)


async def _abort_uploads(store: ObjectStore, key: str) -> None:
    async for upload in store.uploads.list_uploads(key):
        if upload.key == key:
            await store.uploads.abort(upload)


async def _parts_of(file: Path, size: int) -> AsyncIterator[tuple[int, bytes]]:
    for offset in range(0, size, PART_BYTES):
        yield offset, await asyncio.to_thread(_read, file, offset)


def _read(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(PART_BYTES)
