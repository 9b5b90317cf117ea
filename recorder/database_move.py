"""`bystander database move`: from the data directory's SQLite to the PostgreSQL that the settings name."""

import asyncio
from pathlib import Path

from recorder.database import Database
from recorder.database.connection import sqlite_url
from recorder.database.move import move
from recorder.kernel.errors import caller_error
from recorder.node.data_directory import DataDirectory, open_data_directory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.settings.definitions import Settings
from recorder.webhooks.sealing import SecretSeal

MOVED = ".moved"  # what the file's name ends with afterwards: nothing is deleted, and nobody goes on with it


async def move_configured(settings: Settings) -> dict[str, int]:
    """Move everything, while no server runs on the data directory; rows by table.

    Raises invalid_settings, no_database, database_not_empty, data_dir_in_use, database_failed.
    """
    target = Database(settings.server.database_url or "sqlite://")
    if not target.is_shared:
        raise caller_error("invalid_settings", "server.database_url names no PostgreSQL to move into.")
    data = await asyncio.to_thread(open_data_directory, Path(settings.server.data_dir))
    if not data.database.exists():
        raise caller_error("no_database", f"{data.database} does not exist: there is nothing to move.")
    source = Database(sqlite_url(data.database))
    try:
        await source.open()
        await target.open()
        moved = await move(source, target, (await _seal(data)).open)
    finally:
        await source.close()
        await target.close()
    data.database.rename(data.database.with_name(data.database.name + MOVED))
    return moved


async def _seal(data: DataDirectory) -> SecretSeal:
    return SecretSeal(EntryPointSecrets(await asyncio.to_thread(data.secret)).seals())
