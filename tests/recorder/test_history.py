"""Messages, search, usage and consent, on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from sqlalchemy import insert

from recorder.database import Attempt, ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.consents import ConsentTable
from recorder.database.history import HistoryTable
from recorder.database.idempotency import IdempotencyTable
from recorder.database.messages import MessageTable
from recorder.database.schema import conversations
from recorder.database.settings import SettingsTable
from recorder.database.usage import UsageTable
from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Conversation, Participant, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.history import ConversationSearch, ConversationState, RecordingSearch, UsagePeriod
from recorder.kernel.ids import new_id
from recorder.kernel.message import ConsentAnswer, MessageKind
from recorder.kernel.recording import RecordingState, RecordingType
from recorder.services.conversation.consent import ConsentRequirement, Consents
from recorder.services.conversation.conversation_terms import EffectiveTerms
from recorder.services.conversation.messages import Messages
from recorder.services.effective_settings import ScopedSettings
from recorder.services.idempotency import IdempotencyStore
from recorder.settings.definitions import Settings
from recorder.settings.scopes import Scope
from signaling.ports import Caller, IdempotencyResponse

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Archive:
    """Everything that history is made of, on one database."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock(utc=NOON)
        self.conversations = ConversationTable(database)
        self.recordings = RecordingTable(database)
        self.history = HistoryTable(database)
        self.usage = UsageTable(database)
        self.settings = ScopedSettings(Settings(), SettingsTable(database), self.clock)
        terms = EffectiveTerms(self.settings, self.conversations)
        self.messages = Messages(MessageTable(database), self.conversations, terms, self.clock)
        answers = ConsentTable(database)
        self.requirement = ConsentRequirement(answers, terms)
        self.consents = Consents(
            answers,
            self.conversations,
            self.requirement,
            self.clock,
            stop_taking=AsyncMock(),
            record=AsyncMock(),
        )

    async def conversation(self, **fields: Any) -> Conversation:
        """Made now, on this archive's clock, a millisecond after the one before."""
        self.clock.advance(0.001)
        now = self.clock.utc_now()
        identity = new_id("conv", now_ms=round(now.timestamp() * 1000))
        made = Conversation(id=identity, created_at=now, **fields)
        await self.conversations.add(made)
        return made

    async def participant(self, of: Conversation, role: Role = Role.AGENT, name: str = "Ada") -> Participant:
        made = Participant(id=new_id("part"), conversation=of.id, role=role, name=name)
        later = NOON + timedelta(hours=1)
        await self.conversations.add_participant(made, new_id("hash"), NOON, later)
        return made

    async def recording(self, of: Conversation, **fields: Any) -> RecordingRow:
        self.clock.advance(0.001)
        now = self.clock.utc_now()
        row = RecordingRow(
            id=new_id("rec", now_ms=round(now.timestamp() * 1000)),
            conversation=of.id,
            number=1,
            object_key="k.mp4",
            filename="f.mp4",
            requested_at=now,
            **{"type": RecordingType.AUDIO, "state": RecordingState.REQUESTED, **fields},
        )
        await self.recordings.add(row)
        return row

    async def found(self, **search: Any) -> list[str]:
        return [one.id for one in await self.history.conversations(ConversationSearch(**search))]

    async def kinds(self, caller: Caller, of: Conversation) -> list[MessageKind]:
        listed = await self.messages.list(caller, of.id, after=None, limit=100)
        return [one.kind for one in listed]


@pytest.fixture
def archive(database: Database) -> Archive:
    return Archive(database)


class TestOverviews:
    async def test_say_who_took_part_and_how_much_was_recorded(self, archive: Archive) -> None:
        quiet, recorded = await archive.conversation(), await archive.conversation(account="north")
        await archive.participant(recorded, Role.VISITOR, "Blaise")
        await archive.participant(recorded, Role.AGENT, "Ada")
        await archive.recording(recorded, state=RecordingState.AVAILABLE, duration_s=61.5)
        await archive.recording(recorded, state=RecordingState.FAILED)
        await archive.recording(recorded, state=RecordingState.RECORDING)
        first, second = await archive.history.overviews(ConversationSearch(newest_first=True))
        assert (first.id, [one.name for one in first.participants]) == (recorded.id, ["Blaise", "Ada"])
        assert (first.recordings, first.recordings_running, first.recordings_failed) == (3, 1, 1)
        assert first.recorded_s == 61.5
        assert (second.conversation, second.participants, second.recordings) == (quiet, [], 0)
        only = await archive.history.overviews(ConversationSearch(account="north"))
        assert [one.id for one in only] == [recorded.id]

    async def test_recordings_are_found_by_their_conversation(self, archive: Archive) -> None:
        of, other = await archive.conversation(), await archive.conversation()
        mine = await archive.recording(of)
        await archive.recording(other)
        search = RecordingSearch(conversation=of.id)
        assert [row.id for row in await archive.history.recordings(search)] == [mine.id]


