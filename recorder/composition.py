"""A node: everything of a server that is no HTTP, made in the order in which it depends on each other.

`bystander serve`, `bystander recover` and the tests make theirs here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from recorder.archive.archive import Archive
from recorder.archive.backlog_watch import BacklogWatch
from recorder.archive.opening import open_shipping
from recorder.database import ConversationTable, Database, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.connectors import ConnectorTable
from recorder.database.consents import ConsentTable
from recorder.database.move import check_moved
from recorder.database.presences import PresenceTable
from recorder.database.settings import SettingsTable
from recorder.database.supervisions import SupervisionTable
from recorder.deletion.deletion import RecordingDeletion
from recorder.file_composition import FileServices, compose_files
from recorder.kernel.clock import Clock, SystemClock
from recorder.node.data_directory import DataDirectory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.changes import RecordingChanges
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.metrics import RecordingCollector, RecordingMetrics
from recorder.recording.reconciliation import recover
from recorder.recording.registry import RecordingRegistry
from recorder.services.connectors.connectors import Connectors
from recorder.services.connectors.terms import connector_kinds
from recorder.services.conversation.consent import ConsentRequirement, Consents
from recorder.services.conversation.consent_events import ConsentEvents
from recorder.services.conversation.conversation_terms import EffectiveTerms
from recorder.services.conversation.conversations import Conversations
from recorder.services.effective_settings import ScopedSettings
from recorder.services.recording.entry_points import EntryPoints
from recorder.services.recording.service import RecordingService
from recorder.services.recording.view import RecordingView
from recorder.settings.definitions import Settings
from recorder.supervision.decisions import Decisions
from recorder.supervision.supervisors import Supervisors
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.pool import WorkerPool

OpenArchive = Callable[[Settings, DataDirectory, Clock, Database], Awaitable[Archive]]


@dataclass(frozen=True, slots=True)
class BaseUrls:
    """Where this server is reached, without a slash at the end."""

    public: str  # by people and by those who call the API
    entry_points: str  # by publishers

    @classmethod
    def of(cls, settings: Settings, own: str) -> "BaseUrls":
        """As they are set; else people and publishers reach this server at its `own`, where it listens."""
        public = (settings.server.public_url or own).rstrip("/")
        return cls(public, (settings.entry_point.base_url or public).rstrip("/"))


@dataclass(frozen=True, slots=True)
class Core:
    """What recordings live by: database, archive and workers."""

    database: Database
    conversations: ConversationTable
    dependencies: ActorDependencies


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a node that somebody outside works with."""

    core: Core
    metrics: CollectorRegistry
    secrets: EntryPointSecrets
    scoped_settings: ScopedSettings
    terms: EffectiveTerms
    registry: RecordingRegistry
    changes: RecordingChanges
    supervisions: SupervisionTable
    supervisors: Supervisors
    decisions: Decisions
    view: RecordingView
    recordings: RecordingService
    conversations: Conversations
    consents: Consents
    entry_points: EntryPoints
    backlog: BacklogWatch
    files: FileServices
    connectors: Connectors

    async def settings_of(self, conversation: str) -> Settings:
        """The settings as they count for one conversation."""
        return await self.scoped_settings.everything(await self.core.conversations.get(conversation))

    async def take_up(self) -> None:
        """Go on with what an earlier server of this node left, and with what lost nodes left."""
        await recover(self.registry, self.core.dependencies, self.settings_of)
        await self.supervisors.restore()
        await self.connectors.restore()


async def open_core(
    settings: Settings,
    data: DataDirectory,
    stack: AsyncExitStack,
    forkserver: Forkserver,
    *,
    warm: bool = True,
    open_archive: OpenArchive = open_shipping,
) -> Core:
    """Open what recordings live by; `stack` closes it. `warm` where workers will be launched."""
    clock = SystemClock()
    workers = WorkerPool(data.run, forkserver)
    stack.push_async_callback(workers.close)
    warming = asyncio.ensure_future(workers.warm_up() if warm else asyncio.sleep(0))
    try:
        database = Database(settings.server.database_url or sqlite_url(data.database))
        stack.push_async_callback(database.close)
        await database.open()
        if database.is_shared:
            await check_moved(database, data.database)
    finally:
        await asyncio.wait([warming])  # whatever came of the database, the stack has to close this too
    warming.result()
    archive = await open_archive(settings, data, clock, database)
    stack.push_async_callback(archive.close)
    name = await asyncio.to_thread(data.node)
    table = RecordingTable(database)
    dependencies = ActorDependencies(clock, settings, table, PresenceTable(database), workers, archive, name)
    return Core(database, ConversationTable(database), dependencies)


async def compose(
    core: Core,
    data: DataDirectory,
    stack: AsyncExitStack,
    urls: BaseUrls,
    metrics: CollectorRegistry,
) -> Node:
    """Make a node of its core: the registry, supervision above it, above both what callers ask."""
    dependencies, conversations, database = core.dependencies, core.conversations, core.database
    settings, clock = dependencies.settings, dependencies.clock
    secrets = EntryPointSecrets(await asyncio.to_thread(data.secret))
    scoped = ScopedSettings(settings, SettingsTable(database), clock)
    terms = EffectiveTerms(scoped, conversations)

    changes = RecordingChanges()
    registry = RecordingRegistry(dependencies, conversations, secrets, changes)

    supervisions = SupervisionTable(database, dependencies.node)
    decisions = Decisions(supervisions, conversations)
    supervisors = Supervisors(supervisions, conversations, registry, decisions, scoped.everything, clock)
    stack.push_async_callback(supervisors.leave)

    view = RecordingView(registry, dependencies, secrets, base_url=urls.entry_points)
    recordings = RecordingService(registry, supervisors, dependencies, conversations, view, scoped.everything)
    answers = ConsentTable(database)
    requirement = ConsentRequirement(answers, terms)
    entry_points = EntryPoints(
        registry,
        secrets,
        view,
        consent=requirement,
        check_source=supervisors.check_source,
        participants=conversations.participant,
    )
    consent_events = ConsentEvents(registry, answers, conversations, clock)
    stack.push_async_callback(consent_events.leave)

    connectors = Connectors(
        ConnectorTable(database, dependencies.node),
        registry,
        entry_points,
        secrets,
        connector_kinds(settings),
        clock,
    )
    stack.push_async_callback(connectors.leave)
    files = compose_files(database, conversations, dependencies, scoped)

    recording_metrics = RecordingMetrics(metrics, clock)
    backlog = BacklogWatch(dependencies.archive, clock, settings.limits.spool_free_bytes_min)
    metrics.register(RecordingCollector(registry, dependencies.archive, backlog, clock, registry.room))
    changes.subscribe(
        recordings.changed,
        recording_metrics.changed,
        supervisors.changed,
        consent_events.changed,
        connectors.changed,
    )
    return Node(
        core=core,
        metrics=metrics,
        secrets=secrets,
        scoped_settings=scoped,
        terms=terms,
        registry=registry,
        changes=changes,
        supervisions=supervisions,
        supervisors=supervisors,
        decisions=decisions,
        view=view,
        recordings=recordings,
        conversations=Conversations(
            conversations,
            registry,
            RecordingDeletion(registry, dependencies),
            files.deletion,
            supervisors,
            clock,
            base_url=urls.public,
            token_ttl_s=settings.limits.participant_token_ttl_s,
        ),
        consents=Consents(
            answers,
            conversations,
            requirement,
            clock,
            stop_taking=entry_points.stop_taking,
            record=consent_events.answered,
        ),
        entry_points=entry_points,
        backlog=backlog,
        connectors=connectors,
        files=files,
    )
