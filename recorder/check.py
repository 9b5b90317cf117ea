"""Fetches a recording by its id, so that it can be checked like any file."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.database import RecordingTable
from recorder.kernel.errors import not_found
from recorder.kernel.ids import is_id
from recorder.settings.definitions import Settings
from recorder.stores.opening import opened
from recorder.stores.reading import open_recording


@contextmanager
def fetched(settings: Settings, recording: str) -> Iterator[Path]:
    """A temporary file with what there is of the recording now, from the spool or the store."""
    if not is_id(recording, "rec"):
        raise not_found("file or recording")
    with tempfile.TemporaryDirectory(prefix="bystander-check-") as directory:
        file = Path(directory) / f"{recording}.mp4"
        asyncio.run(_fetch(settings, recording, file))
        yield file


async def _fetch(settings: Settings, recording: str, file: Path) -> None:
    async with opened(settings) as own:
        if own.database is None:
            raise not_found("file or recording")
        row = await RecordingTable(own.database).get(recording)
        media = await open_recording(own.stores, own.root / "spool", row)
        try:
            with await asyncio.to_thread(file.open, "wb") as target:
                async for chunk in media.read(0, media.size):
                    await asyncio.to_thread(target.write, chunk)
        finally:
            await media.close()
