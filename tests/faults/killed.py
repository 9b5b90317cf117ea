"""A process that ships spools until it is killed: from a fork server, so that it begins at once."""

import asyncio
import multiprocessing
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.takeover.lease import NodeLease
from storage.upload.uploader import Uploader
from tests.storage.test_upload_machine import Told, filled, grown

LOOK_S = 0.002


@dataclass(frozen=True)
class Orders:
    """What the process does: the store, whose spools, and the node's own settings."""

    store: StorageSettings
    root: Path
    node: str
    settings: StorageSettings
    replaces_parts: bool
    age_s: float  # of the world, by its clock


def shipping(orders: Orders) -> ForkServerProcess:
    """The running process; whoever begins it kills it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "storage.stores.s3.store", "storage.stores.sftp.store"])
    process = context.Process(target=_main, args=(orders,), daemon=True)
    process.start()
    return process


def _main(orders: Orders) -> None:
    asyncio.run(_ship(orders))


async def _ship(orders: Orders) -> None:
    store, clock = open_store(orders.store), ManualClock()
    clock.advance(orders.age_s)
    lease = NodeLease(
        store,
        clock,
        installation="ours",
        node=orders.node,
        takeover_after_s=orders.settings.takeover_after_s,
    )
    same_disk = store.adoption is not None
    uploader = Uploader(
        store,
        orders.root,
        clock,
        orders.settings,
        finalise_init=filled,
        grow_init=filled if same_disk else grown,
        make_movie=Told,
        lease=None if same_disk else lease,
        replaces_parts=orders.replaces_parts,
    )
    with suppress(BystanderError):
        await uploader.take_up()
    found = await uploader.recover()
    while True:
        for recovered in found:
            if recovered.damage is None:
                with suppress(BystanderError):
                    uploader.grew(recovered.recording)
        await asyncio.sleep(LOOK_S)
