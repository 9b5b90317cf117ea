"""Recordings and their attempts, in and out of the database."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.database.connection import Database
from recorder.database.deletions import note_deleted
from recorder.database.messages import note_expired, note_recording
from recorder.database.outbox import enqueue_move, recording_state
from recorder.database.rows import fields
from recorder.database.schema import attempts, recordings
from recorder.database.supervision_schema import supervisions
from recorder.kernel.errors import not_found
from recorder.kernel.message import MessageKind
from recorder.kernel.recording import Attempt, EndReason, RecordingRow, RecordingState

_LEFT = ("node", "store", "moved_from")
LAST_STATES = (RecordingState.AVAILABLE, RecordingState.FAILED)


class RecordingTable:
    """Rows in, rows out. `not_found` where there is no such row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: RecordingRow) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(recordings).values(msgspec.structs.asdict(row)))

    async def save(self, row: RecordingRow) -> None:
        """Replace what is kept, and tell webhooks of the move that it is. Nothing when it was deleted.

        Whose it is stays: a node that was taken for lost does not get back by a late word what another has;
        and so does where it lies.
        One that failed like the one before it, without media, is an attempt more of that: one entry counts
        them, and its failure was told already.
        """
        moved = {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _LEFT}
        async with self._database.writing() as connection:
            if await _counted(connection, row):
                return
            before = await recording_state(connection, row.id)
            changed = await connection.execute(
                update(recordings).where(recordings.c.id == row.id).values(moved)
            )
            if (told := _told(row)) and changed.rowcount:
                await note_recording(connection, recording=row.id, conversation=row.conversation, told=told)
            await enqueue_move(connection, row.id, before, datetime.now(UTC))

    async def get(self, recording: str) -> RecordingRow:
        async with self._database.reading() as connection:
            row = (
                await connection.execute(select(recordings).where(recordings.c.id == recording))
            ).one_or_none()
        if row is None:
            raise not_found("recording")
        return _row(row)

    async def of(self, conversation: str) -> list[RecordingRow]:
        """Oldest first."""
        query = select(recordings).where(recordings.c.conversation == conversation).order_by(recordings.c.id)
        async with self._database.reading() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def unfinished(self, node: str) -> list[RecordingRow]:
        """Those that an earlier server of this node left before their last state, and those of nobody."""
        ours = or_(recordings.c.node == node, recordings.c.node.is_(None))
        query = select(recordings).where(recordings.c.state.not_in(LAST_STATES), ours)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(recordings.c.id))).all()
        return [_row(row) for row in rows]

    async def take_over(self, recording: str, node: str) -> None:
        """What a lost node recorded is this one's from now on, with the supervision that it belongs to."""
        of_it = select(recordings.c.conversation).where(recordings.c.id == recording).scalar_subquery()
        async with self._database.writing() as connection:
            await connection.execute(update(recordings).where(recordings.c.id == recording).values(node=node))
            await connection.execute(
                update(supervisions).where(supervisions.c.conversation == of_it).values(node=node)
            )

    async def over_before(self, moment: datetime, *, after: str | None, limit: int) -> list[RecordingRow]:
        """Those in their last state that ended before `moment`, by id; those after the one named."""
        due = recordings.c.state.in_(LAST_STATES) & (recordings.c.ended_at < moment)
        query = select(recordings).where(due).order_by(recordings.c.id).limit(limit)
        if after is not None:
            query = query.where(recordings.c.id > after)
        async with self._database.reading() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def delete(self, recording: str) -> None:
        """Remove it with all that hangs on it. Removing what is not there is the same as once."""
        it = recordings.c.id == recording
        async with self._database.writing() as connection:
            await note_deleted(connection, it)
            await connection.execute(delete(recordings).where(it))

    async def expire(self, recording: str) -> None:
        """Remove it because of its age: its conversation's messages go on saying that there was one."""
        async with self._database.writing() as connection:
            await note_expired(connection, recording)
            await note_deleted(connection, recordings.c.id == recording)
            await connection.execute(delete(recordings).where(recordings.c.id == recording))

    async def count_of(self, conversation: str) -> int:
        """How many recordings the conversation has had."""
        query = select(func.count()).select_from(recordings).where(recordings.c.conversation == conversation)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def attempted(self, attempt: Attempt) -> None:
        async with self._database.writing() as connection:
            await connection.execute(insert(attempts).values(msgspec.structs.asdict(attempt)))

    async def attempt_ended(
        self, recording: str, number: int, *, ready_at: datetime | None = None, failure: str | None = None
    ) -> None:
        """Say what became of an attempt."""
        of_it = (attempts.c.recording == recording) & (attempts.c.number == number)
        async with self._database.writing() as connection:
            await connection.execute(update(attempts).where(of_it).values(ready_at=ready_at, failure=failure))

    async def attempts(self, recording: str) -> list[Attempt]:
        """First to last."""
        query = select(attempts).where(attempts.c.recording == recording).order_by(attempts.c.number)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(fields(row), Attempt) for row in rows]


async def _counted(connection: AsyncConnection, row: RecordingRow) -> bool:
    """Whether the entry that this one continues took it in; it has no row of its own any more then."""
    if row.state is not RecordingState.FAILED or row.started_at is not None or row.continues is None:
        return False
    entry = recordings.c.id == row.continues
    failed = select(recordings.c.id).where(entry, recordings.c.state == RecordingState.FAILED)
    if (await connection.execute(failed)).first() is None:
        return False
    count = select(func.count()).select_from(attempts).where(attempts.c.recording == row.continues)
    before = (await connection.execute(count)).scalar_one()
    its_own = attempts.c.recording == row.id
    no_media = its_own & attempts.c.failure.is_(None)
    await connection.execute(update(attempts).where(no_media).values(failure=row.failure))
    moved = {"recording": row.continues, "number": attempts.c.number + before}
    await connection.execute(update(attempts).where(its_own).values(moved))
    latest: dict[str, Any] = {"ended_at": row.ended_at}
    if row.end_reason is not EndReason.NORMAL:  # else it was only stopped
        latest |= {"failure": row.failure, "end_reason": row.end_reason}
    await connection.execute(update(recordings).where(entry).values(latest))
    await connection.execute(delete(recordings).where(recordings.c.id == row.id))
    return True


def _told(row: RecordingRow) -> dict[MessageKind, datetime | None]:
    """What stands of this recording among its conversation's messages by now, and since when."""
    told: dict[MessageKind, datetime | None] = {}
    if row.started_at is not None:
        told[MessageKind.RECORDING_STARTED] = row.started_at
        if row.ended_at is not None:
            told[MessageKind.RECORDING_ENDED] = row.ended_at
    if row.state is RecordingState.AVAILABLE:
        told[MessageKind.RECORDING_AVAILABLE] = None
    elif row.state is RecordingState.FAILED:
        told[MessageKind.RECORDING_FAILED] = None
    return told


def _row(row: Row[Any]) -> RecordingRow:
    return msgspec.convert(fields(row), RecordingRow)
