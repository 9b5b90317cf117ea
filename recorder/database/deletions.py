"""Deleted recordings, for as long as something of them may still arrive in a store."""

from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import deletions, recordings

LOOKS_AFTER = tuple(timedelta(minutes=minutes) for minutes in (10, 60, 360, 1440))  # from the deletion on
DUE_MAX = 200  # looked for at once


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that was deleted: where it was, and when that is looked at next."""

    recording: str
    object_key: str
    store: str | None
    deleted_at: datetime
    looks: int
    look_at: datetime


async def note_deleted(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    """Remember the recordings that are about to be deleted, in the transaction that deletes them."""
    c, now = recordings.c, datetime.now(UTC)
    gone = (
        await connection.execute(select(c.id, c.object_key, c.store).where(which, c.started_at.is_not(None)))
    ).all()
    if gone:
        await connection.execute(delete(deletions).where(deletions.c.recording.in_([row.id for row in gone])))
        noted = [
            Deletion(
                recording=row.id,
                object_key=row.object_key,
                store=row.store,
                deleted_at=now,
                looks=0,
                look_at=now + LOOKS_AFTER[0],
            )
            for row in gone
        ]
        await connection.execute(insert(deletions), [msgspec.structs.asdict(one) for one in noted])


class DeletionTable:
    """What has to be looked at again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime) -> list[Deletion]:
        """Those whose next look is due, the longest due first; DUE_MAX at most."""
        query = (
            select(deletions).where(deletions.c.look_at <= now).order_by(deletions.c.look_at).limit(DUE_MAX)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(fields(row), Deletion) for row in rows]

    async def looked(self, one: Deletion, now: datetime) -> None:
        """It was looked at; after the last look it is forgotten."""
        looks = one.looks + 1
        it = deletions.c.recording == one.recording
        async with self._database.writing() as connection:
            if looks >= len(LOOKS_AFTER):
                await connection.execute(delete(deletions).where(it))
                return
            look_at = max(now, one.deleted_at + LOOKS_AFTER[looks])
            await connection.execute(update(deletions).where(it).values(looks=looks, look_at=look_at))
