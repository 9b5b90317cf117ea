"""Connectors of a node: begun with their interactions, connected for each recording that takes media.

A connection belongs to one recording and its worker: what breaks it breaks nothing else, and a recording
that goes on with another worker gets another connection. While nothing is recorded nobody is connected.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from recorder.database.connectors import ConnectorRow, ConnectorTable
from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import ConnectorSource
from recorder.kernel.connectors.status import ConnectorState, ConnectorStatus
from recorder.kernel.errors import BystanderError, caller_error
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase
from recorder.recording.registry import RecordingRegistry
from recorder.services.connectors.connection import Connection, Place
from recorder.services.connectors.entrance import Entrance
from recorder.services.connectors.kinds import Kinds, kind_of
from recorder.services.recording.entry_points import EntryPoints
from recorder.webhooks.sealing import SecretSeal
from recorder.worker_pool.pool import Worker

CONNECTORS_PER_CONVERSATION_MAX = 8

_log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A connection that runs for a recording, through its worker."""

    worker: Worker
    connection: Connection
    task: asyncio.Task[None]


@dataclass
class _Connector:
    """A connector whose interaction runs."""

    interaction: str
    conversation: str
    account: str
    source: ConnectorSource
    since: datetime
    connections: dict[str, _Running] = field(default_factory=dict)  # by recording, the newest last

    def status(self) -> ConnectorStatus:
        """How the newest connection is."""
        if self.connections:
            return list(self.connections.values())[-1].connection.status()
        waiting = ConnectorState.WAITING
        return ConnectorStatus(kind=kind_of(self.source), state=waiting, since=self.since)

    def taken(self) -> list[_Running]:
        """Its connections, which it has no more."""
        taken, self.connections = list(self.connections.values()), {}
        return taken


class Connectors:
    """Fulfils signaling.ports.Connectors. One for each server."""

    def __init__(
        self,
        table: ConnectorTable,
        registry: RecordingRegistry,
        entry_points: EntryPoints,
        secrets: EntryPointSecrets,
        kinds: Kinds,
        clock: Clock,
    ) -> None:
        self._table = table
        self._registry = registry
        self._entry_points = entry_points
        self._secrets = secrets
        self._seal = SecretSeal(secrets.seals())
        self._kinds = kinds
        self._clock = clock
        self._connectors: dict[str, _Connector] = {}  # by interaction
        self._ending: set[asyncio.Task[None]] = set()
        self._giving_out = asyncio.Lock()  # until what is given out is somebody's, nobody else looks

    # --- what callers ask ------------------------------------------------------------------------------
    def check(self, conversation: str, source: ConnectorSource) -> None:
        """Raises 403 target_not_allowed, 422 invalid_url and the like, 409 too_many_connectors."""
        self._kinds.check(source)
        if len(self._of(conversation)) >= CONNECTORS_PER_CONVERSATION_MAX:
            raise caller_error("too_many_connectors", "The conversation has too many connectors.", status=409)

    async def begin(self, conversation: str, interaction: str, source: ConnectorSource) -> ConnectorStatus:
        """Connect whenever something of the conversation takes media, until `end`.

        Raises 409 rtp_port_taken, too_many_rtp_ports, 503 media_ports_exhausted.
        """
        account = await self._table.account_of(conversation)
        async with self._giving_out:
            await self._forget_ended()
            source = self._prepared(account, source)
            sealed = self._seal.seal(msgspec.json.encode(source).decode())
            row = ConnectorRow(interaction=interaction, conversation=conversation, source=sealed)
            await self._table.add(row)
            return self._status(self._add(row, account, source))

    async def end(self, interaction: str) -> None:
        """Disconnect for good; nothing where there is none."""
        await self._table.remove(interaction)
        connector = self._connectors.pop(interaction, None)
        if connector is not None:
            await _disconnect(connector.taken())

    def status(self, interaction: str) -> ConnectorStatus | None:
        """How it is now; None where the interaction has none, or has ended."""
        connector = self._connectors.get(interaction)
        return None if connector is None else self._status(connector)

    # --- what happens to recordings --------------------------------------------------------------------
    def changed(self, actor: RecordingActor, before: Phase | None) -> None:
        """Connect for a recording that takes media, and disconnect from one that does not; a Listener."""
        if actor.phase is not before:
            for connector in self._of(actor.row.conversation):
                self._follow(connector, actor)

    async def restore(self) -> None:
        """Go on with what an earlier server had connected."""
        for row in await self._table.running():
            try:
                source = msgspec.json.decode(self._seal.open(row.source), type=ConnectorSource)
            except (BystanderError, msgspec.DecodeError):
                _log.error("a connector cannot be read any more", extra={"interaction": row.interaction})
                continue
            self._add(row, await self._table.account_of(row.conversation), source)

    async def leave(self) -> None:
        """Disconnect all; the next server connects again."""
        for connector in list(self._connectors.values()):
            await _disconnect(connector.taken())
        if self._ending:
            await asyncio.wait(self._ending)

    # --- parts -----------------------------------------------------------------------------------------
    def _status(self, connector: _Connector) -> ConnectorStatus:
        return msgspec.structs.replace(connector.status(), sdp=self._kinds.description(connector.source))

    def _of(self, conversation: str) -> list[_Connector]:
        return [one for one in self._connectors.values() if one.conversation == conversation]

    def _prepared(self, account: str, source: ConnectorSource) -> ConnectorSource:
        running = self._connectors.values()
        ours = [one.source for one in running if one.account == account]
        return self._kinds.prepare(source, ours, [one.source for one in running if one.account != account])

    async def _forget_ended(self) -> None:
        """Interactions end with their conversation, too, and by other nodes: theirs is free again."""
        runs = {row.interaction for row in await self._table.running()}
        for interaction in self._connectors.keys() - runs:
            connector = self._connectors.pop(interaction, None)
            if connector is not None:
                await _disconnect(connector.taken())

    def _add(self, row: ConnectorRow, account: str, source: ConnectorSource) -> _Connector:
        now = self._clock.utc_now()
        connector = _Connector(row.interaction, row.conversation, account, source, now)
        self._connectors[row.interaction] = connector
        for actor in self._registry.of(row.conversation):
            self._follow(connector, actor)
        return connector

    def _follow(self, connector: _Connector, actor: RecordingActor) -> None:
        recording, worker = actor.row.id, actor.worker
        running = connector.connections.get(recording)
        wanted = worker if actor.phase.takes_publishers else None
        if running is not None and running.worker is wanted:
            return
        if running is not None:
            del connector.connections[recording]
            task = asyncio.create_task(_disconnect([running]))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        if wanted is not None:
            connector.connections[recording] = self._connect(connector, recording, wanted)

    def _connect(self, connector: _Connector, recording: str, worker: Worker) -> _Running:
        source = connector.source
        connection = Connection(
            Place(connector.interaction, recording, kind_of(source)),
            lambda: self._kinds.connector(source),
            Entrance(self._secrets.name(recording), self._entry_points, worker),
            self._clock,
        )
        name = f"connector of {connector.interaction} for {recording}"
        return _Running(worker, connection, asyncio.create_task(connection.run(), name=name))


async def _disconnect(ending: list[_Running]) -> None:
    for running in ending:
        running.task.cancel()
    if ending:
        await asyncio.wait([running.task for running in ending])
