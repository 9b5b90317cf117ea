"""Reading of a recording from where it is: the spool while it has it, else the store that it lies in."""

from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import RecordingRow
from recorder.stores.named_stores import NamedStores
from storage.errors import NOT_CONFIGURED
from storage.reading import OpenMedia, open_media, open_spooled


async def open_recording(stores: NamedStores, spool: Path, row: RecordingRow) -> OpenMedia:
    """Open it; object_missing when nobody has it, store_not_configured when it cannot be looked for.

    What is in the spool is read also where its store is not configured.
    """
    try:
        store = (await stores.of(row.store)).store
    except BystanderError as error:
        if error.code != NOT_CONFIGURED:
            raise
        opened = await open_spooled(spool, row.id)
        if opened is None:
            raise
        return opened
    return await open_media(store, spool, row.id, row.object_key)
