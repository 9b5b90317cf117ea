"""The outbox: events that are told to webhooks, written in the transaction that makes them true.

`await enqueue(connection, event)` inside `async with database.writing() as connection` is all that a producer
does. Whoever waits for `database.appended` hears of it once the transaction has been committed, never before.
"""

from datetime import datetime

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import APPENDED
from recorder.database.rows import fields
from recorder.database.schema import attempts, conversations, recordings
from recorder.database.webhook_schema import webhook_deliveries, webhook_events, webhooks
from recorder.kernel.conversation import Conversation
from recorder.kernel.ids import new_id
from recorder.kernel.recording import RecordingState
from recorder.kernel.webhook import DeliveryState, EventType
from recorder.kernel.webhook_event import WebhookEvent, announced, recording_event


async def enqueue(connection: AsyncConnection, event: WebhookEvent) -> None:
    """Have every webhook told that wants such events of this account now; a later one will not hear of it."""
    wanting = await _wanting(connection, event)
    if not wanting:
        return
    row = {"id": new_id("evt"), **{name: getattr(event, name) for name in event.__struct_fields__}}
    sequence = (
        await connection.execute(insert(webhook_events).values(row).returning(webhook_events.c.sequence))
    ).scalar_one()
    deliveries = [
        {
            "id": new_id("dlv"),
            "webhook": webhook,
            "sequence": sequence,
            "conversation": event.conversation,
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "since": event.occurred_at,
            "next_attempt_at": event.occurred_at,
        }
        for webhook in wanting
    ]
    await connection.execute(insert(webhook_deliveries), deliveries)
    connection.info[APPENDED] = True


async def recording_state(connection: AsyncConnection, recording: str) -> RecordingState | None:
    """The state that is written down; None when there is no such recording."""
    query = select(recordings.c.state).where(recordings.c.id == recording)
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else RecordingState(found)


async def enqueue_move(
    connection: AsyncConnection, recording: str, before: RecordingState | None, now: datetime
) -> None:
    """Tell of a recording's move from `before` to the state that this transaction has given it."""
    row = (await connection.execute(select(recordings).where(recordings.c.id == recording))).one_or_none()
    if before is None or row is None or (type_ := announced(before, RecordingState(row.state))) is None:
        return
    query = select(conversations).where(conversations.c.id == row.conversation)
    conversation = msgspec.convert(fields((await connection.execute(query)).one()), Conversation)
    launched = select(func.count()).select_from(attempts).where(attempts.c.recording == recording)
    count = (await connection.execute(launched)).scalar_one()
    event = recording_event(type_, conversation, fields(row), attempts=count, occurred_at=now)
    await enqueue(connection, event)


async def _wanting(connection: AsyncConnection, event: WebhookEvent) -> list[str]:
    of_account = webhooks.c.account.is_(None) | (webhooks.c.account == event.account)
    query = select(webhooks.c.id, webhooks.c.events).where(webhooks.c.disabled_at.is_(None), of_account)
    found = (await connection.execute(query)).all()
    return [webhook for webhook, events in found if not events or EventType(event.type) in events]
