"""WHIP resources of the recordings that take publishers: which recording, which worker, may they."""

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from recorder.database import RecordingRow
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.ids import is_id, new_id
from recorder.kernel.media import IceServer, PublishedSession, Publisher, SourceKind
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.registry import RecordingRegistry
from recorder.services.conversation.consent import ConsentRequirement
from recorder.services.recording.view import RecordingView
from recorder.worker_pool.pool import Worker

SESSION_PREFIX = "ses"
SESSIONS_KNOWN_MAX = 16  # of one participant, the newest: camera, screen, and what reconnected
PARTICIPANTS_KNOWN_MAX = 8_192  # more than a node's recordings have publishers

_log = logging.getLogger(__name__)

CheckSource = Callable[[RecordingRow, SourceKind], Awaitable[None]]
"""Raises why a recording does not take a stream of this source now."""


class EntryPoints:
    """Fulfils signaling.ports.EntryPoints."""

    def __init__(
        self,
        registry: RecordingRegistry,
        secrets: EntryPointSecrets,
        view: RecordingView,
        *,
        consent: ConsentRequirement,
        check_source: CheckSource,
    ) -> None:
        self._registry = registry
        self._secrets = secrets
        self._view = view
        self._consent = consent
        self._check_source = check_source
        self._taken: OrderedDict[tuple[str, str], deque[tuple[Worker, str]]] = OrderedDict()

    async def check(self, entry_point: str, token: str | None) -> list[IceServer]:
        """404 unknown or expired, 401 wrong token; else the ICE servers to advertise."""
        actor = self._registry.published_at(entry_point)
        if token is None or not self._secrets.is_token(actor.row.id, token):
            raise caller_error("unauthorized", "The entry point's own token is needed.", status=401)
        return self._view.publisher_ice_servers(actor)

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession:
        worker = self._worker(entry_point)
        row = self._registry.published_at(entry_point).row
        await self._consent.require(row.conversation, publisher.participant)
        await self._check_source(row, publisher.source)
        session = new_id(SESSION_PREFIX)
        answer, etag = await worker.publish(session, publisher, offer)
        self._took(worker, session, row.conversation, publisher.participant)
        try:
            await self._consent.require(row.conversation, publisher.participant)
        except BystanderError:  # they refused meanwhile
            await self.stop_taking(row.conversation, publisher.participant)
            raise
        return PublishedSession(id=session, sdp=answer, etag=etag)

    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None
    ) -> tuple[str, str] | None:
        return await self._worker(entry_point).trickle(_session(session), fragment, if_match)

    async def unpublish(self, entry_point: str, session: str) -> None:
        await self._worker(entry_point).unpublish(_session(session))

    async def stop_taking(self, conversation: str, participant: str) -> None:
        """End every session of a participant who does not agree any longer."""
        for worker, session in self._taken.pop((conversation, participant), ()):
            try:
                await worker.unpublish(session)
            except BystanderError as error:  # it has ended by itself, or its worker has
                _log.info("a session had ended already", extra={"session": session, "code": error.code})

    def _took(self, worker: Worker, session: str, conversation: str, participant: str) -> None:
        """Remember whose session this is."""
        whose = (conversation, participant)
        self._taken.setdefault(whose, deque(maxlen=SESSIONS_KNOWN_MAX)).append((worker, session))
        self._taken.move_to_end(whose)
        if len(self._taken) > PARTICIPANTS_KNOWN_MAX:
            self._taken.popitem(last=False)

    def _worker(self, entry_point: str) -> Worker:
        actor = self._registry.published_at(entry_point)
        if actor.worker is None:
            raise BystanderError(
                "worker_unreachable", "The recording has no worker.", fault=Fault.SERVER, status=503
            )
        return actor.worker


def _session(session: str) -> str:
    if not is_id(session, SESSION_PREFIX):
        raise caller_error("not_found", "There is no such session.", status=404)
    return session
