"""The move of all that is kept from SQLite to an empty PostgreSQL database."""

import logging
import sqlite3
from asyncio import to_thread
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Table, func, insert, null, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

import recorder.database.audit_schema  # noqa: F401 - so that `metadata` knows all tables
from recorder.database.connection import Database
from recorder.database.schema import metadata
from recorder.database.supervision_schema import decisions
from recorder.database.webhook_schema import webhook_events, webhooks
from recorder.kernel.errors import BystanderError, Fault

ROWS_AT_ONCE = 500  # some hundred KB of Python objects
NUMBERED = (webhook_events, decisions)  # whose sequence goes on where it was
SEALED = {webhooks.name: ("secret", "previous_secret")}
WORTH_MOVING = ("conversations", "api_keys", "webhooks", "scoped_settings")

_log = logging.getLogger(__name__)

Row = dict[str, Any]


async def move(source: Database, target: Database, opened: Callable[[str], str]) -> dict[str, int]:
    """Copy every row, all or none; how many there were of each table. 409 database_not_empty.

    Both are open. `opened` makes readable what the node has sealed: other nodes have to read it, too.
    """
    moved = {}
    async with source.reading() as reading, target.writing() as writing:
        if (name := await _first_filled(writing)) is not None:
            detail = f"{target.place} has rows already, in {name}: only an empty database is moved into."
            raise BystanderError("database_not_empty", detail, fault=Fault.RESOURCE, status=409)
        for table in metadata.sorted_tables:
            moved[table.name] = await _copy(table, reading, writing, opened)
        for table in NUMBERED:
            await _go_on_counting(table, reading, writing)
    return moved


async def check_moved(database: Database, file: Path) -> None:
    """Refuse a shared database that is empty beside a file that is not: 503 database_not_moved."""
    if not await to_thread(_is_worth_moving, file):
        return
    async with database.reading() as connection:
        filled = await _first_filled(connection)
    if filled is not None:
        _log.warning("a database in the data directory is not used", extra={"path": str(file)})
        return
    detail = (
        f"server.database_url names an empty database, and {file} is not empty:"
        " `bystander database move` brings it over; move the file away to begin with nothing."
    )
    raise BystanderError("database_not_moved", detail, fault=Fault.RESOURCE, status=503)


async def _first_filled(connection: AsyncConnection) -> str | None:
    for table in metadata.sorted_tables:
        if (await connection.execute(select(table).limit(1))).first() is not None:
            return table.name
    return None


async def _copy(
    table: Table, reading: AsyncConnection, writing: AsyncConnection, opened: Callable[[str], str]
) -> int:
    count = 0
    result = await reading.stream(select(table))
    async for rows in result.mappings().partitions(ROWS_AT_ONCE):
        await writing.execute(insert(table), [_row(table, dict(row), opened) for row in rows])
        count += len(rows)
    return count


def _row(table: Table, row: dict[Any, Any], opened: Callable[[str], str]) -> Row:
    copied = {str.__str__(name): value for name, value in row.items()}
    for name in SEALED.get(table.name, ()):
        if copied[name] is not None:
            copied[name] = opened(copied[name])
    for column in table.columns:
        if isinstance(column.type, JSON) and column.nullable and copied[column.name] is None:
            copied[column.name] = null()  # else it is JSON's null
    return copied


async def _go_on_counting(table: Table, reading: AsyncConnection, writing: AsyncConnection) -> None:
    """No number is given twice, also not one whose row is gone."""
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name").bindparams(name=table.name)
    given = (await reading.execute(query)).scalar()
    if given:
        await writing.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "sequence"), given)))


def _is_worth_moving(file: Path) -> bool:
    """Whether a SQLite file holds anything; one that cannot be read is taken for filled."""
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            return any(
                connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()
                for name in WORTH_MOVING
                if name in there
            )
        except sqlite3.DatabaseError:
            return True
