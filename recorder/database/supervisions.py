"""Supervision, in and out of the database: everything that one step changes is one transaction.

So an interaction is never held without a decision that says so, a webhook never hears of a decision that was
not taken, and a recording that was decided on exists.
"""

from datetime import datetime

import msgspec
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.outbox import enqueue
from recorder.database.rows import fields
from recorder.database.schema import conversations, interactions, recordings
from recorder.database.supervision_schema import decisions, supervisions
from recorder.kernel.conversation import Conversation, Decision, DecisionKind, Interaction, InteractionState
from recorder.kernel.errors import not_found
from recorder.kernel.recording import RecordingRow
from recorder.kernel.webhook import EventType
from recorder.kernel.webhook_event import interaction_event

_STATE = {
    DecisionKind.HOLD: InteractionState.HELD,
    DecisionKind.RELEASE: InteractionState.RUNNING,
    DecisionKind.ABORT: InteractionState.ABORTED,
}
_EVENT = {
    DecisionKind.HOLD: EventType.INTERACTION_HOLD,
    DecisionKind.RELEASE: EventType.INTERACTION_RELEASE,
    DecisionKind.ABORT: EventType.INTERACTION_ABORT,
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one step changes. Decisions get their sequence when they are written."""

    supervision: bytes | None  # as recorder.supervision encodes it; None: nothing is left to supervise
    began: Interaction | None = None
    owner: str | None = None  # of what began
    ended: str | None = None
    decisions: tuple[Decision, ...] = ()
    recording: RecordingRow | None = None


class SupervisionTable:
    """Where conversations stand; `node` is who writes here, and who goes on with it after a restart."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def write(self, conversation: Conversation, change: Change, now: datetime) -> list[Decision]:
        """All of it or nothing; the decisions as they are kept."""
        async with self._database.writing() as connection:
            if change.began is not None:
                row = {**msgspec.structs.asdict(change.began), "owner": change.owner}
                await connection.execute(insert(interactions).values(row))
            if change.ended is not None:
                await _end(connection, change.ended, InteractionState.ENDED, now)
            if change.recording is not None:
                row = msgspec.structs.asdict(change.recording)
                await connection.execute(insert(recordings).values(row))
            kept = [await _decide(connection, conversation, one) for one in change.decisions]
            await _keep(connection, conversation.id, change.supervision, now, self._node)
        return kept

    async def get(self, conversation: str) -> bytes | None:
        """None where nothing is kept."""
        query = select(supervisions.c.supervision).where(supervisions.c.conversation == conversation)
        async with self._database.reading() as connection:
            kept: bytes | None = (await connection.execute(query)).scalar_one_or_none()
        return kept

    async def kept(self) -> list[str]:
        """The conversations in which something runs by this node's doing, or by nobody's."""
        ours = or_(supervisions.c.node == self._node, supervisions.c.node.is_(None))
        async with self._database.reading() as connection:
            return list((await connection.execute(select(supervisions.c.conversation).where(ours))).scalars())

    async def interaction(self, conversation: str, interaction: str) -> Interaction:
        """404 not_found where there is none of that id in the conversation."""
        of_it = (interactions.c.id == interaction) & (interactions.c.conversation == conversation)
        async with self._database.reading() as connection:
            row = (await connection.execute(select(interactions).where(of_it))).one_or_none()
        if row is None:
            raise not_found("interaction")
        return msgspec.convert(fields(row), Interaction)

    async def running(self, conversation: str) -> list[tuple[Interaction, str | None]]:
        """What has not ended, oldest first, each with its owner."""
        query = select(interactions).where(
            interactions.c.conversation == conversation, interactions.c.ended_at.is_(None)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(interactions.c.id))).all()
        return [(msgspec.convert(fields(row), Interaction), row.owner) for row in rows]

    async def decisions(self, conversation: str, *, after: int, limit: int) -> list[Decision]:
        """In their order; those after the one with this sequence."""
        query = select(decisions).where(
            decisions.c.conversation == conversation, decisions.c.sequence > after
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(decisions.c.sequence).limit(limit))).all()
        return [msgspec.convert(fields(row), Decision) for row in rows]


async def _decide(connection: AsyncConnection, conversation: Conversation, decision: Decision) -> Decision:
    values = {name: getattr(decision, name) for name in decision.__struct_fields__ if name != "sequence"}
    inserted = await connection.execute(insert(decisions).values(values).returning(decisions.c.sequence))
    sequence = inserted.scalar_one()
    now = decision.decided_at
    if decision.kind is DecisionKind.ABORT:
        await _end(connection, decision.interaction, _STATE[decision.kind], now)
    else:
        state, one = _STATE[decision.kind], interactions.c.id == decision.interaction
        await connection.execute(update(interactions).where(one).values(state=state))
    query = select(interactions).where(interactions.c.id == decision.interaction)
    interaction = msgspec.convert(fields((await connection.execute(query)).one()), Interaction)
    event = interaction_event(
        _EVENT[decision.kind],
        conversation,
        interaction,
        reason=decision.reason,
        occurred_at=now,
        recording=decision.recording,
    )
    await enqueue(connection, event)
    return msgspec.structs.replace(decision, sequence=sequence)


async def _end(connection: AsyncConnection, interaction: str, state: InteractionState, now: datetime) -> None:
    runs = (interactions.c.id == interaction) & interactions.c.ended_at.is_(None)
    await connection.execute(update(interactions).where(runs).values(state=state, ended_at=now))


async def _keep(
    connection: AsyncConnection, conversation: str, supervision: bytes | None, now: datetime, node: str
) -> None:
    await connection.execute(delete(supervisions).where(supervisions.c.conversation == conversation))
    exists = select(conversations.c.id).where(conversations.c.id == conversation)
    if supervision is None or (await connection.execute(exists)).first() is None:
        return
    row = {"conversation": conversation, "supervision": supervision, "changed_at": now}
    await connection.execute(insert(supervisions).values(node=node, **row))
