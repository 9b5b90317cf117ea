"""The composition of a server: everything is made here, in the order in which it depends on each other."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from recorder.archive.archive import Archive
from recorder.archive.opening import open_shipping
from recorder.archive.storage_test import StorageProbe
from recorder.archive.storage_verdict import StorageVerdict
from recorder.database import ConversationTable, Database, KeyTable, RecordingTable
from recorder.database.connection import sqlite_url
from recorder.database.consents import ConsentTable
from recorder.database.console_sessions import ConsoleSessionTable
from recorder.database.history import HistoryTable
from recorder.database.idempotency import IdempotencyTable
from recorder.database.messages import MessageTable
from recorder.database.settings import SettingsTable
from recorder.database.supervisions import SupervisionTable
from recorder.database.usage import UsageTable
from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import BystanderError, Fault
from recorder.node.data_directory import DataDirectory, open_data_directory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.node.process import (
    check_bind_host,
    connections_within,
    make_private,
    raise_descriptor_limit,
)
from recorder.recording.actor import ActorDependencies
from recorder.recording.metrics import RecordingCollector, RecordingMetrics
from recorder.recording.reconciliation import recover
from recorder.recording.retention import Retention
from recorder.recording.service import RecordingService
from recorder.recording.watchers import Watchers
from recorder.services.api_keys import ApiKeys
from recorder.services.authentication import Authentication
from recorder.services.consent import Consents
from recorder.services.consent_events import ConsentEvents
from recorder.services.console.console import Console
from recorder.services.console.sessions import ConsoleSessions
from recorder.services.conversation_terms import EffectiveTerms
from recorder.services.conversations import Conversations
from recorder.services.effective_settings import ScopedSettings
from recorder.services.entry_points import EntryPoints
from recorder.services.health import Health
from recorder.services.history import History
from recorder.services.idempotency import IdempotencyStore
from recorder.services.messages import Messages
from recorder.services.room_terms import room_ice_servers, room_policy
from recorder.services.settings import SettingsService
from recorder.settings.definitions import LimitSettings, Settings
from recorder.supervision.conversation_supervisor import EffectiveSettings
from recorder.supervision.decisions import Decisions
from recorder.supervision.supervisors import Supervisors
from recorder.version import bystander_version
from recorder.webhooks.service import WebhookService
from recorder.worker.forkserver import Target
from recorder.worker.main import main as worker_main
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.pool import WorkerPool
from recorder.worker_pool.sampler import Sampler
from signaling.app import CONNECTIONS, build_app
from signaling.http.rate_limits import RateLimit, RateLimits
from signaling.network.connections import ConnectionLimits, GuardedSite
from signaling.ports import Ports

HTTP_CLOSE_TIMEOUT_S = 5.0  # for requests in flight, once every recording is stored

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that takes requests."""

    url: str
    api_key_file: Path | None  # None: the key is configured


async def serve(
    settings: Settings, *, told: Callable[[Listening], None], worker: Target = worker_main
) -> None:
    """Run a server until SIGTERM or SIGINT; then finish every recording, and return.

    `told` is called once it listens. Raises BystanderError when it cannot start.
    """
    check_bind_host(settings.call.bind_host)
    make_private()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        server = await Server.open(settings, stack, worker)
        told(await server.listen(stack))
        await stop.wait()
        _log.info("shutting down")
        await server.drain()


