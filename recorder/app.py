"""The server: a node, and the HTTP that callers reach it by."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from recorder.archive.storage_test import StorageProbes
from recorder.audit.opening import OpenedAudit, open_audit
from recorder.audit.recordings import RecordingActs
from recorder.composition import BaseUrls, Node, compose, open_core
from recorder.database import KeyTable
from recorder.database.console_sessions import ConsoleSessionTable
from recorder.database.deletions import DeletionTable
from recorder.database.history import HistoryTable
from recorder.database.idempotency import IdempotencyTable
from recorder.database.messages import MessageTable
from recorder.database.usage import UsageTable
from recorder.deletion.clock_watch import FILE, ClockWatch
from recorder.deletion.file_retention import FileRetention
from recorder.deletion.late_arrivals import LateArrivals
from recorder.deletion.retention import Retention, conversations_of
from recorder.kernel.media import IceTransportPolicy
from recorder.node.background_task import BackgroundTask
from recorder.node.data_directory import DataDirectory, open_data_directory
from recorder.node.listening import bind, own_url
from recorder.node.process import (
    check_bind_host,
    check_certificates,
    check_interfaces,
    connections_within,
    make_private,
    raise_descriptor_limit,
)
from recorder.node.tracing import open_tracing
from recorder.node.turn_check import check_turn
from recorder.services.access.api_keys import ApiKeys
from recorder.services.access.audit import AuditService
from recorder.services.access.authentication import Authentication
from recorder.services.console.console import Console
from recorder.services.console.oidc_terms import oidc_terms
from recorder.services.console.sessions import ConsoleSessions
from recorder.services.conversation.messages import Messages
from recorder.services.conversation.room_terms import room_ice_servers, room_policy
from recorder.services.health import Health
from recorder.services.idempotency import IdempotencyStore
from recorder.services.recording.history import History
from recorder.services.settings import SettingsService
from recorder.settings.definitions import LimitSettings, Settings
from recorder.stores.warning import warn_of_unusable
from recorder.version import bystander_version
from recorder.webhooks.sealing import SecretSeal
from recorder.webhooks.service import WebhookService
from recorder.worker.forkserver import Target
from recorder.worker.main import main as worker_main
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.sampler import Sampler
from recorder.worker_pool.stream_counters import StreamCounters
from signaling.app import CONNECTIONS, build_app
from signaling.http.rate_limits import RateLimit, RateLimits
from signaling.network.connections import ConnectionLimits, GuardedSite
from signaling.ports import Ports

HAND_OVER = signal.SIGUSR2
HTTP_CLOSE_TIMEOUT_S = 5.0  # for requests in flight, once every recording is stored

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that takes requests."""

    url: str
    api_key_file: Path | None  # None: the key is configured


async def serve(
    settings: Settings, *, started: Callable[[Listening], None], worker: Target = worker_main
) -> None:
    """Run a server until SIGTERM or SIGINT; then finish every recording, and return.

    At SIGUSR2 it returns at once, and leaves running recordings to their workers and the next server.
    `started` is called once it listens. Raises BystanderError when it cannot start.
    """
    check_bind_host(settings.call.bind_host)
    check_interfaces(settings.call.interfaces)
    await asyncio.to_thread(check_certificates, settings.turn.ca_file)
    make_private()
    stop, handing_over, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, HAND_OVER):
        loop.add_signal_handler(number, stop.set if number != HAND_OVER else _both(handing_over, stop))
    async with AsyncExitStack() as stack:
        tracing = settings.tracing
        await open_tracing(
            tracing.otlp_url,
            tracing.authorization,
            tracing.sampled,
            stack,
            service_version=bystander_version(),
        )
        server = await Server.open(settings, stack, worker)
        started(await server.listen(stack))
        await stop.wait()
        if handing_over.is_set():
            await server.hand_over()
        else:
            _log.info("shutting down")
            await server.drain()


def _both(*events: asyncio.Event) -> Callable[[], None]:
    def setting() -> None:
        for event in events:
            event.set()

    return setting


