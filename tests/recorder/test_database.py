"""The database, on SQLite and PostgreSQL: migrated to exactly the schema, and nothing half done."""

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text

from recorder.database import ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.keys import token_hash
from recorder.database.schema import conversations, metadata
from recorder.database.supervisions import Change, SupervisionTable
from recorder.kernel.conversation import (
    Conversation,
    Interaction,
    InteractionKind,
    InteractionState,
    LayerKind,
    Participant,
    Role,
)
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.kernel.recording import EndReason, RecordingState, RecordingType
from recorder.supervision.state_machine import Stage, Supervision, encoded
from tests.support.postgres import Cluster

NOW = datetime(2026, 11, 20, 12, 30, 15, 123456, tzinfo=UTC)


def conversation(**fields: object) -> Conversation:
    return Conversation(id=new_id("conv"), created_at=NOW, **fields)  # type: ignore[arg-type]


def row(of: Conversation, **fields: object) -> RecordingRow:
    known = {"number": 1, "type": RecordingType.AUDIO, "state": RecordingState.REQUESTED, **fields}
    return RecordingRow(
        id=new_id("rec"),
        conversation=of.id,
        object_key="k.mp4",
        filename="f.mp4",
        requested_at=NOW,
        **known,  # type: ignore[arg-type]
    )


class TestMigrations:
    async def test_give_exactly_the_schema(self, database: Database) -> None:
        async with database.reading() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
            )
        assert differences == []

    async def test_run_again_and_change_nothing(self, database: Database) -> None:
        table = ConversationTable(database)
        kept = conversation()
        await table.add(kept)
        await database.open()
        assert await table.get(kept.id) == kept

    async def test_wait_for_those_of_another_server(self, database_url: str) -> None:
        servers = [Database(database_url) for _ in range(3 if "postgresql" in database_url else 1)]
        await asyncio.gather(*(server.open() for server in servers))
        for server in servers:
            assert await ConversationTable(server).list(after=None, limit=1) == []
            await server.close()

    async def test_sqlite_is_in_wal_mode_and_minds_foreign_keys(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path / "own.db"))
        async with database.reading() as connection:
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
            assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
        await database.close()


class TestReaching:
    @pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "no url with a secret"])
    async def test_a_url_that_is_none_of_ours_is_refused_without_repeating_it(self, url: str) -> None:
        with pytest.raises(BystanderError, match=r"server\.database_url") as error:
            Database(url)
        assert error.value.code == "invalid_settings"
        assert "secret" not in error.value.detail

    async def test_a_database_that_was_restarted_is_met_by_no_request(self, postgres: Cluster) -> None:
        name = await asyncio.to_thread(postgres.new_database)
        database = Database(name)
        await database.open()
        await asyncio.to_thread(postgres.break_connections)
        assert await ConversationTable(database).list(after=None, limit=1) == []
        await database.close()

    @pytest.mark.parametrize("lost", ["port", "database"])
    async def test_a_database_that_is_not_there_is_a_refusal(self, postgres: Cluster, lost: str) -> None:
        url = {"port": "postgresql://u@127.0.0.1:1/d", "database": postgres.url("none")}[lost]
        database = Database(url)
        with pytest.raises(BystanderError) as error:
            await database.open()
        assert (error.value.code, error.value.status) == ("database_failed", 503)
        await database.close()


class TestConversations:
    async def test_come_back_as_they_were(self, database: Database) -> None:
        table = ConversationTable(database)
        kept = conversation(external_id="case-1", template="t", metadata={"ä": "'; DROP TABLE"})
        await table.add(kept)
        assert await table.get(kept.id) == kept

    async def test_times_come_back_as_utc(self, database: Database) -> None:
        table = ConversationTable(database)
        elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
        kept = Conversation(id=new_id("conv"), created_at=elsewhere)
        await table.add(kept)
        found = (await table.get(kept.id)).created_at
        assert found == NOW
        assert found.utcoffset() == timedelta(0)

    async def test_are_listed_by_age_page_by_page(self, database: Database) -> None:
        table = ConversationTable(database)
        kept = sorted((conversation() for _ in range(5)), key=lambda one: one.id)
        for one in reversed(kept):
            await table.add(one)
        assert await table.list(after=None, limit=2) == kept[:2]
        assert await table.list(after=kept[1].id, limit=10) == kept[2:]

    async def test_end_once_with_what_runs_in_them(self, database: Database) -> None:
        table, kept = ConversationTable(database), conversation()
        await table.add(kept)
        layer = Interaction(
            id=new_id("int"),
            conversation=kept.id,
            kind=InteractionKind.COLLABORATION_LAYER,
            layer=LayerKind.DOCUMENT,
            started_at=NOW,
        )
        supervisions = SupervisionTable(database, "n1")
        await supervisions.write(kept, Change(supervision=None, began=layer), NOW)
        await table.end(kept.id, NOW)
        assert (await table.end(kept.id, NOW + timedelta(hours=1))).ended_at == NOW
        ended = await supervisions.interaction(kept.id, layer.id)
        assert (ended.ended_at, ended.layer, ended.state) == (NOW, LayerKind.DOCUMENT, InteractionState.ENDED)

    async def test_are_deleted_with_everything_in_them(self, database: Database) -> None:
        table, recordings, kept = ConversationTable(database), RecordingTable(database), conversation()
        await table.add(kept)
        recording = row(kept)
        await recordings.add(recording)
        person = Participant(id=new_id("part"), conversation=kept.id, role=Role.AGENT, name="Ada")
        await table.add_participant(person, token_hash("t"), NOW, NOW + timedelta(hours=1))
        assert await table.participant_with(token_hash("t")) == (person, NOW + timedelta(hours=1))
        await table.delete(kept.id)
        assert await table.participant_with(token_hash("t")) is None
        for gone in (table.get(kept.id), recordings.get(recording.id), table.delete(kept.id)):
            with pytest.raises(BystanderError, match="not_found"):
                await gone


