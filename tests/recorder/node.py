"""A server's inside without HTTP: real database, real uploader on a store in memory, real processes."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from recorder.archive.archive import Archive
from recorder.archive.opening import open_shipping
from recorder.archive.storage_verdict import StorageVerdict
from recorder.composition import BaseUrls, compose, open_core
from recorder.composition import Node as ComposedNode
from recorder.database import Database
from recorder.database.messages import MessageTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Conversation
from recorder.kernel.media import Publisher
from recorder.kernel.message import Message, MessageKind
from recorder.kernel.recording import Recording
from recorder.node.data_directory import DataDirectory
from recorder.settings.definitions import CallSettings, RecordingSettings, ServerSettings, Settings
from recorder.worker_pool.forkserver import Forkserver
from signaling.ports import Caller
from storage.store import ObjectStore
from storage.upload.uploader import Uploader
from tests.support import fake_workers
from tests.support.archives import archive_of

STATE_S_MAX = 20.0
BASE_URLS = BaseUrls(public="https://bystander.example", entry_points="https://publish.example")


class Node:
    """What a test works with: a composed node, and short ways to do what tests do."""

    def __init__(self, composed: ComposedNode) -> None:
        self.composed = composed
        self.registry = composed.registry
        self.recordings = composed.recordings
        self.conversations = composed.conversations
        self.consents = composed.consents
        self.decisions = composed.decisions
        self.supervisors = composed.supervisors
        self.supervisions = composed.supervisions
        self.entry_points = composed.entry_points
        self.metrics = composed.metrics
        self.database = composed.core.database
        self.dependencies = composed.core.dependencies
        self.workers = self.dependencies.workers
        self.table = self.dependencies.table

    async def conversation(self) -> Conversation:
        return await self.conversations.create(template=None, external_id=None, metadata={})

    async def start(self) -> Recording:
        """A recording in a conversation of its own."""
        return await self.recordings.start((await self.conversation()).id, started_by=Caller())

    async def publish(self, recording: Recording, name: str = "Ada", who: str = "p1") -> None:
        assert recording.entry_point is not None
        address = recording.entry_point.url.rpartition("/")[2]
        await self.entry_points.publish(address, Publisher(participant=who, name=name), "offer")

    async def until(self, recording: str, *states: str) -> Recording:
        """The recording, once it is in one of these states."""
        conversation = (await self.recordings.get(recording)).conversation
        async with asyncio.timeout(STATE_S_MAX):
            async for now in self.recordings.watch(conversation):
                if now.id == recording and now.state in states:
                    return now
        raise AssertionError("a watch does not end")

    async def messages(self, conversation: str, *kinds: MessageKind) -> list[Message]:
        """Those of these kinds, or all."""
        wanted = frozenset(kinds or MessageKind)
        return await MessageTable(self.database).list(conversation, kinds=wanted, after=None, limit=100)

    async def message_kinds(self, conversation: str) -> list[MessageKind]:
        """What stands among the messages of a conversation."""
        return [message.kind for message in await self.messages(conversation)]

    async def killed(self) -> None:
        """Leave everything as kill -9 does: the workers go on, and nothing more is written down."""
        await self.supervisors.leave()
        await self.registry.leave()
        await self.dependencies.archive.close()
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
    fast = {
        "after_interruption": "new",
        "max_retry_delay_s": 0.05,
        "initialization_timeout_s": 10.0,
        **recording,
    }
    return Settings(
        recording=msgspec.convert(fast, RecordingSettings),
        call=CallSettings(bind_host=trouble),
        server=ServerSettings(database_url=database_url),
    )


async def open_node(
    tmp_path: Path,
    stack: AsyncExitStack,
    store: ObjectStore | None,
    settings: Settings | None = None,
    *,
    warm: bool = True,
) -> Node:
    """Opened like the server does it, on the stores of the settings or on this one; `stack` closes it.

    `warm` where it will record.
    """
    settings = settings or settings_for(tmp_path)
    data = DataDirectory(tmp_path, lock=-1)
    await asyncio.to_thread(data.run.mkdir, exist_ok=True)

    async def open_archive(
        settings: Settings, data: DataDirectory, clock: Clock, database: Database
    ) -> Archive:
        if store is None:
            return await open_shipping(settings, data, clock, database)
        uploader = Uploader(store, data.spool, clock, settings.storage)
        return archive_of(store, uploader, data.spool, StorageVerdict(data.root, settings.storage))

    forkserver = Forkserver(fake_workers.main, preload=["tests.support.fake_workers"])
    core = await open_core(settings, data, stack, forkserver, warm=warm, open_archive=open_archive)
    composed = await compose(core, data, stack, BASE_URLS, CollectorRegistry())
    stack.push_async_callback(composed.registry.drain, 20.0)
    await composed.take_up()
    return Node(composed)
