"""An archive over one store, as tests have it."""

from pathlib import Path

from recorder.archive.archive import Archive
from recorder.archive.storage_verdict import StorageVerdict
from recorder.archive.store_shipping import StoreShipping
from recorder.stores.named_stores import NamedStore, NamedStores
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.upload.uploader import Uploader

STORE = "sto_00000000000000000000000001"


def place_of(store: ObjectStore, settings: StorageSettings | None = None) -> NamedStore:
    """The store as the default of the settings, and nobody to remember it."""
    return NamedStore(STORE, "default", settings or StorageSettings(), store)


def archive_of(
    store: ObjectStore,
    uploader: Uploader,
    spool: Path,
    verdict: StorageVerdict | None = None,
    *,
    settings: StorageSettings | None = None,
) -> Archive:
    """With the store as the only one of the settings."""
    place = place_of(store, settings)
    return Archive(NamedStores([place]), [StoreShipping(place, uploader, verdict)], spool)
