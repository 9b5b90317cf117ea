"""Sealed answers by the hash of what was asked."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.schema import kept_answers


class IdempotencyTable:
    """Rows in, rows out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, request: str, *, since: datetime) -> tuple[str, bytes] | None:
        """Fingerprint and sealed answer, if it was kept at `since` or later."""
        found = kept_answers.c
        query = select(found.fingerprint, found.sealed).where(
            found.request == request, found.kept_at >= since
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.fingerprint, row.sealed)

    async def put(self, request: str, fingerprint: str, sealed: bytes, when: datetime, *, payer: str) -> None:
        """Takes the place of one that is there."""
        values = {
            "request": request,
            "fingerprint": fingerprint,
            "sealed": sealed,
            "kept_at": when,
            "payer": payer,
        }
        async with self._database.writing() as connection:
            await connection.execute(delete(kept_answers).where(kept_answers.c.request == request))
            await connection.execute(insert(kept_answers).values(values))

    async def sweep(self, *, before: datetime, most: int, most_of_each: int) -> None:
        """Drop those that were kept before that, each payer's oldest beyond so many, and then of all."""
        c = kept_answers.c
        greedy = select(c.payer).group_by(c.payer).having(func.count() > most_of_each)
        async with self._database.writing() as connection:
            await connection.execute(delete(kept_answers).where(c.kept_at < before))
            for payer in (await connection.execute(greedy)).scalars().all():
                await _keep_newest(connection, most_of_each, c.payer == payer)
            await _keep_newest(connection, most, true())


async def _keep_newest(connection: AsyncConnection, count: int, which: ColumnElement[bool]) -> None:
    c = kept_answers.c
    beyond = select(c.kept_at).where(which).order_by(c.kept_at.desc()).offset(count).limit(1)
    newest = (await connection.execute(beyond)).scalar_one_or_none()
    if newest is not None:
        await connection.execute(delete(kept_answers).where(which, c.kept_at <= newest))
