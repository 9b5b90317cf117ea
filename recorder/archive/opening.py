"""The way to storage as the settings say, for a server and for `bystander recover` alike."""

import asyncio

from media.isobmff.progressive.movie import ProgressiveMovie
from recorder.archive.archive import Archive
from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.archive.storage_verdict import verdict_of
from recorder.archive.store_shipping import StoreShipping
from recorder.database import Database
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.node.data_directory import DataDirectory
from recorder.settings.definitions import Settings
from recorder.stores.named_stores import NamedStore
from recorder.stores.opening import open_named
from storage.settings import StorageSettings
from storage.store import FileAdoption, ObjectStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader


async def open_shipping(settings: Settings, data: DataDirectory, clock: Clock, database: Database) -> Archive:
    """From this data directory to the stores; whoever asked closes it. The stores' own errors."""
    node = await asyncio.to_thread(data.node)
    stores = await open_named(settings, data.root, database, clock, node)
    shipping = [await _shipping(place, data, clock) for place in stores]
    return Archive(stores, shipping, data.spool)


async def _shipping(place: NamedStore, data: DataDirectory, clock: Clock) -> StoreShipping:
    verdict = verdict_of(data.root, place)
    tested = await asyncio.to_thread(verdict.last)
    uploader = Uploader(
        place.store,
        data.spool,
        clock,
        place.settings,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
        make_movie=ProgressiveMovie,
        lease=await _node_lease(place.store, place.settings, data, clock),
        replaces_parts=tested is not None and tested.replaces_parts,
    )
    return StoreShipping(place, uploader, verdict)


async def _node_lease(
    store: ObjectStore, settings: StorageSettings, data: DataDirectory, clock: Clock
) -> NodeLease | None:
    """This node's right to write into the bucket; None where the spool's disk is the store anyway."""
    if store.adoption is not None and await _takes_files(store.adoption, data):
        return None
    installation = settings.installation
    if installation is None:
        installation = await asyncio.to_thread(data.installation)
    return NodeLease(
        store,
        clock,
        installation=installation,
        node=await asyncio.to_thread(data.node),
        takeover_after_s=settings.takeover_after_s,
    )


async def _takes_files(adoption: FileAdoption, data: DataDirectory) -> bool:
    try:
        return await adoption.can_adopt(data.spool)
    except BystanderError:  # it is not there now; each upload asks again
        return False
