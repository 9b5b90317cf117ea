"""One database, opened and brought up to date: SQLite in WAL mode by default, PostgreSQL by URL."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from recorder.kernel.errors import BystanderError, Fault, caller_error

BUSY_TIMEOUT_MS = 5_000  # how long SQLite waits for another writer; transactions here take a few ms
CONNECTIONS_MAX = 5
MIGRATIONS = "recorder:migrations"

_log = logging.getLogger(__name__)


APPENDED = "appended"  # what a transaction leaves with its connection when the outbox has grown
_POSTGRESQL = "postgresql+asyncpg"
_CONNECT_TIMEOUT_S = 10.0  # on one network; who waits longer is better told
_COMMAND_TIMEOUT_S = 30.0  # ours take milliseconds; beyond this somebody holds a lock
_MIGRATION_LOCK = 0x62797374  # any number, the same on every node: one migrates, the others wait for it

# What asyncpg and the operating system raise past SQLAlchemy while a connection is made.
_UNREACHABLE = (SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite database in this file."""
    return f"sqlite+aiosqlite:///{file}"


class Database:
    """Transactions on one database. BystanderError `database_failed` for whatever it refuses."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite+aiosqlite:///file` or `postgresql://user@host/database`; 400 invalid_settings."""
        self._engine = _engine(url)
        self.place = _place(self._engine.url)
        self.appended = asyncio.Event()  # a transaction that was committed put something into the outbox

    @property
    def is_shared(self) -> bool:
        """Whether other servers may work on it too."""
        return self._engine.dialect.name != "sqlite"

    async def open(self) -> None:
        """Run the migrations that this database has not seen; database_newer where it has seen later ones."""
        try:
            await self.migrate(command.upgrade, "head")
        except CommandError:
            detail = (
                f"{self.place} was brought up to date by a later release: run that one, or restore a backup."
            )
            raise BystanderError("database_newer", detail, fault=Fault.RESOURCE, status=503) from None

    async def migrate(self, step: Callable[[Config, str], None], revision: str) -> None:
        """Take alembic's `step` (`command.upgrade` or `downgrade`) to this revision, whole or not at all."""
        with _translated(self.place, opening=True):
            async with self._engine.connect() as connection:
                guard = _one_at_a_time if self.is_shared else _without_foreign_keys
                async with guard(connection):
                    await connection.run_sync(_migrate, step, revision)
                    await connection.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view: nothing that is committed meanwhile is seen in it."""
        with _translated(self.place):
            async with self._engine.connect() as connection:
                if self.is_shared:
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end, and not at all when an exception leaves it.

        On SQLite it takes the write lock at once: a reading that turned into a writing could not wait for it.
        """
        with _translated(self.place):
            async with self._engine.connect() as connection:
                await connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
                connection.info.pop(APPENDED, None)  # of a transaction that was rolled back
                async with connection.begin():
                    yield connection
                if connection.info.pop(APPENDED, False):
                    self.appended.set()

    async def check(self) -> None:
        """Whether the database answers now."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()


class _RolledBackWhenClosed(sqlite3.Connection):
    """A connection that lets go of its locks when it is closed, whoever still holds one of its cursors.

    A task that is cancelled within a transaction has its connection closed; SQLite puts the closing off, and
    keeps the lock for writing, for as long as a traceback keeps a cursor alive: nobody else could write.
    """

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()
        super().close()


def _engine(url: str) -> AsyncEngine:
    address = _address(url)
    if address.drivername == _POSTGRESQL:
        return create_async_engine(
            address,
            pool_size=CONNECTIONS_MAX,
            pool_pre_ping=True,  # a restarted database is met by no request
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
                "server_settings": {"application_name": "bystander"},
            },
        )
    engine = create_async_engine(
        address, pool_size=CONNECTIONS_MAX, connect_args={"factory": _RolledBackWhenClosed}
    )

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


def _address(url: str) -> URL:
    """The URL with the driver that we speak through. Its text may hold a password, so it is in no message."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise _unusable("it is no URL") from None
    kind = address.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise _unusable(f"{kind} is not known; there are sqlite and postgresql")
    return address.set(drivername=_POSTGRESQL if kind == "postgresql" else "sqlite+aiosqlite")


def _place(address: URL) -> str:
    """Where a database is, for people: a path, or a host and a name, without anybody's password."""
    if address.get_backend_name() == "sqlite":
        return address.database or "a database in memory"
    return f"PostgreSQL at {address.host or 'the default host'}, database {address.database}"


def _unusable(reason: str) -> BystanderError:
    return caller_error("invalid_settings", f"server.database_url: {reason}")


@asynccontextmanager
async def _one_at_a_time(connection: AsyncConnection) -> AsyncIterator[None]:
    """Others wait until this transaction is over."""
    await connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    yield


@asynccontextmanager
async def _without_foreign_keys(connection: AsyncConnection) -> AsyncIterator[None]:
    """SQLite alters a table by copying it and dropping the old one: all that refers to it would be deleted.

    Said to the driver itself, since it has no effect within a transaction.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute("PRAGMA foreign_keys=OFF")
    try:
        await connection.begin()  # alembic, left to itself, commits after each migration on SQLite
        yield
    finally:
        await (
            connection.rollback()
        )  # of a migration that failed; after a commit there is nothing to take back
        await driver.execute("PRAGMA foreign_keys=ON")


def _migrate(connection: Connection, step: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    step(config, revision)


class _translated:  # noqa: N801 - reads as a verb at its uses
    """Turn what the database refuses into BystanderError."""

    def __init__(self, place: str, *, opening: bool = False) -> None:
        """`opening`: who reads the error is who configured the database, and not a caller."""
        self._place = place
        self._opening = opening

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, _UNREACHABLE):
            original = error.orig if isinstance(error, DBAPIError) else error
            _log.error("the database refused", extra={"database": self._place, "reason": repr(original)})
            detail = "The database cannot be used now."
            if self._opening:
                said = str(original) or type(original).__name__
                detail = f"{self._place} cannot be used: {said.splitlines()[0]}"
            raise BystanderError("database_failed", detail, fault=Fault.RESOURCE, status=503) from error
