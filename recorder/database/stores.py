"""Stores that anything was ever recorded into, and which recordings lie in which of them."""

from datetime import datetime

import msgspec
from sqlalchemy import func, insert, or_, select, update

from recorder.database.connection import Database
from recorder.database.recordings import LAST_STATES
from recorder.database.rows import fields
from recorder.database.schema import backgrounds, files, recordings, stores
from recorder.kernel.recording import RecordingRow


class StoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """One store as it was configured when it was first used; `id` is its mark, once `marked_at` says so."""

    id: str
    name: str
    url: str  # without a password
    endpoint: str | None = None
    added_at: datetime
    marked_at: datetime | None = None


class StoreContents(msgspec.Struct, frozen=True, kw_only=True):
    """How much lies in a store."""

    recordings: int = 0
    files: int = 0  # of conversations, and backgrounds
    bytes: int = 0


class StoreTable:
    """Rows in, rows out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[StoreRow]:
        """The oldest first."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(stores).order_by(stores.c.added_at, stores.c.id))).all()
        return [msgspec.convert(fields(row), StoreRow) for row in rows]

    async def found_or_added(self, row: StoreRow) -> StoreRow:
        """The row of that place, made where there is none; it has the name that counts now."""
        endpoint = stores.c.endpoint.is_(None) if row.endpoint is None else stores.c.endpoint == row.endpoint
        place = (stores.c.url == row.url) & endpoint
        query = select(stores).where(place).order_by(stores.c.added_at, stores.c.id)
        async with self._database.writing() as connection:
            found = (await connection.execute(query)).first()
            if found is None:
                await connection.execute(insert(stores).values(msgspec.structs.asdict(row)))
                return row
            known = msgspec.convert(fields(found), StoreRow)
            if known.name != row.name:
                await connection.execute(update(stores).where(stores.c.id == known.id).values(name=row.name))
        return msgspec.structs.replace(known, name=row.name)

    async def marked(self, store: str, now: datetime) -> None:
        """It has its mark."""
        async with self._database.writing() as connection:
            await connection.execute(update(stores).where(stores.c.id == store).values(marked_at=now))

    async def assume(self, store: str) -> int:
        """What is of before a store was remembered lies in this one; how much there was."""
        changed = 0
        async with self._database.writing() as connection:
            for table in (recordings, files, backgrounds):
                unknown = update(table).where(table.c.store.is_(None)).values(store=store)
                changed += int((await connection.execute(unknown)).rowcount)
        return changed

    async def contents(self) -> dict[str, StoreContents]:
        """How much lies in each, by id."""
        found: dict[str, StoreContents] = {}
        async with self._database.reading() as connection:
            for table in (recordings, files, backgrounds):
                c = table.c
                counted = func.count(), func.coalesce(func.sum(c.bytes), 0)
                query = select(c.store, *counted).where(c.store.is_not(None)).group_by(c.store)
                for store, number, size in (await connection.execute(query)).all():
                    before = found.get(store, StoreContents())
                    found[store] = StoreContents(
                        recordings=before.recordings + int(number) * (table is recordings),
                        files=before.files + int(number) * (table is not recordings),
                        bytes=before.bytes + int(size),
                    )
        return found

    # --- moving ----------------------------------------------------------------------------------------
    async def to_move(self, target: str, *, after: str | None, limit: int) -> list[RecordingRow]:
        """Recordings that are over and not in `target`, and those whose move there is not over; by id."""
        c = recordings.c
        elsewhere = or_(c.store != target, c.moved_from.is_not(None))
        query = select(recordings).where(c.state.in_(LAST_STATES), elsewhere).order_by(c.id).limit(limit)
        if after is not None:
            query = query.where(c.id > after)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(fields(row), RecordingRow) for row in rows]

    async def move(self, recording: str, source: str, target: str) -> bool:
        """It is read from `target` from now on, and something of it is left in `source`.

        False where it is not in `source` any more, or gone.
        """
        c = recordings.c
        there = (c.id == recording) & (c.store == source) & c.moved_from.is_(None)
        async with self._database.writing() as connection:
            changed = await connection.execute(
                update(recordings).where(there).values(store=target, moved_from=source)
            )
        return bool(changed.rowcount)

    async def moved(self, recording: str) -> None:
        """Nothing of it is left where it was."""
        async with self._database.writing() as connection:
            await connection.execute(
                update(recordings).where(recordings.c.id == recording).values(moved_from=None)
            )
