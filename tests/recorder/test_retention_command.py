"""`bystander retention` on a real store with object lock, and a real database, as an operator runs it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import msgspec
import pytest

from recorder.database import ConversationTable, Database, RecordingRow, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.kernel.conversation import Conversation
from recorder.kernel.ids import new_id
from recorder.kernel.recording import RecordingState, RecordingType
from storage.keys import keys_of
from storage.open_store import open_store
from storage.store import RECORDING_MARK, ObjectProperties
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ACCESS_KEY_ID, SECRET_ACCESS_KEY, ServerProcess, moto

DAYS = 30
LOCKING_BUCKET = "locking"
NOW = datetime.now(UTC)


@pytest.fixture
def store_server() -> Iterator[ServerProcess]:
    with moto() as server:
        session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1")
        client = session.client("s3", endpoint_url=server.endpoint)
        client.create_bucket(Bucket=LOCKING_BUCKET, ObjectLockEnabledForBucket=True)
        yield server


class Place:
    """A data directory without a server, its database, and a bucket."""

    def __init__(self, data_dir: Path, server: ServerProcess) -> None:
        self.data_dir = data_dir
        self.storage = s3_settings(server.endpoint, url=f"s3://{LOCKING_BUCKET}/calls")
        self.database = Database(sqlite_url(data_dir / "bystander.db"))
        self.conversation = Conversation(id=new_id("conv"), created_at=NOW)
        self.rows: dict[str, RecordingRow] = {}

    async def open(self) -> None:
        await self.database.open()
        await ConversationTable(self.database).add(self.conversation)

    async def record(self, name: str, age_days: float, *, over: bool = True, **lock: object) -> None:
        """A recording of this age: its row, its object and its events."""
        recording, ended = new_id("rec"), NOW - timedelta(days=age_days)
        row = RecordingRow(
            id=recording,
            conversation=self.conversation.id,
            number=len(self.rows) + 1,
            type=RecordingType.AUDIO,
            state=RecordingState.AVAILABLE if over else RecordingState.RECORDING,
            object_key=f"{self.conversation.id}/{recording}.mp4",
            filename=f"{name}.mp4",
            requested_at=ended,
            ended_at=ended if over else None,
        )
        self.rows[name] = row
        await RecordingTable(self.database).add(row)
        store = open_store(msgspec.structs.replace(self.storage, **lock))
        mark = ((RECORDING_MARK, recording),)
        for key in keys_of(row.object_key):
            await store.put(key, name.encode(), ObjectProperties("video/mp4", mark))
        await store.close()

    async def keys(self) -> set[str]:
        store = open_store(self.storage)
        try:
            return {info.key async for info in store.list_objects()}
        finally:
            await store.close()

    async def known(self) -> set[str]:
        """The names of recordings that the database has."""
        ids = {row.id for row in await RecordingTable(self.database).of(self.conversation.id)}
        return {name for name, row in self.rows.items() if row.id in ids}

    async def retention(self, *arguments: str) -> list[list[str]]:
        """Run the command; the words of its lines."""
        command = [sys.executable, "-m", "recorder", "retention", *arguments]
        command += ["--data-dir", str(self.data_dir), "--config", str(self.data_dir / "bystander.toml")]
        ran = await asyncio.to_thread(
            subprocess.run, command, env=os.environ | self._environment(), capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        return [line.split(maxsplit=3) for line in ran.stdout.splitlines()]

    def _environment(self) -> dict[str, str]:
        said = {
            name: getattr(self.storage, name)
            for name in ("url", "endpoint", "region", "access_key_id", "secret_access_key")
        }
        storage = {f"BYSTANDER_STORAGE__{name.upper()}": str(value) for name, value in said.items()}
        return storage | {
            "BYSTANDER_RETENTION__DAYS": str(DAYS),
            "BYSTANDER_RETENTION__DELETES": "recording",
        }


async def test_a_dry_run_tells_what_the_real_one_does(tmp_path: Path, store_server: ServerProcess) -> None:
    (tmp_path / "bystander.toml").touch()
    place = Place(tmp_path, store_server)
    await place.open()
    await place.record("due", 31)
    await place.record("long-due", 400)
    await place.record("young", 29)
    await place.record("running", 31, over=False)
    await place.record("locked", 31, object_lock_mode="GOVERNANCE", object_lock_days=7)
    await place.record("held", 31, legal_hold=True)
    await place.record("spooled", 31)
    spool = tmp_path / "spool" / place.rows["spooled"].id
    spool.mkdir(parents=True)
    (spool / "media").touch()
    stranger = open_store(place.storage)
    await stranger.put(f"{place.conversation.id}/not-ours.mp4", b"x", ObjectProperties())
    await stranger.close()
    before = await place.keys()

    told = await place.retention("--dry-run")
    assert await place.keys() == before
    assert await place.known() == set(place.rows)
    said = {words[2].removesuffix(".mp4"): words[3] for words in told[:-1]}
    assert set(said) == {"due", "long-due", "locked", "held", "spooled"}
    assert said["due"] == said["long-due"] == "would be deleted"
    assert said["locked"].startswith("kept (object_locked: ")
    assert f"{NOW + timedelta(days=7):%Y-%m-%d}" in said["locked"]
    assert said["held"].startswith("kept (object_locked: ")
    assert said["spooled"] == "kept (not_stored_yet)"
    assert told[-1] == ["2", "would", "be", "deleted."]

    done = await place.retention()
    assert [words[2:] for words in done[:-1] if words[3] != "deleted"] == [
        words[2:] for words in told[:-1] if words[3] != "would be deleted"
    ]
    assert done[-1] == ["2", "deleted."]
    gone = {key for name in ("due", "long-due") for key in keys_of(place.rows[name].object_key)}
    assert before - await place.keys() == gone
    assert await place.known() == set(place.rows) - {"due", "long-due"}
    assert (await place.retention())[-1] == ["0", "deleted."]
    await place.database.close()
