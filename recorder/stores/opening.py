"""The opening of named stores, for a server and for commands without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from recorder.database import Database
from recorder.database.connection import sqlite_url
from recorder.database.stores import StoreRow, StoreTable
from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.ids import new_id
from recorder.node.data_directory import node_of
from recorder.settings.definitions import DEFAULT_STORE, Settings
from recorder.stores.named_stores import NamedStore, NamedStores, StoreMark, public_url
from storage.open_store import open_store
from storage.settings import StorageSettings


def configured(settings: Settings) -> dict[str, StorageSettings]:
    """The stores of the settings by name; that of [storage] first."""
    return {DEFAULT_STORE: settings.storage, **settings.stores}


async def open_named(
    settings: Settings, root: Path, database: Database, clock: Clock, node: str | None
) -> NamedStores:
    """The stores of the settings, none of them asked for anything yet; what is new is written down."""
    table = StoreTable(database)
    opened = []
    for name, own in configured(settings).items():
        row = await table.found_or_added(_row(name, own, database, clock, node))
        store = open_store(own, data_dir=root, proxy=settings.proxy.as_proxy())
        kept = own.url != "memory:"  # whose contents, marks and all, end with the process
        mark = StoreMark(store, row, table, clock) if kept else None
        opened.append(NamedStore(row.id, name, own, store, mark))
    await table.assume(opened[0].id)
    return NamedStores(opened, await table.all())


def open_unknown(settings: Settings, root: Path) -> NamedStores:
    """The same where there is no database yet, so that nothing remembers a store."""
    proxy = settings.proxy.as_proxy()
    return NamedStores(
        [
            NamedStore(name, name, own, open_store(own, data_dir=root, proxy=proxy))
            for name, own in configured(settings).items()
        ]
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command without a server works with; no database where none was made yet."""

    root: Path
    stores: NamedStores
    database: Database | None


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """Stores and database as the settings say, also beside a server. Makes no database."""
    root = await asyncio.to_thread(Path(settings.server.data_dir).absolute)
    file = root / "bystander.db"
    if settings.server.database_url is None and not await asyncio.to_thread(file.exists):
        stores = open_unknown(settings, root)
        try:
            yield Opened(root, stores, None)
        finally:
            await stores.close()
        return
    database = Database(settings.server.database_url or sqlite_url(file))
    try:
        node = await asyncio.to_thread(node_of, root)
        stores = await open_named(settings, root, database, SystemClock(), node)
        try:
            yield Opened(root, stores, database)
        finally:
            await stores.close()
    finally:
        await database.close()


def _row(
    name: str, settings: StorageSettings, database: Database, clock: Clock, node: str | None
) -> StoreRow:
    """Directories of nodes with one database are places of their own, unless marks say otherwise."""
    scheme, separator, _ = settings.url.partition("://")
    is_directory = (not separator or scheme == "file") and settings.url != "memory:"
    own_place = f"node {node}" if is_directory and database.is_shared else settings.endpoint
    return StoreRow(
        id=new_id("sto"),
        name=name,
        url=public_url(settings.url),
        endpoint=own_place,
        added_at=clock.utc_now(),
    )
