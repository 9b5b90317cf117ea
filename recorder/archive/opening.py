"""The way to storage as the settings say, for a server and for `bystander recover` alike."""

import asyncio

from media.isobmff.progressive.movie import ProgressiveMovie
from recorder.archive.archive import Archive
from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.archive.storage_verdict import StorageVerdict
from recorder.kernel.clock import Clock
from recorder.node.data_directory import DataDirectory
from recorder.settings.definitions import Settings
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectStore
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader


async def open_shipping(settings: Settings, data: DataDirectory, clock: Clock) -> Archive:
    """From this data directory to the store; whoever asked closes it. The store's own errors."""
    store = open_store(settings.storage, data_dir=data.root, proxy=settings.proxy.as_proxy())
    verdict = StorageVerdict(data.root, settings.storage)
    tested = await asyncio.to_thread(verdict.last)
    uploader = Uploader(
        store,
        data.spool,
        clock,
        settings.storage,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
        make_movie=ProgressiveMovie,
        lease=await _node_lease(store, settings.storage, data, clock),
        replaces_parts=tested is not None and tested.replaces_parts,
    )
    return Archive(
        store,
        uploader,
        data.spool,
        verdict,
        spool_when_unreachable=settings.storage.spool_when_unreachable,
    )


async def _node_lease(
    store: ObjectStore, settings: StorageSettings, data: DataDirectory, clock: Clock
) -> NodeLease | None:
    """This node's right to write into the bucket; None where the spool's disk is the store anyway."""
    if store.adoption is not None and await store.adoption.can_adopt(data.spool):
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
