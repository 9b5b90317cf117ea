"""A process that ships spools until it is killed: from a fork server, so that it begins at once."""

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from recorder.kernel.clock import ManualClock
from storage.open_store import open_store
from storage.settings import StorageSettings
from tests.faults.node import Node, NodeSettings

LONGEST_S = 60.0  # should nobody kill it


@dataclass(frozen=True)
class Orders:
    """What the process does: the stores, whose spools, and the node's own settings."""

    stores: tuple[StorageSettings, ...]
    root: Path
    node: NodeSettings
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
    """Nothing grows while it runs: whatever is there goes to the stores."""
    clock = ManualClock()
    clock.advance(orders.age_s)
    stores = [open_store(settings) for settings in orders.stores]
    node = Node(stores, orders.root, clock, orders.node, asyncio.sleep)
    await node.start()
    await asyncio.sleep(LONGEST_S)
