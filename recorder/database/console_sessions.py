"""Sign-ins to the console at rest: only the hash of what the browser holds."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, insert, select, update

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import console_sessions
from recorder.kernel.permissions import KeyScope


class ConsoleSessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `credential` names what was shown: an API key, or an identity of another provider."""

    secret_hash: str
    credential: str
    name: str
    account: str | None
    scopes: list[KeyScope]
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class ConsoleSessionTable:
    """Rows in, rows out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: ConsoleSessionRow, *, most: int) -> None:
        """Keep it; what has expired goes, and the oldest beyond `most`."""
        c = console_sessions.c
        values = {**msgspec.structs.asdict(row), "scopes": [str(scope) for scope in row.scopes]}
        beyond = select(c.secret_hash).order_by(c.created_at.desc(), c.secret_hash).offset(most)
        async with self._database.writing() as connection:
            await connection.execute(delete(console_sessions).where(c.expires_at <= row.created_at))
            await connection.execute(insert(console_sessions).values(values))
            surplus = (await connection.execute(beyond)).scalars().all()
            if surplus:
                await connection.execute(delete(console_sessions).where(c.secret_hash.in_(surplus)))

    async def get(self, secret_hash: str) -> ConsoleSessionRow | None:
        query = select(console_sessions).where(console_sessions.c.secret_hash == secret_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else msgspec.convert(fields(row), ConsoleSessionRow)

    async def seen(self, secret_hash: str, when: datetime) -> None:
        of_it = console_sessions.c.secret_hash == secret_hash
        async with self._database.writing() as connection:
            await connection.execute(update(console_sessions).where(of_it).values(seen_at=when))

    async def delete(self, secret_hash: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                delete(console_sessions).where(console_sessions.c.secret_hash == secret_hash)
            )