class TestMessages:
    async def test_stand_in_their_order_with_recordings_at_their_place(self, archive: Archive) -> None:
        of = await archive.conversation()
        ada = Caller(await archive.participant(of))
        row = await archive.recording(of)
        await archive.messages.say(ada, of.id, text="before", participant=None)
        row = row_with(row, state=RecordingState.RECORDING, started_at=NOON)
        await archive.recordings.save(row)
        await archive.messages.say(ada, of.id, text="while", participant=None)
        row = row_with(row, state=RecordingState.FINALIZING, ended_at=NOON + timedelta(minutes=1))
        await archive.recordings.save(row)
        await archive.messages.say(ada, of.id, text="after", participant=None)
        row = row_with(row, state=RecordingState.AVAILABLE)
        await archive.recordings.save(row)
        await archive.recordings.save(row)  # once more changes nothing
        listed = await archive.messages.list(ada, of.id, after=None, limit=100)
        assert [one.text or str(one.kind) for one in listed] == [
            "before",
            "RECORDING_STARTED",
            "while",
            "RECORDING_ENDED",
            "after",
            "RECORDING_AVAILABLE",
        ]
        assert {one.recording for one in listed if one.kind is not MessageKind.CHAT} == {row.id}
        page = await archive.messages.list(ada, of.id, after=listed[1].id, limit=2)
        assert page == listed[2:4]

    async def test_of_recordings_are_for_the_roles_that_may_see_them(self, archive: Archive) -> None:
        of = await archive.conversation()
        callers = {role: Caller(await archive.participant(of, role, role)) for role in Role}
        row = await archive.recording(of)
        over = {"started_at": NOON, "ended_at": NOON, "state": RecordingState.AVAILABLE}
        await archive.recordings.save(row_with(row, **over))
        announced = [MessageKind.RECORDING_STARTED, MessageKind.RECORDING_ENDED]
        whole = [*announced, MessageKind.RECORDING_AVAILABLE]
        for role, caller in callers.items():
            sees = role in (Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR)
            assert await archive.kinds(caller, of) == (whole if sees else announced), role
        assert await archive.kinds(Caller(), of) == whole
        hidden = {"recording.visible_to": ["VISITOR"], "recording.banner": False}
        await archive.settings.say(Scope.ACCOUNT, "default", hidden)
        for role, caller in callers.items():
            assert await archive.kinds(caller, of) == (whole if role is Role.VISITOR else []), role

    async def test_nobody_but_who_may_see_it_is_told_where_nothing_is_announced(
        self, archive: Archive
    ) -> None:
        of = await archive.conversation()
        row = await archive.recording(of)
        await archive.recordings.save(row_with(row, started_at=NOON, state=RecordingState.RECORDING))
        await archive.settings.say(Scope.ACCOUNT, "default", {"recording.consent": "none"})
        visitor = Caller(await archive.participant(of, Role.VISITOR))
        agent = Caller(await archive.participant(of, Role.AGENT))
        assert await archive.kinds(visitor, of) == []
        assert await archive.kinds(agent, of) == [MessageKind.RECORDING_STARTED]

    async def test_are_said_in_ones_own_name_while_the_conversation_runs(self, archive: Archive) -> None:
        of = await archive.conversation()
        ada, bob = await archive.participant(of), await archive.participant(of, name="Bob")
        said = await archive.messages.say(Caller(), of.id, text="a", participant=bob.id)
        assert (said.participant, said.name) == (bob.id, "Bob")
        with pytest.raises(BystanderError, match="forbidden"):
            await archive.messages.say(Caller(ada), of.id, text="a", participant=bob.id)
        with pytest.raises(BystanderError, match="not_found"):
            await archive.messages.say(Caller(), of.id, text="a", participant="part_of_another")
        await archive.conversations.end(of.id, NOON)
        with pytest.raises(BystanderError, match="conversation_ended"):
            await archive.messages.say(Caller(ada), of.id, text="a", participant=None)

    async def test_go_with_their_conversation(self, archive: Archive) -> None:
        of = await archive.conversation(metadata={"case": "1"})
        ada = await archive.participant(of)
        await archive.messages.say(Caller(ada), of.id, text="a", participant=None)
        await archive.consents.answer(Caller(ada), of.id, ada.id, ConsentAnswer.AGREED)
        await archive.conversations.delete(of.id)
        assert await archive.found(metadata=("case", "1")) == []
        with pytest.raises(BystanderError, match="not_found"):
            await archive.messages.list(Caller(), of.id, after=None, limit=1)


