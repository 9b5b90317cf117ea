"""A server's inside without HTTP: real database, real uploader on a store in memory, real processes."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from recorder.archive.archive import Archive
from recorder.database import ConversationTable, Database, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.settings import SettingsTable
from recorder.database.supervisions import SupervisionTable
from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import Conversation
from recorder.kernel.media import Publisher
from recorder.kernel.recording import Recording
from recorder.node.data_directory import DataDirectory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.actor import ActorDependencies
from recorder.recording.metrics import RecordingMetrics
from recorder.recording.reconciliation import recover
from recorder.recording.service import RecordingService
from recorder.recording.watchers import Watchers
from recorder.services.conversations import Conversations
from recorder.services.effective_settings import ScopedSettings
from recorder.services.entry_points import EntryPoints
from recorder.settings.definitions import CallSettings, RecordingSettings, ServerSettings, Settings
from recorder.supervision.decisions import Decisions
from recorder.supervision.supervisors import Supervisors
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.pool import WorkerPool
from signaling.ports import Caller
from storage.store import ObjectStore
from storage.upload.uploader import Uploader
from tests.support import fake_workers

STATE_S_MAX = 20.0


@dataclass
class Node:
    """What a test works with."""

    recordings: RecordingService
    conversations: Conversations
    decisions: Decisions
    triggering: Supervisors
    supervisions: SupervisionTable
    database: Database
    entry_points: EntryPoints
    workers: WorkerPool
    means: ActorDependencies
    table: RecordingTable
    registry: CollectorRegistry

    async def conversation(self) -> Conversation:
        return await self.conversations.create(template=None, external_id=None, metadata={})

    async def start(self) -> Recording:
        """A recording in a conversation of its own."""
        return await self.recordings.start((await self.conversation()).id, started_by=Caller())

    async def publish(self, recording: Recording, name: str = "Ada") -> None:
        assert recording.entry_point is not None
        address = recording.entry_point.url.rpartition("/")[2]
        await self.entry_points.publish(address, Publisher(participant="p1", name=name), "offer")

    async def until(self, recording: str, *states: str) -> Recording:
        """The recording, once it is in one of these states."""
        conversation = (await self.recordings.get(recording)).conversation
        async with asyncio.timeout(STATE_S_MAX):
            async for now in self.recordings.watch(conversation):
                if now.id == recording and now.state in states:
                    return now
        raise AssertionError("a watch does not end")

    async def killed(self) -> None:
        """Leave everything as kill -9 does: the workers go on, and nothing more is written down."""
        await self.triggering.leave()
        for live in self.recordings:
            self.recordings._lives[live.row.id].cancel()
            await live.leave()
        await self.means.shipping.close()
        for worker in self.workers:
            await worker.leave()

    async def media(self, recording: str) -> bytes:
        opened = await self.recordings.media(recording)
        data = b"".join([chunk async for chunk in opened.reader.read(0, opened.size)])
        await opened.reader.close()
        return data


def settings_for(
    tmp_path: Path, *, trouble: str | None = None, database_url: str | None = None, **recording: object
) -> Settings:
    """Settings of a node; `trouble` is what the fake engine meets at its start, no `database_url` a file."""
    fast = {"max_retry_delay_s": 0.05, "initialization_timeout_s": 10.0, **recording}
    return Settings(
        recording=msgspec.convert(fast, RecordingSettings),
        call=CallSettings(bind_host=trouble),
        server=ServerSettings(database_url=database_url),
    )


async def open_node(
    tmp_path: Path, stack: AsyncExitStack, store: ObjectStore, settings: Settings | None = None
) -> Node:
    """Opened like the server does it; what was opened is closed by `stack`."""
    settings = settings or settings_for(tmp_path)
    clock, spool, run = SystemClock(), tmp_path / "spool", tmp_path / "run"
    await asyncio.to_thread(run.mkdir, exist_ok=True)
    database = Database(settings.server.database_url or sqlite_url(tmp_path / "bystander.db"))
    stack.push_async_callback(database.close)
    await database.open()
    shipping = Archive(store, Uploader(store, spool, clock, settings.storage), spool)
    stack.push_async_callback(shipping.close)
    workers = WorkerPool(run, Forkserver(fake_workers.main, preload=["tests.support.fake_workers"]))
    stack.push_async_callback(workers.close)
    await workers.warm_up()
    table, registry = RecordingTable(database), CollectorRegistry()
    name = await asyncio.to_thread(DataDirectory(tmp_path, lock=-1).node)
    means = ActorDependencies(
        clock=clock,
        settings=settings,
        table=table,
        workers=workers,
        shipping=shipping,
        node=name,
    )
    secrets = EntryPointSecrets(b"s" * 32)
    conversations = ConversationTable(database)
    recordings = RecordingService(
        settings, conversations, means, secrets, Watchers(), RecordingMetrics(registry)
    )
    supervisions = SupervisionTable(database, name)
    decisions = Decisions(supervisions, conversations)
    scoped = ScopedSettings(settings.recording, SettingsTable(database), clock)

    async def effective(conversation: Conversation) -> Settings:
        return msgspec.structs.replace(settings, recording=await scoped.effective(conversation))

    triggering = Supervisors(supervisions, conversations, recordings, decisions, effective, clock)
    stack.push_async_callback(triggering.leave)
    stack.push_async_callback(recordings.drain, 20.0)
    node = Node(
        recordings=recordings,
        conversations=Conversations(conversations, recordings, triggering, clock),
        decisions=decisions,
        triggering=triggering,
        supervisions=supervisions,
        database=database,
        entry_points=EntryPoints(recordings, secrets, takes=triggering.takes),
        workers=workers,
        means=means,
        table=table,
        registry=registry,
    )
    await recover(recordings, means)
    await triggering.restore()
    return node
