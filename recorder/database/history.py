"""Searches among hundreds of thousands of conversations and recordings: pages by an index, none by offset.

What a conversation can be found by stands as hashed terms in one table, (term, conversation): its page is
read in the order of ids, however rare or common the term is. Ids carry their time, so a range of times is a
range of the primary key.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, case, func, select

from recorder.database.connection import Database
from recorder.database.conversations import conversation_of, participant_of
from recorder.database.rows import fields
from recorder.database.schema import attempts, conversations, participants, recordings, search_terms
from recorder.database.search_terms import metadata_term, participant_term
from recorder.kernel.conversation import Conversation, Participant
from recorder.kernel.errors import not_found
from recorder.kernel.history import (
    ConversationOverview,
    ConversationSearch,
    ConversationState,
    RecordingAttempt,
    RecordingSearch,
)
from recorder.kernel.ids import first_id
from recorder.kernel.recording import RecordingRow, RecordingState

CLOCK_SLACK = timedelta(minutes=5)  # between an id's time and the row's, also where a clock was set back


class HistoryTable:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversations(self, search: ConversationSearch) -> list[Conversation]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(_conversations(search))).all()
        return [conversation_of(row) for row in rows]

    async def overviews(self, search: ConversationSearch) -> list[ConversationOverview]:
        """A page of conversations with what stands around them, seen at one moment."""
        async with self._database.reading() as connection:
            found = [conversation_of(row) for row in (await connection.execute(_conversations(search))).all()]
            of = [conversation.id for conversation in found]
            people = (await connection.execute(_participants_of(of))).all()
            sums = {row.conversation: fields(row) for row in (await connection.execute(_sums_of(of))).all()}
        present: dict[str, list[Participant]] = {one: [] for one in of}
        for row in people:
            present[row.conversation].append(participant_of(row))
        return [_overview(one, present[one.id], sums.get(one.id, {})) for one in found]

    async def recordings(self, search: RecordingSearch) -> list[RecordingRow]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(_recordings(search))).all()
        return [msgspec.convert(fields(row), RecordingRow) for row in rows]

    async def recording(self, recording: str) -> RecordingRow:
        """404 not_found where there is no such recording."""
        async with self._database.reading() as connection:
            row = (
                await connection.execute(select(recordings).where(recordings.c.id == recording))
            ).one_or_none()
        if row is None:
            raise not_found("recording")
        return msgspec.convert(fields(row), RecordingRow)

    async def around(
        self, rows: list[RecordingRow]
    ) -> tuple[dict[str, Conversation], dict[str, list[Participant]], dict[str, list[RecordingAttempt]]]:
        """Conversations and participants by conversation, and attempts by recording: of a page at once."""
        of = sorted({row.conversation for row in rows})
        queries: tuple[Select[Any], ...] = (
            select(conversations).where(conversations.c.id.in_(of)),
            _participants_of(of),
            select(attempts)
            .where(attempts.c.recording.in_([row.id for row in rows]))
            .order_by(attempts.c.recording, attempts.c.number),
        )
        async with self._database.reading() as connection:
            known, people, tries = [(await connection.execute(query)).all() for query in queries]
        by_conversation: dict[str, list[Participant]] = {one: [] for one in of}
        for row in people:
            by_conversation[row.conversation].append(participant_of(row))
        by_recording: dict[str, list[RecordingAttempt]] = {row.id: [] for row in rows}
        for row in tries:
            by_recording[row.recording].append(msgspec.convert(fields(row), RecordingAttempt))
        return {row.id: conversation_of(row) for row in known}, by_conversation, by_recording


def _participants_of(conversations_: list[str]) -> Select[Any]:
    c = participants.c
    return select(participants).where(c.conversation.in_(conversations_)).order_by(c.id)


def _sums_of(conversations_: list[str]) -> Select[Any]:
    c = recordings.c
    over = (RecordingState.AVAILABLE, RecordingState.FAILED)
    return (
        select(
            c.conversation,
            func.count().label("recordings"),
            func.sum(case((c.state.in_(over), 0), else_=1)).label("recordings_running"),
            func.sum(case((c.state == RecordingState.FAILED, 1), else_=0)).label("recordings_failed"),
            func.coalesce(func.sum(c.duration_s), 0.0).label("recorded_s"),
        )
        .where(c.conversation.in_(conversations_))
        .group_by(c.conversation)
    )


def _overview(
    conversation: Conversation, present: list[Participant], sums: dict[str, Any]
) -> ConversationOverview:
    return ConversationOverview(
        id=conversation.id,
        conversation=conversation,
        participants=present,
        recordings=sums.get("recordings", 0),
        recordings_running=sums.get("recordings_running", 0),
        recordings_failed=sums.get("recordings_failed", 0),
        recorded_s=sums.get("recorded_s", 0.0),
    )


def _conversations(search: ConversationSearch) -> Select[Any]:
    c, query = conversations.c, select(conversations)
    ordered: ColumnElement[Any] = c.id
    for term in _terms(search):
        found = search_terms.alias()
        query = query.join(found, (found.c.conversation == c.id) & (found.c.term == term))
        ordered = found.c.conversation  # the order of the index that the page is read from
    if search.account is not None:
        query = query.where(c.account == search.account)
    if search.external_id is not None:
        query = query.where(c.external_id == search.external_id)
    if search.state is not None:
        running = c.ended_at.is_(None)
        query = query.where(running if search.state is ConversationState.RUNNING else ~running)
    query = _between(query, "conv", ordered, c.created_at, search.created_from, search.created_until)
    return _page(query, ordered, search.after, search.limit, newest_first=search.newest_first)


def _recordings(search: RecordingSearch) -> Select[Any]:
    c, query = recordings.c, select(recordings)
    if search.account is not None:
        query = query.join(conversations, conversations.c.id == c.conversation)
        query = query.where(conversations.c.account == search.account)
    if search.conversation is not None:
        query = query.where(c.conversation == search.conversation)
    if search.state is not None:
        query = query.where(c.state == search.state)
    query = _between(query, "rec", c.id, c.requested_at, search.requested_from, search.requested_until)
    return _page(query, c.id, search.after, search.limit, newest_first=search.newest_first)


def _between(
    query: Select[Any],
    prefix: str,
    identity: ColumnElement[Any],
    at: ColumnElement[Any],
    first: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    if first is not None:
        query = query.where(at >= first, identity >= first_id(prefix, _ms(first - CLOCK_SLACK)))
    if until is not None:
        query = query.where(at < until, identity < first_id(prefix, _ms(until + CLOCK_SLACK)))
    return query


def _page(
    query: Select[Any], identity: ColumnElement[Any], after: str | None, limit: int, *, newest_first: bool
) -> Select[Any]:
    if after is not None:
        query = query.where(identity < after if newest_first else identity > after)
    return query.order_by(identity.desc() if newest_first else identity).limit(limit)


def _terms(search: ConversationSearch) -> Iterable[str]:
    if search.participant is not None:
        yield participant_term(search.participant)
    if search.metadata is not None:
        yield metadata_term(*search.metadata)


def _ms(when: datetime) -> int:
    return max(0, round(when.timestamp() * 1000))
