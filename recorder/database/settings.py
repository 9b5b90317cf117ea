"""Scoped settings of accounts, templates and conversations, in and out of the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import scoped_settings
from recorder.settings.scopes import Scope


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one owner in one scope says: keys and plain values. Version 0 has never said anything."""

    scope: Scope
    owner: str
    values: dict[str, Any] = {}
    version: int = 0


class SettingsTable:
    """Rows in, values out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, scope: Scope, owner: str) -> Said:
        """Never raises for an unknown owner: who said nothing has version 0."""
        found = await self.of([(scope, owner)])
        return found.get(scope) or Said(scope=scope, owner=owner)

    async def of(self, owners: Iterable[tuple[Scope, str]]) -> dict[Scope, Said]:
        """What is said by these, at most one of each scope; in one reading."""
        table = scoped_settings
        wanted = tuple_(table.c.scope, table.c.owner).in_(list(owners))
        query = select(*(table.c[name] for name in Said.__struct_fields__)).where(wanted)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        found = (msgspec.convert(fields(row), Said) for row in rows)
        return {said.scope: said for said in found}

    async def put(self, said: Said, when: datetime) -> bool:
        """Replace what is said if the version in force is the one before `said.version`; whether it was."""
        table = scoped_settings
        values = {"values": said.values, "version": said.version, "changed_at": when}
        of_it = (table.c.scope == said.scope) & (table.c.owner == said.owner)
        if said.version > 1:
            before = of_it & (table.c.version == said.version - 1)
            async with self._database.writing() as connection:
                return (await connection.execute(update(table).where(before).values(values))).rowcount == 1
        conversation = said.owner if said.scope is Scope.CONVERSATION else None
        first = {"scope": said.scope, "owner": said.owner, "conversation": conversation, **values}
        async with self._database.writing() as connection:
            try:
                await connection.execute(insert(table).values(first))
            except IntegrityError:  # somebody else was first
                await connection.rollback()
                return False
        return True