def row_with(row: RecordingRow, **fields: Any) -> RecordingRow:
    return msgspec.structs.replace(row, **fields)


class TestSearch:
    async def test_by_everything(self, archive: Archive) -> None:
        first = await archive.conversation(external_id="x", metadata={"case": "1", "b": ""})
        second = await archive.conversation(account="a", metadata={"case": "1"})
        third = await archive.conversation(account="a", external_id="x")
        ada = await archive.participant(second, name="Ada Lovelace")
        await archive.participant(second, name="ada lovelace", role=Role.VISITOR)
        await archive.participant(third, name="ÄSOP")
        await archive.conversations.end(first.id, NOON)
        everything = [first.id, second.id, third.id]
        assert await archive.found() == everything
        assert await archive.found(newest_first=True) == everything[::-1]
        assert await archive.found(account="a") == [second.id, third.id]
        assert await archive.found(external_id="x") == [first.id, third.id]
        assert await archive.found(metadata=("case", "1")) == [first.id, second.id]
        assert await archive.found(metadata=("b", "")) == [first.id]
        assert await archive.found(metadata=("case", "2")) == []
        assert await archive.found(participant="ADA LOVELACE") == [second.id]
        assert await archive.found(participant=ada.id) == [second.id]
        assert await archive.found(participant="äsop") == [third.id]
        assert await archive.found(participant="ada") == []
        assert await archive.found(state=ConversationState.RUNNING) == [second.id, third.id]
        assert await archive.found(state=ConversationState.ENDED) == [first.id]
        assert await archive.found(created_from=second.created_at) == [second.id, third.id]
        assert await archive.found(created_until=second.created_at) == [first.id]
        assert await archive.found(metadata=("case", "1"), participant=ada.id, account="a") == [second.id]

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_by_pages_sees_everything_once(self, archive: Archive, newest_first: bool) -> None:
        made = [(await archive.conversation(metadata={"k": "v"})).id for _ in range(7)]
        seen: list[str] = []
        while page := await archive.found(
            metadata=("k", "v"), after=seen[-1] if seen else None, limit=3, newest_first=newest_first
        ):
            seen += page
        assert seen == (made[::-1] if newest_first else made)

    async def test_the_newest_of_many_are_on_the_first_page(
        self, archive: Archive, database: Database
    ) -> None:
        rows = [{"id": new_id("conv", now_ms=n), "metadata": {}, "created_at": NOON} for n in range(2_500)]
        newest = [str(row["id"]) for row in reversed(rows)]
        async with database.writing() as connection:
            await connection.execute(insert(conversations), rows)
        seen: list[str] = []
        while page := await archive.found(after=seen[-1] if seen else None, limit=100, newest_first=True):
            seen += page
            assert seen == newest[: len(seen)]
        assert len(seen) == len(rows)

    async def test_recordings_come_with_what_stands_around_them(self, archive: Archive) -> None:
        of, other = await archive.conversation(account="a"), await archive.conversation()
        ada = await archive.participant(of)
        first = await archive.recording(of, state=RecordingState.FAILED)
        second = await archive.recording(other)
        for number in (1, 2):
            await archive.recordings.attempted(Attempt(recording=first.id, number=number, launched_at=NOON))
        await archive.recordings.attempt_ended(first.id, 1, failure="worker_died")
        rows = await archive.history.recordings(RecordingSearch())
        assert [row.id for row in rows] == [first.id, second.id]
        conversations, participants, attempts = await archive.history.around(rows)
        assert conversations == {of.id: of, other.id: other}
        assert participants == {of.id: [ada], other.id: []}
        assert [(one.number, one.failure) for one in attempts[first.id]] == [(1, "worker_died"), (2, None)]
        for search, found in (
            (RecordingSearch(account="a"), [first.id]),
            (RecordingSearch(state=RecordingState.REQUESTED), [second.id]),
            (RecordingSearch(requested_from=second.requested_at), [second.id]),
            (RecordingSearch(requested_until=second.requested_at), [first.id]),
            (RecordingSearch(newest_first=True, limit=1), [second.id]),
        ):
            assert [row.id for row in await archive.history.recordings(search)] == found


