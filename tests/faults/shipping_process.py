"""A server's storage half: `python -m ... ROOT STORAGE_JSON NODE`.

Takes up what it finds, ships what comes, prints `ready` before and the stored object after it. Waits for
a spool, and for its writer to end or to die.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.takeover.lease import NodeLease
from storage.upload.uploader import StoredObject, Uploader
from tests.faults.recording_process import RECORDING
from tests.support.uploading import uploader_of

LOOK_S = 0.02


async def ship(root: Path, settings: StorageSettings, node: str) -> None:
    store, clock = open_store(settings), SystemClock()
    lease = NodeLease(
        store, clock, installation="tested", node=node, takeover_after_s=settings.takeover_after_s
    )
    uploader = uploader_of(store, root, settings, clock=clock, lease=lease)
    await store.check()
    print("ready", flush=True)  # noqa: T201
    await uploader.take_up()
    stored = await finished(uploader, root)
    print(msgspec.json.encode(stored).decode(), flush=True)  # noqa: T201
    await uploader.close()
    await store.close()


async def finished(uploader: Uploader, root: Path) -> StoredObject:
    """Ship until the writer is gone and the object is whole."""
    while True:
        await asyncio.sleep(LOOK_S)
        if not (root / RECORDING / "facts.json").exists():
            continue
        uploader.grew(RECORDING)
        try:
            return await uploader.finish(RECORDING)
        except BystanderError as error:
            if error.code != "recording_running":
                raise


if __name__ == "__main__":
    asyncio.run(ship(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=StorageSettings), sys.argv[3]))
