"""The audit log at rest: lines are added at its end and removed at its beginning, and never changed."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.audit_schema import audit_entries
from recorder.database.connection import Database
from recorder.kernel.audit.act import AuditSearch

_APPENDING = 0x62796175  # PostgreSQL's lock: any number, the same on every node


class AuditRow(NamedTuple):
    """One line, and by what it is found."""

    sequence: int
    occurred_at: datetime
    conversation: str | None
    line: str


Continue = Callable[[AuditRow | None], list[AuditRow]]
"""What follows the newest line; None before the first."""
ContinueAfterExpiry = Callable[[AuditRow, AuditRow], list[AuditRow]]
"""What follows the newest line, where those up to the second go."""


class AuditTable:
    """One chain for each database, however many servers write it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, following: Continue) -> list[AuditRow]:
        """Add what follows the newest line, with nobody else in between; what was added."""
        async with self._database.writing() as connection:
            return await self._appended(connection, following)

    async def expire(self, before: datetime, following: ContinueAfterExpiry) -> AuditRow | None:
        """Remove the oldest entries, up to the first that is younger, but never the newest of all.

        In one transaction with what `following` adds. The last that went; None where nothing is that old.
        """
        async with self._database.writing() as connection:
            await self._lock(connection)
            newest = await self._newest(connection)
            last = None if newest is None else await self._last_before(connection, before, newest.sequence)
            if newest is None or last is None:
                return None
            await self._insert(connection, following(newest, last))
            gone = audit_entries.c.sequence <= last.sequence
            await connection.execute(delete(audit_entries).where(gone))
            return last

    async def newest(self) -> AuditRow | None:
        async with self._database.reading() as connection:
            return await self._newest(connection)

    async def count(self) -> int:
        async with self._database.reading() as connection:
            return (await connection.execute(select(func.count()).select_from(audit_entries))).scalar_one()

    async def read(self, search: AuditSearch, *, limit: int) -> list[AuditRow]:
        """Those that are looked for, in their order."""
        c = audit_entries.c
        query = select(audit_entries).where(c.sequence > search.after).order_by(c.sequence).limit(limit)
        if search.since is not None:
            query = query.where(c.occurred_at >= search.since)
        if search.before is not None:
            query = query.where(c.occurred_at < search.before)
        if search.conversation is not None:
            query = query.where(c.conversation == search.conversation)
        async with self._database.reading() as connection:
            return [AuditRow(*row) for row in (await connection.execute(query)).all()]

    async def _appended(self, connection: AsyncConnection, following: Continue) -> list[AuditRow]:
        await self._lock(connection)
        rows = following(await self._newest(connection))
        await self._insert(connection, rows)
        return rows

    async def _lock(self, connection: AsyncConnection) -> None:
        if self._database.is_shared:  # SQLite's transactions have the write lock already
            await connection.execute(select(func.pg_advisory_xact_lock(_APPENDING)))

    @staticmethod
    async def _last_before(connection: AsyncConnection, before: datetime, newest: int) -> AuditRow | None:
        """By sequence: an entry with the time of a clock that went wrong takes no other with it."""
        c = audit_entries.c
        younger = select(func.min(c.sequence)).where(c.occurred_at >= before)
        first = (await connection.execute(younger)).scalar_one()
        stays = newest if first is None else min(first, newest)
        query = select(audit_entries).where(c.sequence < stays).order_by(c.sequence.desc()).limit(1)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else AuditRow(*row)

    @staticmethod
    async def _insert(connection: AsyncConnection, rows: list[AuditRow]) -> None:
        if rows:
            await connection.execute(insert(audit_entries), [row._asdict() for row in rows])

    @staticmethod
    async def _newest(connection: AsyncConnection) -> AuditRow | None:
        query = select(audit_entries).order_by(audit_entries.c.sequence.desc()).limit(1)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else AuditRow(*row)
