"""Reading back: from the spool while it is there, from the store after that."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.reading import OpenMedia, SpooledMedia, open_media
from storage.spool import SpoolWriter
from storage.store import RECORDING_MARK, ObjectProperties
from storage.stores.memory import MemoryStore
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import media, sequence

KEY = facts().key


async def read(opened: OpenMedia, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in opened.read(start, stop)])


async def test_a_running_recording_is_read_as_far_as_it_is(
    create: Callable[..., SpoolWriter], root: Path
) -> None:
    fragments = sequence(700_000, 5)
    writer = create()
    for fragment in fragments:
        writer.append(fragment)
    opened = await open_media(MemoryStore(), root, RECORDING, KEY)
    assert isinstance(opened, SpooledMedia)
    data = b"".join(fragment.data for fragment in fragments)
    assert (opened.size, opened.complete, opened.content_type) == (len(data), False, "video/mp4")
    assert await read(opened, 0, len(data)) == data
    assert await read(opened, 1000, 300_000) == data[1000:300_000]
    with pytest.raises(BystanderError) as caught:
        await read(opened, 0, len(data) + 1)
    assert caught.value.status == 416

    before = opened.etag
    writer.append(media(3, 10))
    writer.end(EndReason.NORMAL, None, 1)
    await opened.refresh()
    assert (opened.size, opened.complete) == (len(data) + 10, True)
    assert opened.etag != before
    await opened.close()


async def test_a_stored_recording_is_read_from_the_store(root: Path) -> None:
    store = MemoryStore()
    info = await store.put(KEY, b"0123456789", ObjectProperties("video/mp4"))
    opened = await open_media(store, root, RECORDING, KEY)
    assert (opened.size, opened.complete, opened.etag) == (10, True, info.etag)
    assert opened.content_type == "video/mp4"
    assert await read(opened, 2, 5) == b"234"
    await opened.close()


async def test_a_recording_that_nobody_has_is_not_found(root: Path) -> None:
    with pytest.raises(BystanderError) as caught:
        await open_media(MemoryStore(), root, RECORDING, KEY)
    assert (caught.value.code, caught.value.status) == ("object_missing", 404)


@pytest.mark.parametrize(("mark", "plays"), [(RECORDING, True), ("rec_other", False), (None, False)])
async def test_a_damaged_receipt_hides_no_stored_recording(
    create: Callable[..., SpoolWriter], root: Path, mark: str | None, plays: bool
) -> None:
    writer = create()
    for fragment in sequence(10):
        writer.append(fragment)
    for name in ("facts.json", "facts.copy"):
        (root / RECORDING / name).write_bytes(b"")
    store = MemoryStore()
    marks = () if mark is None else ((RECORDING_MARK, mark),)
    await store.put(KEY, b"0123456789", ObjectProperties("video/mp4", marks))
    if not plays:
        with pytest.raises(BystanderError, match="spool_damaged"):
            await open_media(store, root, RECORDING, KEY)
        return
    opened = await open_media(store, root, RECORDING, KEY)
    assert await read(opened, 0, 10) == b"0123456789"
    await opened.close()
