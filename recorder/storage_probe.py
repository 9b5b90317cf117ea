"""The storage test as signaling and the command line ask for it."""

from pathlib import Path
from typing import Any

from recorder.settings import Settings
from storage.objects import ObjectStore, open_store
from storage.probe import test_store


class StorageProbe:
    """Fulfils signaling.ports.StorageProbe."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def test(self) -> dict[str, Any]:
        """Try the configured store: {"ok": bool, "steps": [{"name", "ok", "seconds", "detail"}]}."""
        result = await test_store(self._store)
        told = [
            {"name": step.name, "ok": step.ok, "seconds": step.seconds, "detail": step.detail or ""}
            for step in result.steps
        ]
        return {"ok": result.ok, "steps": told}


async def test_configured(settings: Settings) -> dict[str, Any]:
    """The same without a server."""
    store = open_store(settings.storage, data_dir=Path(settings.server.data_dir))
    try:
        return await StorageProbe(store).test()
    finally:
        await store.close()
