"""Backgrounds, in and out of the database."""

import builtins
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Row

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import backgrounds
from recorder.kernel.errors import not_found
from recorder.kernel.files.file import Background


class BackgroundRow(msgspec.Struct, frozen=True, kw_only=True):
    """A background with its key, and the store that it lies in."""

    background: Background
    object_key: str
    store: str | None = None


class BackgroundTable:
    """Rows in, values out. `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: BackgroundRow) -> None:
        values = msgspec.structs.asdict(row.background)
        kept = {name: value for name, value in values.items() if name in backgrounds.c}
        async with self._database.writing() as connection:
            await connection.execute(
                insert(backgrounds).values({**kept, "object_key": row.object_key, "store": row.store})
            )

    async def get(self, background: str) -> BackgroundRow:
        query = select(backgrounds).where(backgrounds.c.id == background)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise not_found("background")
        return _row(row)

    async def list(self, account: str, template: str | None) -> builtins.list[Background]:
        """Those of the account, the oldest first; with `template` those that count there."""
        query = select(backgrounds).where(backgrounds.c.account == account).order_by(backgrounds.c.id)
        if template is not None:
            of_all = backgrounds.c.template.is_(None)
            query = query.where(of_all | (backgrounds.c.template == template))
        async with self._database.reading() as connection:
            return [_row(row).background for row in (await connection.execute(query)).all()]

    async def count(self, account: str) -> int:
        """How many an account has."""
        query = select(func.count()).select_from(backgrounds).where(backgrounds.c.account == account)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def delete(self, background: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(backgrounds).where(backgrounds.c.id == background))


def _row(row: Row[Any]) -> BackgroundRow:
    values = fields(row)
    known = {name: values[name] for name in Background.__struct_fields__ if name in values}
    background = msgspec.convert(known, Background)
    return BackgroundRow(background=background, object_key=values["object_key"], store=values["store"])