class Server:
    """Everything of a server that outlives one request."""

    def __init__(
        self, settings: Settings, data: DataDirectory, recordings: RecordingService, health: Health
    ) -> None:
        """Use `open`."""
        self._settings = settings
        self._data = data
        self._recordings = recordings
        self._health = health
        self._conversations: Conversations
        self._sampler: Sampler
        self._means: ActorDependencies
        self._triggering: Supervisors
        self._webhooks: WebhookService
        self._site: GuardedSite
        self._app: web.Application

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack, worker: Target) -> "Server":
        """Make all of it; what was opened is closed by `stack`, in reverse."""
        clock = SystemClock()
        data = await asyncio.to_thread(open_data_directory, Path(settings.server.data_dir))
        warming = asyncio.ensure_future(_warm_workers(data, worker, stack))
        try:
            database = await _open_database(settings, data, stack)
        finally:
            await asyncio.wait([warming])  # whatever came of the database, the stack has to close this too
        workers = warming.result()
        shipping = await open_shipping(settings, data, clock)
        stack.push_async_callback(shipping.close)
        node = await asyncio.to_thread(data.node)

        secrets = EntryPointSecrets(await asyncio.to_thread(data.secret))
        registry = CollectorRegistry()
        table, metrics = ConversationTable(database), RecordingMetrics(registry)
        means = ActorDependencies(
            clock=clock,
            settings=settings,
            table=RecordingTable(database),
            workers=workers,
            shipping=shipping,
            node=node,
        )
        recordings = RecordingService(settings, table, means, secrets, Watchers(), metrics)
        scoped = ScopedSettings(settings.recording, SettingsTable(database), clock)
        supervisions = SupervisionTable(database, node)
        decisions = Decisions(supervisions, table)
        triggering = Supervisors(
            supervisions, table, recordings, decisions, _effective(settings, scoped), clock
        )
        stack.push_async_callback(triggering.leave)
        sampler = Sampler(workers)
        health = Health(database, shipping, data.spool, clock, sampler.check)
        server = cls(settings, data, recordings, health)
        server._sampler = sampler
        server._means = means
        server._triggering = triggering
        server._conversations = Conversations(
            table,
            recordings,
            triggering,
            clock,
            token_ttl_s=settings.limits.participant_token_ttl_s,
        )
        server._webhooks = await WebhookService.open(
            database,
            settings.webhooks,
            clock,
            stack,
            registry,
            base_url=lambda: server._conversations.base_url,
        )
        api_key = settings.server.api_key
        if api_key is None:
            api_key = await asyncio.to_thread(data.api_key)
        keys, conversation_terms = KeyTable(database), EffectiveTerms(scoped, table)
        answers = ConsentTable(database)
        consents = Consents(answers, table, conversation_terms, clock)
        stack.push_async_callback(ConsentEvents(recordings, consents, answers, table, clock).leave)
        probe = StorageProbe(shipping.store, StorageVerdict(data.root, settings.storage), clock)
        ports = Ports(
            console=Console(settings, recordings, table, means.table, shipping, probe, data.root),
            authority=Authentication(keys, table, api_key, clock),
            keys=ApiKeys(keys, clock),
            sessions=ConsoleSessions(ConsoleSessionTable(database), keys, api_key, clock, settings.console),
            terms=conversation_terms,
            messages=Messages(MessageTable(database), table, conversation_terms, clock),
            consents=consents,
            kept_answers=IdempotencyStore(IdempotencyTable(database), clock),
            history=History(HistoryTable(database), UsageTable(database), recordings.shown),
            conversations=server._conversations,
            recordings=recordings,
            decisions=decisions,
            entry_points=EntryPoints(recordings, secrets, consents, triggering.takes),
            storage=probe,
            health=health,
            settings=SettingsService(scoped, server._conversations),
            webhooks=server._webhooks.registrations,
        )
        _register(registry, recordings, shipping)
        server._app = build_app(
            ports,
            registry=registry,
            link_secret=secrets.links(),
            version=bystander_version(),
            public_url=settings.server.public_url,
            rate_limits=_rate_limits(settings.limits),
            connection_limits=_connection_limits(settings.limits),
            trusted_proxies=settings.server.trusted_proxies,
            room_policy=room_policy(settings),
            room_ice_servers=room_ice_servers(settings, clock),
        )
        return server

    async def listen(self, stack: AsyncExitStack) -> Listening:
        """Take up what an earlier server left, then take requests."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=HTTP_CLOSE_TIMEOUT_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await recover(self._recordings, self._means)
        await self._triggering.restore()
        sampling = asyncio.create_task(self._sampler.run(), name="sampling")
        stack.callback(sampling.cancel)
        self._start_retention(stack)
        host, port = self._settings.server.host, self._settings.server.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.create_server((host, port), family=family)
            self._site = GuardedSite(runner, sock, self._app[CONNECTIONS])
            await self._site.start()
        except OSError as error:
            raise BystanderError(
                "address_unusable",
                f"{host}:{port} cannot be listened on: {error.strerror}.",
                fault=Fault.RESOURCE,
                status=500,
            ) from error
        url = _url(host, sock.getsockname()[1])
        public_url = (self._settings.server.public_url or url).rstrip("/")
        self._conversations.base_url = public_url
        self._recordings.base_url = (self._settings.entry_point.base_url or public_url).rstrip("/")
        self._webhooks.start(stack)
        key_file = None if self._settings.server.api_key else self._data.api_key_file
        return Listening(url=url, api_key_file=key_file)

    def _start_retention(self, stack: AsyncExitStack) -> None:
        days, means = self._settings.retention.days, self._means
        if days is not None:
            shipping = means.shipping
            retention = Retention(
                means.table, shipping.store, shipping.spool, means.clock, days, node=means.node
            )
            stack.callback(asyncio.create_task(retention.apply_forever(), name="retention").cancel)

    async def drain(self) -> None:
        """Accept nothing new, and wait, for so long as is set, until every recording is stored."""
        self._health.accepting = False
        await self._site.stop()
        left = await self._recordings.drain(self._settings.server.drain_timeout_s)
        if left:
            _log.warning("some recordings are left for the next start", extra={"recordings": left})


async def _open_database(settings: Settings, data: DataDirectory, stack: AsyncExitStack) -> Database:
    database = Database(settings.server.database_url or sqlite_url(data.database))
    stack.push_async_callback(database.close)
    await database.open()
    return database


async def _warm_workers(data: DataDirectory, worker: Target, stack: AsyncExitStack) -> WorkerPool:
    workers = WorkerPool(data.run, Forkserver(worker))
    stack.push_async_callback(workers.close)
    await workers.warm_up()
    return workers


def _effective(settings: Settings, scoped: ScopedSettings) -> EffectiveSettings:
    async def effective(conversation: Conversation) -> Settings:
        return msgspec.structs.replace(settings, recording=await scoped.effective(conversation))

    return effective


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


def _register(registry: CollectorRegistry, recordings: RecordingService, shipping: Archive) -> None:
    registry.register(RecordingCollector(recordings, shipping))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)


def _url(host: str, port: int) -> str:
    """Where this machine itself reaches the server."""
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    return f"http://[{own}]:{port}" if ":" in own and not own.startswith("[") else f"http://{own}:{port}"