class TestRecordings:
    async def test_come_back_as_they_were_saved(self, database: Database) -> None:
        table, of = RecordingTable(database), conversation()
        await ConversationTable(database).add(of)
        first = row(of)
        await table.add(first)
        ended = row(of, state=RecordingState.FAILED, end_reason=EndReason.ABORT_SYSTEM, bytes=2**40)
        await table.add(ended)
        assert await table.get(ended.id) == ended
        assert await table.unfinished("n1") == [first]
        assert await table.count_of(of.id) == 2

    async def test_are_taken_up_by_their_node_and_what_has_none_by_any(self, database: Database) -> None:
        table, of = RecordingTable(database), conversation()
        await ConversationTable(database).add(of)
        ours, theirs, nobodys = row(of, node="n1"), row(of, node="n2"), row(of)
        for one in (ours, theirs, nobodys):
            await table.add(one)
        await table.add(row(of, node="n1", state=RecordingState.AVAILABLE))
        assert {one.id for one in await table.unfinished("n1")} == {ours.id, nobodys.id}
        assert {one.id for one in await table.unfinished("n2")} == {theirs.id, nobodys.id}

    async def test_change_hands_by_a_takeover_alone_and_with_their_supervision(
        self, database: Database
    ) -> None:
        table, of, other = RecordingTable(database), conversation(), conversation()
        first, second = (SupervisionTable(database, node) for node in ("n1", "n2"))
        for one in (of, other):
            await ConversationTable(database).add(one)
            await first.write(one, Change(supervision=encoded(Supervision(stage=Stage.RECORDING))), NOW)
        lost = row(of, node="n1")
        await table.add(lost)
        assert (set(await first.kept()), await second.kept()) == ({of.id, other.id}, [])
        await table.take_over(lost.id, "n2")
        await table.save(lost)  # the lost node's late word
        assert (await table.get(lost.id)).node == "n2"
        assert (await first.kept(), await second.kept()) == ([other.id], [of.id])

    async def test_belong_to_a_conversation(self, database: Database) -> None:
        with pytest.raises(BystanderError, match="database_failed"):
            await RecordingTable(database).add(row(conversation()))


class TestTransactions:
    async def test_leave_nothing_half_done(self, database: Database) -> None:
        with pytest.raises(RuntimeError):
            async with database.writing() as connection:
                await connection.execute(insert(conversations).values(id="c", metadata={}, created_at=NOW))
                raise RuntimeError
        assert await ConversationTable(database).list(after=None, limit=10) == []

    async def test_writers_wait_for_each_other(self, database: Database) -> None:
        table = ConversationTable(database)
        many = [conversation() for _ in range(40)]
        await asyncio.gather(*(table.add(one) for one in many))
        assert len(await table.list(after=None, limit=100)) == 40


async def test_a_closed_connection_keeps_no_lock(migrated_file: Path, tmp_path: Path) -> None:
    """As one is closed whose task was cancelled, while a traceback keeps a cursor: SQLite has one lock."""
    shutil.copyfile(migrated_file, tmp_path / "b.db")
    database = Database(sqlite_url(tmp_path / "b.db"))
    with contextlib.suppress(BystanderError):
        async with database.writing() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            unread = await driver.execute("SELECT name FROM sqlite_master")
            await connection.invalidate()
    await ConversationTable(database).add(conversation())
    assert unread is not None
    await database.close()
