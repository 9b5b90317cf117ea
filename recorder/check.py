"""Fetches a recording by its id, so that it can be checked like any file."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.database import Database, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.kernel.errors import not_found
from recorder.kernel.ids import is_id
from recorder.settings.definitions import Settings
from storage.open_store import open_store
from storage.reading import open_media


@contextmanager
def fetched(settings: Settings, recording: str) -> Iterator[Path]:
    """A temporary file with what there is of the recording now, from the spool or the store."""
    if not is_id(recording, "rec"):
        raise not_found("file or recording")
    with tempfile.TemporaryDirectory(prefix="bystander-check-") as directory:
        file = Path(directory) / f"{recording}.mp4"
        root = Path(settings.server.data_dir).absolute()
        asyncio.run(_fetch(settings, root, recording, file))
        yield file


async def _fetch(settings: Settings, root: Path, recording: str, file: Path) -> None:
    store = open_store(settings.storage, data_dir=root, proxy=settings.proxy.as_proxy())
    try:
        key = await _key(settings, root, recording)
        opened = await open_media(store, root / "spool", recording, key)
        try:
            with await asyncio.to_thread(file.open, "wb") as target:
                async for chunk in opened.read(0, opened.size):
                    await asyncio.to_thread(target.write, chunk)
        finally:
            await opened.close()
    finally:
        await store.close()


async def _key(settings: Settings, root: Path, recording: str) -> str:
    file = root / "bystander.db"
    if settings.server.database_url is None and not await asyncio.to_thread(file.exists):
        raise not_found("file or recording")  # and no empty database is made to find that out
    database = Database(settings.server.database_url or sqlite_url(file))
    try:
        return (await RecordingTable(database).get(recording)).object_key
    finally:
        await database.close()
