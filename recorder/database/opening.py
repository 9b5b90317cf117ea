"""One database, opened and brought up to date: SQLite in WAL mode by default, PostgreSQL by URL."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from recorder.errors import BystanderError, Fault

BUSY_TIMEOUT_MS = 5_000  # how long SQLite waits for another writer; transactions here take a few ms
CONNECTIONS_MAX = 5
MIGRATIONS = "recorder:migrations"

_log = logging.getLogger(__name__)


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite database in this file."""
    return f"sqlite+aiosqlite:///{file}"


class Database:
    """Transactions on one database. BystanderError `database_failed` for whatever it refuses."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    async def open(self) -> None:
        """Run the migrations that this database has not seen."""
        with _translated():
            async with self._engine.connect() as connection:
                await connection.run_sync(_migrate)
                await connection.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view."""
        with _translated():
            async with self._engine.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end, and not at all when an exception leaves it.

        On SQLite it takes the write lock at once: a reading that turned into a writing could not wait for it.
        """
        with _translated():
            async with self._engine.connect() as connection:
                await connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
                async with connection.begin():
                    yield connection

    async def check(self) -> None:
        """Whether the database answers now."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()


def _engine(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=CONNECTIONS_MAX, pool_pre_ping=True)
    engine = create_async_engine(url, pool_size=CONNECTIONS_MAX)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last commits, never the file;
        cursor.execute("PRAGMA foreign_keys=ON")  # what a recording holds is told by its spool
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


class _translated:  # noqa: N801 - reads as a verb at its uses
    """Turn what the database refuses into BystanderError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, SQLAlchemyError):
            original = error.orig if isinstance(error, DBAPIError) else error
            _log.error("the database refused", extra={"reason": repr(original)})
            raise BystanderError(
                "database_failed", "The database cannot be used now.", fault=Fault.RESOURCE, status=503
            ) from error