class TestUsage:
    async def test_is_summed_by_account_and_period_of_utc(self, archive: Archive) -> None:
        of, other = await archive.conversation(account="a"), await archive.conversation(account="b")
        midnight = datetime(2026, 4, 1, tzinfo=UTC)
        for conversation, started_at in (
            (of, midnight - timedelta(seconds=1)),
            (of, midnight),
            (of, midnight + timedelta(days=1)),
            (other, midnight),
            (other, midnight + timedelta(days=60)),
        ):
            await archive.recording(conversation, started_at=started_at, duration_s=90.0, bytes=10)
        await archive.recording(of)  # never began
        span = {"first": midnight - timedelta(days=1), "until": midnight + timedelta(days=30)}
        months = await archive.usage.of(account=None, by=UsagePeriod.MONTH, **span)
        assert [(row.account, row.period, row.recordings, row.minutes, row.bytes) for row in months] == [
            ("a", "2026-03-01", 1, 1.5, 10),
            ("a", "2026-04-01", 2, 3.0, 20),
            ("b", "2026-04-01", 1, 1.5, 10),
        ]
        days = await archive.usage.of(account="a", by=UsagePeriod.DAY, **span)
        assert [row.period for row in days] == ["2026-03-31", "2026-04-01", "2026-04-02"]


class TestConsent:
    async def test_is_needed_where_people_are_asked(self, archive: Archive) -> None:
        of = await archive.conversation()
        ada, bob = await archive.participant(of), await archive.participant(of, name="Bob")
        await archive.requirement.require(of.id, ada.id)  # nobody is asked
        await archive.settings.say(Scope.CONVERSATION, of.id, {"recording.consent": "ask"})
        for who in (ada.id, "somebody else"):
            with pytest.raises(BystanderError, match="consent_required"):
                await archive.requirement.require(of.id, who)
        await archive.consents.answer(Caller(ada), of.id, ada.id, ConsentAnswer.AGREED)
        await archive.requirement.require(of.id, ada.id)
        with pytest.raises(BystanderError, match="consent_required"):
            await archive.requirement.require(of.id, bob.id)

    async def test_the_last_answer_counts_and_all_of_them_are_told(self, archive: Archive) -> None:
        of = await archive.conversation()
        ada = await archive.participant(of)
        await archive.settings.say(Scope.CONVERSATION, of.id, {"recording.consent": "ask"})
        await archive.consents.answer(Caller(), of.id, ada.id, ConsentAnswer.AGREED)
        await archive.consents.answer(Caller(ada), of.id, ada.id, ConsentAnswer.REFUSED)
        with pytest.raises(BystanderError, match="consent_required"):
            await archive.requirement.require(of.id, ada.id)
        assert [one.answer for one in await archive.consents.list(of.id)] == [ConsentAnswer.REFUSED]
        told = [MessageKind.CONSENT_GIVEN, MessageKind.CONSENT_REFUSED]
        assert await archive.kinds(Caller(), of) == told

    async def test_nobody_answers_for_somebody_else(self, archive: Archive) -> None:
        of = await archive.conversation()
        ada, bob = await archive.participant(of), await archive.participant(of, name="Bob")
        with pytest.raises(BystanderError, match="forbidden"):
            await archive.consents.answer(Caller(ada), of.id, bob.id, ConsentAnswer.AGREED)
        with pytest.raises(BystanderError, match="not_found"):
            await archive.consents.answer(Caller(), of.id, "part_other", ConsentAnswer.AGREED)


class TestKeptAnswers:
    async def test_are_given_again_for_a_day_and_bounded(self, database: Database) -> None:
        clock = ManualClock(utc=NOON)
        kept = IdempotencyStore(IdempotencyTable(database), clock, answers_max=2)
        await kept.put("one", IdempotencyResponse("f", b"1"), payer="x")
        assert await kept.get("one") == IdempotencyResponse("f", b"1")
        await kept.put("one", IdempotencyResponse("g", b"2"), payer="x")
        assert await kept.get("one") == IdempotencyResponse("g", b"2")
        assert await kept.get("two") is None
        clock.advance(86_400)
        assert await kept.get("one") == IdempotencyResponse("g", b"2")
        clock.advance(1)
        assert await kept.get("one") is None
        for number in range(5):
            clock.advance(1)
            await kept.put(str(number), IdempotencyResponse("f", b"x"), payer="x")
        await IdempotencyTable(database).sweep(before=NOON, most=2, most_of_each=3)
        left = [number for number in range(5) if await kept.get(str(number)) is not None]
        assert left == [3, 4]

    async def test_of_an_account_push_out_nobody_elses(self, database: Database) -> None:
        clock = ManualClock(utc=NOON)
        table = IdempotencyTable(database)
        kept = IdempotencyStore(table, clock)
        await kept.put("theirs", IdempotencyResponse("f", b"x"), payer="others")
        for number in range(9):
            clock.advance(1)
            await kept.put(str(number), IdempotencyResponse("f", b"x"), payer="greedy")
        await table.sweep(before=NOON, most=5, most_of_each=3)
        left = [name for name in ("theirs", *map(str, range(9))) if await kept.get(name) is not None]
        assert left == ["theirs", "6", "7", "8"]
