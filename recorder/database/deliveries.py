"""Webhook deliveries: the outbox as those who deliver see it, in order.

Of each webhook and conversation only the oldest undelivered event is ever due; what comes after it waits. A
delivery is claimed for some seconds by moving its next attempt: several servers on one database do not send
the same event, and one that was killed with an event in its hands lets go of it.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, delete, exists, func, or_, select, update
from sqlalchemy.engine import Row

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.webhook_schema import webhook_deliveries, webhook_events, webhooks
from recorder.database.webhooks import WebhookRow
from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery

_deliveries = webhook_deliveries.c


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An event that one webhook has to be told now."""

    id: str
    webhook: str
    account: str | None  # the webhook's; None: it hears of every account
    failing_since: datetime | None  # the webhook's
    event: str
    type: EventType
    conversation: str
    occurred_at: datetime
    data: dict[str, Any]
    attempts: int
    since: datetime
    next_attempt_at: datetime


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. `retry_at` None: it was the last, or was taken."""

    at: datetime
    status: int | None
    failure: str | None
    retry_at: datetime | None
    disable: str | None = None  # why the webhook is told nothing more, if it is not

    @property
    def state(self) -> DeliveryState:
        if self.failure is None:
            return DeliveryState.DELIVERED
        return DeliveryState.GIVEN_UP if self.retry_at is None else DeliveryState.PENDING


class DeliveryTable:
    """The due, claimed, done and logged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self,
        now: datetime,
        *,
        limit: int,
        without: Collection[str] = (),
        without_accounts: Collection[str] = (),
        healthy: bool = False,
    ) -> list[Due]:
        """What may be sent now, the longest waiting first; nothing of these webhooks and accounts.

        `healthy`: nothing to webhooks whose last attempt failed.
        """
        columns = [_column(name) for name in Due.__struct_fields__]
        query = _heads(select(*columns)).where(_deliveries.next_attempt_at <= now).limit(limit)
        if without:
            query = query.where(_deliveries.webhook.not_in(without))
        if without_accounts or healthy:
            query = query.where(_deliveries.webhook.in_(_with_room(without_accounts, healthy)))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(_deliveries.next_attempt_at))).all()
        return [msgspec.convert(fields(row), Due) for row in rows]

    async def next_due(self, now: datetime) -> datetime | None:
        """When something will be due that is not yet."""
        query = _heads(select(func.min(_deliveries.next_attempt_at))).where(_deliveries.next_attempt_at > now)
        async with self._database.reading() as connection:
            found: datetime | None = (await connection.execute(query)).scalar_one()
        return found

    async def claim(self, due: Due, until: datetime) -> WebhookRow | None:
        """Take a delivery, unless somebody else did; the webhook as it is now."""
        same = (_deliveries.id == due.id) & (_deliveries.state == DeliveryState.PENDING)
        same &= _deliveries.next_attempt_at == due.next_attempt_at
        async with self._database.writing() as connection:
            taken = update(webhook_deliveries).where(same).values(next_attempt_at=until)
            if (await connection.execute(taken)).rowcount == 0:
                return None
            query = select(webhooks).where(webhooks.c.id == due.webhook, webhooks.c.disabled_at.is_(None))
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else msgspec.convert(fields(row), WebhookRow)

    async def attempted(self, due: Due, what: Attempted) -> None:
        """Write down an attempt, and whether the webhook is failing or told nothing more."""
        delivery = {
            "state": what.state,
            "attempts": due.attempts + 1,
            "next_attempt_at": what.retry_at,
            "last_attempt_at": what.at,
            "last_status": what.status,
            "last_failure": what.failure,
        }
        webhook: dict[str, Any] = {"failing_since": None}
        if what.failure is not None:
            webhook["failing_since"] = func.coalesce(webhooks.c.failing_since, what.at)
        if what.disable is not None:
            webhook |= {"disabled_at": what.at, "disabled_reason": what.disable}
        of_it = webhooks.c.id == due.webhook
        if what.failure is None:
            of_it &= webhooks.c.failing_since.is_not(None)  # nothing to write most of the time
        async with self._database.writing() as connection:
            this = webhook_deliveries.c.id == due.id
            await connection.execute(update(webhook_deliveries).where(this).values(delivery))
            await connection.execute(update(webhooks).where(of_it).values(webhook))

    async def take_up(self, now: datetime) -> None:
        """Make everything that waits due: what an earlier server held, and what it had put off.

        For a database that no other server works on.
        """
        waiting = (_deliveries.state == DeliveryState.PENDING) & (_deliveries.next_attempt_at > now)
        async with self._database.writing() as connection:
            await connection.execute(update(webhook_deliveries).where(waiting).values(next_attempt_at=now))

    async def forget(self, before: datetime) -> None:
        """Remove events that happened before, and their log, unless somebody is still to hear of them."""
        waiting = exists().where(
            _deliveries.sequence == webhook_events.c.sequence, _deliveries.state == DeliveryState.PENDING
        )
        old = (webhook_events.c.occurred_at < before) & ~waiting
        async with self._database.writing() as connection:
            await connection.execute(delete(webhook_events).where(old))

    async def log(
        self,
        webhook: str,
        *,
        state: DeliveryState | None,
        newest_first: bool = False,
        after: str | None,
        limit: int,
    ) -> list[WebhookDelivery]:
        """A page in the order of ids, or against it."""
        columns = [_column(name) for name in WebhookDelivery.__struct_fields__]
        query = _with_events(select(*columns)).where(_deliveries.webhook == webhook)
        if state is not None:
            query = query.where(_deliveries.state == state)
        if after is not None:
            query = query.where(_deliveries.id < after if newest_first else _deliveries.id > after)
        query = query.order_by(_deliveries.id.desc() if newest_first else _deliveries.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).all()
        return [_logged(row) for row in rows]


def _with_room(full: Collection[str], healthy: bool) -> Select[Any]:
    """The webhooks of accounts that are not full."""
    query = select(webhooks.c.id).where(or_(webhooks.c.account.is_(None), webhooks.c.account.not_in(full)))
    return query.where(webhooks.c.failing_since.is_(None)) if healthy else query


def _column(name: str) -> Any:
    if name in ("account", "failing_since"):
        of_it = select(webhooks.c[name]).where(webhooks.c.id == _deliveries.webhook)
        return of_it.scalar_subquery().label(name)
    if name == "event":
        return webhook_events.c.id.label("event")
    of_event = ("type", "occurred_at", "data")
    return webhook_events.c[name] if name in of_event else _deliveries[name]


def _with_events(query: Select[Any]) -> Select[Any]:
    joined = webhook_deliveries.join(webhook_events, _deliveries.sequence == webhook_events.c.sequence)
    return query.select_from(joined)


def _heads(query: Select[Any]) -> Select[Any]:
    """Only the oldest undelivered event of each webhook and conversation; none of disabled webhooks."""
    earlier = webhook_deliveries.alias("earlier")
    blocked = exists().where(
        earlier.c.webhook == _deliveries.webhook,
        earlier.c.conversation == _deliveries.conversation,
        earlier.c.state == DeliveryState.PENDING,
        earlier.c.sequence < _deliveries.sequence,
    )
    enabled = exists().where(webhooks.c.id == _deliveries.webhook, webhooks.c.disabled_at.is_(None))
    return _with_events(query).where(_deliveries.state == DeliveryState.PENDING, enabled, ~blocked)


def _logged(row: Row[Any]) -> WebhookDelivery:
    return msgspec.convert(fields(row), WebhookDelivery)
