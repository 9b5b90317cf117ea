"""Migrations on databases that have rows: what an earlier release kept is there afterwards, on both kinds."""

from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

import recorder.database.audit_schema
import recorder.database.supervision_schema  # noqa: F401
from recorder.database import ConversationTable, Database, RecordingTable
from recorder.database.schema import metadata
from recorder.database.supervisions import SupervisionTable
from recorder.kernel.conversation import DEFAULT_ACCOUNT
from recorder.kernel.ids import new_id
from recorder.kernel.recording import RecordingState

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def conversation() -> str:
    return new_id("conv")


async def first_release(database: Database, conversation: str) -> str:
    """A database of the first release with a conversation and its recording."""
    await database.migrate(command.upgrade, "0001")
    recording = new_id("rec")
    async with database.writing() as connection:
        await connection.execute(
            text("INSERT INTO conversations (id, metadata, created_at) VALUES (:id, '{}', :now)").bindparams(
                id=conversation, now=NOW
            )
        )
        await connection.execute(
            text(
                "INSERT INTO recordings"
                " (id, conversation, number, type, state, object_key, filename, requested_at)"
                " VALUES (:id, :of, 1, 'AUDIO', 'AVAILABLE', 'k', 'f.mp4', :now)"
            ).bindparams(id=recording, of=conversation, now=NOW)
        )
    return recording


async def test_rows_of_the_first_release_are_there_after_all_migrations(
    database_url: str, conversation: str
) -> None:
    database = Database(database_url)
    recording = await first_release(database, conversation)
    await database.open()
    kept = await ConversationTable(database).get(conversation)
    assert (kept.account, kept.created_at) == (DEFAULT_ACCOUNT, NOW)
    assert (await RecordingTable(database).get(recording)).state is RecordingState.AVAILABLE
    async with database.reading() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []
    await database.close()


async def test_every_migration_can_be_taken_back(database_url: str, conversation: str) -> None:
    """And takes no row with it that the first release knew, although SQLite drops tables on the way."""
    database = Database(database_url)
    recording = await first_release(database, conversation)
    await database.open()
    await database.migrate(command.downgrade, "0001")
    await database.open()
    assert (await RecordingTable(database).get(recording)).conversation == conversation
    await database.migrate(command.downgrade, "base")
    await database.open()
    assert await ConversationTable(database).list(after=None, limit=1) == []
    await database.close()


async def test_what_runs_at_the_release_before_nodes_is_of_whoever_looks(
    database_url: str, conversation: str
) -> None:
    """And is there when the migration was taken back."""
    database = Database(database_url)
    recording = await first_release(database, conversation)
    await database.migrate(command.upgrade, "0006")
    async with database.writing() as connection:
        await connection.execute(text("UPDATE recordings SET state = 'RECORDING'"))
        await connection.execute(
            text(
                "INSERT INTO supervisions (conversation, supervision, changed_at) VALUES (:of, :kept, :now)"
            ),
            {"of": conversation, "kept": b"\x80", "now": NOW},
        )
    for _ in range(2):
        await database.open()
        table = RecordingTable(database)
        for node in ("n1", "n2"):
            assert [row.id for row in await table.unfinished(node)] == [recording]
            assert await SupervisionTable(database, node).kept() == [conversation]
        await table.take_over(recording, "n1")
        assert await table.unfinished("n2") == []
        assert await SupervisionTable(database, "n2").kept() == []
        await database.migrate(command.downgrade, "0006")
    await database.close()


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    database_url: str, conversation: str
) -> None:
    """Also the pragmas of the connection that it was tried on."""
    database = Database(database_url)
    recording = await first_release(database, conversation)

    def fails(config: Config, revision: str) -> None:
        command.upgrade(config, revision)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.migrate(fails, "head")
    async with database.reading() as connection:
        kept = (await connection.execute(text("SELECT id FROM recordings"))).scalars().all()
        assert kept == [recording]
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == "0001"
        if not database.is_shared:
            assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await database.close()
