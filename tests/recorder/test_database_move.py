"""The way from SQLite to PostgreSQL, and what is said where it was not taken."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from recorder.cli import main
from recorder.database import ConversationTable, Database, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.move import NUMBERED, ROWS_AT_ONCE, check_moved, move
from recorder.database.schema import metadata
from recorder.database.webhook_schema import webhook_events, webhooks
from recorder.kernel.errors import BystanderError
from recorder.node.data_directory import open_data_directory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.webhooks.sealing import SecretSeal
from tests.recorder.test_database import NOW, conversation, row
from tests.support.postgres import Cluster


def event(number: int, of: str) -> dict[str, object]:
    told: dict[str, object] = {"account": "a", "conversation": of, "type": "t", "occurred_at": NOW}
    return {**told, "id": f"evt_{number}", "data": {}}


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory whose database has more rows than are copied at once, and a sealed secret."""
    opened = open_data_directory(tmp_path)
    database = Database(sqlite_url(opened.database))
    await database.open()
    kept = conversation(metadata={"case": "17"})
    await ConversationTable(database).add(kept)
    recordings = RecordingTable(database)
    await recordings.add(row(kept, bytes=2**40, started_at=NOW))
    seal = SecretSeal(EntryPointSecrets(opened.secret()).seals())
    events = [event(number, kept.id) for number in range(ROWS_AT_ONCE + 1)]
    webhook = {
        "id": "wh_1",
        "account": "a",
        "url": "https://x",
        "events": ["t"],
        "secret": seal.seal("whsec_1"),
        "created_at": NOW,
    }
    async with database.writing() as connection:
        await connection.execute(insert(webhook_events), events)
        await connection.execute(insert(webhooks), [webhook])
        await connection.execute(webhook_events.delete().where(webhook_events.c.id == events[-1]["id"]))
    await database.close()
    os.close(opened.lock)  # as the end of the process that held it
    return tmp_path


def variables(monkeypatch: pytest.MonkeyPatch, data: Path, url: str) -> None:
    monkeypatch.setenv("BYSTANDER_SERVER__DATA_DIR", str(data))
    monkeypatch.setenv("BYSTANDER_SERVER__DATABASE_URL", url)
    monkeypatch.chdir(data)


async def counts(database: Database) -> dict[str, int]:
    async with database.reading() as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }


async def test_everything_is_there_and_counting_goes_on(
    data: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    variables(monkeypatch, data, url)
    assert await asyncio.to_thread(main, ["database", "move"]) == 0
    assert not (data / "bystander.db").exists()
    before, after = Database(sqlite_url(data / "bystander.db.moved")), Database(url)
    assert await counts(after) == await counts(before)
    (kept,) = await ConversationTable(after).list(after=None, limit=2)
    assert (kept.metadata, kept.created_at) == ({"case": "17"}, NOW)
    (recorded,) = await RecordingTable(after).of(kept.id)
    assert (recorded.bytes, recorded.started_at) == (2**40, NOW)
    async with after.writing() as connection:
        assert (await connection.execute(select(webhooks.c.secret))).scalar_one() == "whsec_1"
        more = {
            "id": "evt",
            "account": "a",
            "conversation": kept.id,
            "type": "t",
            "occurred_at": NOW,
            "data": {},
        }
        given = await connection.execute(insert(webhook_events).values(more))
        assert given.inserted_primary_key is not None
        assert given.inserted_primary_key[0] == ROWS_AT_ONCE + 2  # one was deleted
    await before.close()
    await after.close()


async def test_only_an_empty_database_is_moved_into(data: Path, database: Database) -> None:
    await ConversationTable(database).add(conversation())
    source = Database(sqlite_url(data / "bystander.db"))
    with pytest.raises(BystanderError, match="database_not_empty"):
        await move(source, database, str)
    await source.close()


def test_there_is_nothing_to_move_into(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables(monkeypatch, data, "sqlite:///other.db")
    assert main(["database", "move"]) == 2
    assert "names no PostgreSQL" in capsys.readouterr().err


async def test_an_empty_database_beside_a_filled_one_is_refused(data: Path, postgres: Cluster) -> None:
    database = Database(await asyncio.to_thread(postgres.new_database))
    await database.open()
    file = data / "bystander.db"
    with pytest.raises(BystanderError, match="database_not_moved") as error:
        await check_moved(database, file)
    assert str(file) in error.value.detail
    assert "bystander database move" in error.value.detail
    await check_moved(database, data / "none.db")
    await ConversationTable(database).add(conversation())
    await check_moved(database, file)  # of another node: it goes on
    await database.close()


def test_all_that_is_numbered_goes_on() -> None:
    numbered = {table for table in metadata.sorted_tables if table.dialect_options["sqlite"]["autoincrement"]}
    assert numbered == set(NUMBERED)


async def test_a_database_of_a_later_release_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    database = Database(sqlite_url(file))
    await database.open()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(BystanderError, match="database_newer") as error:
        await database.open()
    assert str(file) in error.value.detail
    await database.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    file.write_bytes(b"no database" * 1000)
    database = Database(sqlite_url(file))
    with pytest.raises(BystanderError, match="database_failed") as error:
        await database.open()
    assert str(file) in error.value.detail
    await database.close()


def test_where_a_database_is_says_no_password() -> None:
    database = Database("postgresql://u:hidden@db.example/calls?password=hidden")
    assert "db.example" in database.place
    assert "hidden" not in database.place
