"""Usage: recorded minutes and bytes, summed in the database by account and period of UTC."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, func, select, type_coerce

from recorder.database.connection import Database
from recorder.database.schema import conversations, recordings
from recorder.kernel.history import UsagePeriod, UsageRow

_SQLITE_FORMAT = {UsagePeriod.DAY: "%Y-%m-%d", UsagePeriod.MONTH: "%Y-%m-01"}
_POSTGRESQL_FORMAT = {UsagePeriod.DAY: "YYYY-MM-DD", UsagePeriod.MONTH: 'YYYY-MM-"01"'}


class UsageTable:
    """Reads only. What is still running counts with what is written of it by now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(
        self, *, account: str | None, first: datetime, until: datetime, by: UsagePeriod
    ) -> list[UsageRow]:
        """Recordings that began in [first, until), by account, then period."""
        async with self._database.reading() as connection:
            period = _period(connection.dialect.name, by).label("period")
            query = (
                select(
                    conversations.c.account,
                    period,
                    func.count().label("recordings"),
                    func.coalesce(func.sum(recordings.c.duration_s), 0).label("seconds"),
                    func.coalesce(func.sum(recordings.c.bytes), 0).label("bytes"),
                )
                .join(conversations, conversations.c.id == recordings.c.conversation)
                .where(recordings.c.started_at >= first, recordings.c.started_at < until)
                .group_by(conversations.c.account, period)
                .order_by(conversations.c.account, period)
            )
            if account is not None:
                query = query.where(conversations.c.account == account)
            rows = (await connection.execute(query)).all()
        return [
            UsageRow(
                account=row.account,
                period=row.period,
                recordings=row.recordings,
                minutes=round(float(row.seconds) / 60, 3),
                bytes=int(row.bytes),
            )
            for row in rows
        ]


def _period(dialect: str, by: UsagePeriod) -> ColumnElement[Any]:
    if dialect == "sqlite":
        return func.strftime(_SQLITE_FORMAT[by], recordings.c.started_at)
    at = func.timezone("UTC", type_coerce(recordings.c.started_at, DateTime(timezone=True)))
    return func.to_char(at, _POSTGRESQL_FORMAT[by])
