"""Webhook registrations, in and out of the database."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Row

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.webhook_schema import webhook_deliveries, webhooks
from recorder.kernel.errors import not_found
from recorder.kernel.webhook import DeliveryState, EventType


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one webhook."""

    id: str
    account: str | None
    url: str
    events: list[EventType]
    description: str | None
    secret: str
    previous_secret: str | None = None
    previous_until: datetime | None = None
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None

    def __repr__(self) -> str:
        return f"<WebhookRow {self.id}>"  # without the secrets

    def signing_secrets(self, now: datetime) -> list[str]:
        """The newest first; while a rotation is fresh, the one before too."""
        previous = self.previous_secret
        fresh = previous is not None and self.previous_until is not None and now < self.previous_until
        return [self.secret, previous] if fresh and previous is not None else [self.secret]


class WebhookTable:
    """Rows in, rows out. `account` None reaches all; `not_found` for what lies beyond it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: WebhookRow) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(webhooks).values(msgspec.structs.asdict(row)))

    async def get(self, webhook: str, *, account: str | None = None) -> WebhookRow:
        query = select(webhooks).where(webhooks.c.id == webhook)
        if account is not None:
            query = query.where(webhooks.c.account == account)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise not_found("webhook")
        return _row(row)

    async def list(self, *, account: str | None, after: str | None, limit: int) -> list[WebhookRow]:
        """Oldest first."""
        query = select(webhooks).order_by(webhooks.c.id).limit(limit)
        if account is not None:
            query = query.where(webhooks.c.account == account)
        if after is not None:
            query = query.where(webhooks.c.id > after)
        async with self._database.reading() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def count(self, account: str | None = None) -> int:
        """Of one account; None: all."""
        query = select(func.count()).select_from(webhooks)
        if account is not None:
            query = query.where(webhooks.c.account == account)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def change(self, webhook: str, **values: Any) -> None:
        """Set some columns. Nothing happens when it was deleted meanwhile."""
        async with self._database.writing() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == webhook).values(**values))

    async def enable(self, webhook: str, now: datetime) -> None:
        """Take events again, and give what waits a fresh day of attempts."""
        waiting = webhook_deliveries.c.webhook == webhook
        waiting &= webhook_deliveries.c.state == DeliveryState.PENDING
        enabled = {"disabled_at": None, "disabled_reason": None, "failing_since": None}
        async with self._database.writing() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == webhook).values(**enabled))
            fresh = {"since": now, "next_attempt_at": now, "attempts": 0}
            await connection.execute(update(webhook_deliveries).where(waiting).values(**fresh))
        self._database.appended.set()

    async def delete(self, webhook: str) -> None:
        """Remove it with its deliveries."""
        async with self._database.writing() as connection:
            await connection.execute(delete(webhooks).where(webhooks.c.id == webhook))


def _row(row: Row[Any]) -> WebhookRow:
    return msgspec.convert(fields(row), WebhookRow)