class Server:
    """Everything of a server that outlives one request. Use `open`."""

    def __init__(
        self,
        node: Node,
        health: Health,
        tasks: list[BackgroundTask],
        app: web.Application,
        sockets: list[socket.socket],
        listening: Listening,
    ) -> None:
        self._node = node
        self._health = health
        self._tasks = tasks
        self._app = app
        self._sockets = sockets
        self._listening = listening
        self._sites: list[GuardedSite] = []

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack, worker: Target) -> "Server":
        """Make all of it; what was opened is closed by `stack`, in reverse."""
        data = await asyncio.to_thread(open_data_directory, Path(settings.server.data_dir))
        sockets = await bind(settings.server.host, settings.server.port)
        for sock in sockets:
            stack.callback(sock.close)
        url = own_url(settings.server.host, sockets[0])
        core = await open_core(settings, data, stack, Forkserver(worker))
        registry = CollectorRegistry()
        node = await compose(core, data, stack, BaseUrls.of(settings, url), registry)
        clock, archive = core.dependencies.clock, core.dependencies.archive
        audit = await open_audit(
            core.database,
            archive.store,
            clock,
            stack,
            registry,
            root=data.root,
            node=core.dependencies.node,
            retention_days=settings.audit.retention_days,
        )
        node.changes.subscribe(RecordingActs(audit.log.note, clock).changed)
        webhooks = await WebhookService.open(
            core.database,
            settings.webhooks,
            clock,
            stack,
            registry,
            base_url=BaseUrls.of(settings, url).public,
            proxy=settings.proxy.as_proxy(),
            seal=SecretSeal(None if core.database.is_shared else node.secrets.seals()),
        )
        sampler = Sampler(core.dependencies.workers, StreamCounters(registry))
        tasks = [BackgroundTask("sampling", sampler.run), webhooks.delivery, node.files.finishing]
        tasks += [*_deleting(node), BackgroundTask("backlog", node.backlog.run)]
        checks = {task.name: task.check for task in tasks} | {"sampling": sampler.check}
        checks["taking up"] = archive.check_looking
        checks["audit"] = audit.log.check_writing
        checks |= {task.name: task.check for task in audit.tasks}
        if settings.call.ice_transport_policy is IceTransportPolicy.RELAYED:
            checks["turn"] = partial(check_turn, settings.turn.urls)
        health = Health(
            core.database,
            archive,
            clock,
            checks,
            free_bytes_min=settings.limits.spool_free_bytes_min,
            stores=(archive.default.name, settings.recording.store),
        )
        ports = await _ports(node, data, health, webhooks, audit)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        app = build_app(
            ports,
            registry=registry,
            link_secret=node.secrets.links(),
            version=bystander_version(),
            public_url=settings.server.public_url,
            rate_limits=_rate_limits(settings.limits),
            connection_limits=_connection_limits(settings.limits),
            trusted_proxies=settings.server.trusted_proxies,
            room_policy=room_policy(settings),
            room_ice_servers=room_ice_servers(settings, clock),
            oidc=oidc_terms(settings.console),
            proxy=settings.proxy.as_proxy(),
        )
        key_file = None if settings.server.api_key else data.api_key_file
        return cls(node, health, tasks, app, sockets, Listening(url, key_file))

    async def listen(self, stack: AsyncExitStack) -> Listening:
        """Take up what an earlier server left, then take requests."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=HTTP_CLOSE_TIMEOUT_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await self._node.take_up()
        archive = self._node.core.dependencies.archive
        archive.look_after(warn_of_unusable(archive.stores))
        for task in self._tasks:
            task.start()
            stack.push_async_callback(task.stop)
        self._sites = [GuardedSite(runner, sock, self._app[CONNECTIONS]) for sock in self._sockets]
        for site in self._sites:
            await site.start()
        return self._listening

    async def hand_over(self) -> None:
        """Accept nothing new, and leave all recordings and interactions as they are to the next server."""
        await self._close_sites()
        self._node.conversations.leave()
        await self._node.supervisors.leave()
        left = await self._node.registry.leave()
        _log.info("handing over to the next server", extra={"recordings": left})

    async def _close_sites(self) -> None:
        self._health.shut_down()
        for site in self._sites:
            await site.stop()

    async def drain(self) -> None:
        """Accept nothing new, and wait, for so long as is set, until every recording is stored."""
        await self._close_sites()
        timeout_s = self._node.core.dependencies.settings.server.drain_timeout_s
        left = await self._node.registry.drain(timeout_s)
        if left:
            _log.warning("some recordings are left for the next start", extra={"recordings": left})


def _deleting(node: Node) -> list[BackgroundTask]:
    """The tasks that delete: what came back, and what is too old, where anything ever is."""
    core, files, dependencies = node.core, node.files, node.core.dependencies
    days, archive = dependencies.settings.retention.days, dependencies.archive
    late = LateArrivals(DeletionTable(core.database), archive.stores, dependencies.clock)
    looking = BackgroundTask("late arrivals", late.look_forever)
    if days is None:
        return [looking]
    conversations = conversations_of(dependencies.settings, core.database)
    watch = ClockWatch(dependencies.clock, archive.store, archive.spool.parent / FILE)
    retention = Retention(
        dependencies.table,
        archive.stores,
        archive.spool,
        dependencies.clock,
        days,
        node=dependencies.node,
        conversations=conversations,
        files=files.deletion,
        watch=watch,
    )
    of_files = FileRetention(
        files.table,
        dependencies.table,
        files.deletion,
        dependencies.clock,
        days,
        conversations=conversations,
        watch=watch,
    )
    return [
        looking,
        BackgroundTask("retention", retention.apply_forever),
        BackgroundTask("retention of files", of_files.apply_forever),
    ]


async def _ports(
    node: Node, data: DataDirectory, health: Health, webhooks: WebhookService, audit: OpenedAudit
) -> Ports:
    """All that callers reach of a node, as signaling names it."""
    core, dependencies = node.core, node.core.dependencies
    database, conversations, settings = core.database, core.conversations, dependencies.settings
    clock, archive = dependencies.clock, dependencies.archive
    keys = KeyTable(database)
    api_key = settings.server.api_key
    if api_key is None:
        api_key = await asyncio.to_thread(data.api_key)
    probe = StorageProbes(archive.stores, data.root, clock)
    console = Console(
        settings,
        node.registry,
        node.view,
        conversations,
        dependencies.table,
        archive,
        node.backlog,
        clock,
        probe,
        data.root,
    )
    return Ports(
        console=console,
        authority=Authentication(keys, conversations, api_key, clock),
        keys=ApiKeys(keys, clock),
        sessions=ConsoleSessions(ConsoleSessionTable(database), keys, api_key, clock, settings.console),
        terms=node.terms,
        messages=Messages(MessageTable(database), conversations, node.terms, clock),
        consents=node.consents,
        kept_answers=IdempotencyStore(IdempotencyTable(database), clock),
        history=History(
            HistoryTable(database),
            node.core.dependencies.presences,
            UsageTable(database),
            node.view.of_row,
        ),
        conversations=node.conversations,
        recordings=node.recordings,
        decisions=node.decisions,
        entry_points=node.entry_points,
        connectors=node.connectors,
        storage=probe,
        health=health,
        settings=SettingsService(node.scoped_settings, conversations),
        webhooks=webhooks.registrations,
        audit=AuditService(audit.log, audit.table, settings.audit),
        files=node.files.files,
        uploads=node.files.uploads,
        snapshots=node.files.snapshots,
        backgrounds=node.files.backgrounds,
    )


def _rate_limits(limits: LimitSettings) -> RateLimits:
    return RateLimits(
        key=RateLimit(limits.key_requests_burst, limits.key_requests_per_s),
        participant=RateLimit(limits.participant_requests_burst, limits.participant_requests_per_s),
        address=RateLimit(limits.address_requests_burst, limits.address_requests_per_s),
    )


def _connection_limits(limits: LimitSettings) -> ConnectionLimits:
    """As set, and as the system allows: no address alone takes more than a quarter of what there is."""
    total = connections_within(limits.connections_max, raise_descriptor_limit())
    return ConnectionLimits(total=total, per_address=min(limits.address_connections_max, total // 4))
