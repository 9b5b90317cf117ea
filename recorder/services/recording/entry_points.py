"""WHIP resources of the recordings that take publishers: which recording, which worker, may they."""

import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from recorder.database import RecordingRow
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.ids import is_id, new_id
from recorder.kernel.log.subject import log_about
from recorder.kernel.media import PublishedSession, Publisher, PublisherInvitation, SourceKind
from recorder.node.entry_point_secrets import SOURCES_JOINED_BY, EntryPointSecrets
from recorder.recording.registry import RecordingRegistry
from recorder.services.conversation.consent import ConsentRequirement
from recorder.services.recording.view import RecordingView
from recorder.worker_pool.pool import Worker
from signaling.ports import Publishing

SESSION_PREFIX = "ses"
PARTICIPANT_PREFIX = "part"
TOKEN_CHARS_MAX = 256  # a participant's id, six sources and a digest
SESSIONS_PER_PARTICIPANT_MAX = 8  # one for each source, and two that have just reconnected
SESSIONS_KNOWN_MAX = 65_536
PARTICIPANTS_KNOWN_MAX = 8_192  # more than a node's recordings have publishers

_log = logging.getLogger(__name__)

T = TypeVar("T")
CheckSource = Callable[[RecordingRow, SourceKind], Awaitable[None]]
"""Raises why a recording does not take a stream of this source now."""

Participants = Callable[[str], Awaitable[tuple[Participant, datetime] | None]]
"""Somebody by id, and until when their own token is good."""


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
        participants: Participants,
    ) -> None:
        self._registry = registry
        self._secrets = secrets
        self._view = view
        self._consent = consent
        self._check_source = check_source
        self._participants = participants
        self._taken: OrderedDict[tuple[str, str], deque[tuple[Worker, str]]] = OrderedDict()
        self._owners: OrderedDict[str, str] = OrderedDict()  # of sessions, by participant

    async def check(self, entry_point: str, token: str | None) -> Publishing:
        """404 unknown or expired, 401 wrong token; else whose it is, and the ICE servers to advertise."""
        actor = self._registry.published_at(entry_point)
        log_about(actor.row.id)
        if token is None:
            raise _unauthorized()
        ice_servers = self._view.publisher_ice_servers(actor)
        if self._secrets.is_token(actor.row.id, token):
            return Publishing(ice_servers)
        participant, sources = await self._participant_of(token, actor.row)
        return Publishing(ice_servers, participant, sources)

    def token_for(self, recording: str, participant: Participant) -> str:
        """A token that publishes as this participant, who came by their own.

        It is good for as long as the recording takes publishers, or until they are given a new token.
        """
        until = participant.token_expires_at
        if until is None:
            raise ValueError("only who came by a token of their own publishes by one")
        return self._secrets.publisher_token(recording, participant.id, SourceKind, until)

    async def invite(
        self, recording: str, participant: str, sources: frozenset[SourceKind]
    ) -> PublisherInvitation:
        """404 not_found for who is not in the recording's conversation, 409 not_publishable."""
        actor = self._registry.get(recording)
        shown = None if actor is None else self._view.of_actor(actor)
        if shown is None or shown.entry_point is None:
            raise caller_error("not_publishable", "The recording takes no publishers now.", status=409)
        found = await self._participants(participant)
        if found is None or found[0].conversation != shown.conversation:
            raise not_found("participant")
        until = found[1]
        return PublisherInvitation(
            recording=recording,
            participant=participant,
            sources=sorted(sources),
            url=shown.entry_point.url,
            token=self._secrets.publisher_token(recording, participant, sources, until),
            ice_servers=shown.entry_point.ice_servers,
            expires_at=shown.entry_point.expires_at,
        )

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession:
        actor = self._registry.published_at(entry_point)
        servers = self._view.recorder_ice_servers(actor)

        async def publish(worker: Worker, session: str) -> PublishedSession:
            answer, etag = await worker.publish(session, publisher, offer, servers)
            return PublishedSession(id=session, sdp=answer, etag=etag)

        return await self._take(entry_point, publisher, publish)

    async def offer(self, entry_point: str, publisher: Publisher) -> PublishedSession:
        """A new session of somebody who answers, with our offer as its SDP."""
        servers = self._view.recorder_ice_servers(self._registry.published_at(entry_point))

        async def offer(worker: Worker, session: str) -> PublishedSession:
            return PublishedSession(id=session, sdp=await worker.offer(session, publisher, servers), etag="")

        return await self._take(entry_point, publisher, offer)

    async def receive_rtp(
        self, entry_point: str, publisher: Publisher, source: RtpSource, address: str
    ) -> str:
        """Listen for plain RTP of somebody, in a new session."""

        async def listen(worker: Worker, session: str) -> str:
            await worker.receive_rtp(session, publisher, source, address)
            return session

        return await self._take(entry_point, publisher, listen)

    async def _take(
        self, entry_point: str, publisher: Publisher, begin: Callable[[Worker, str], Awaitable[T]]
    ) -> T:
        """Begin a session, where its publisher agrees and the settings take what they send."""
        worker = self._worker(entry_point)
        row = self._registry.published_at(entry_point).row
        await self._consent.require(row.conversation, publisher.participant)
        await self._check_source(row, publisher.source)
        session = new_id(SESSION_PREFIX)
        await self._make_room(row.conversation, publisher.participant)
        self._took(worker, session, row.conversation, publisher.participant)
        begun = await begin(worker, session)
        try:
            await self._consent.require(row.conversation, publisher.participant)
        except BystanderError:  # they refused meanwhile
            await self.stop_taking(row.conversation, publisher.participant)
            raise
        return begun

    async def renegotiate(self, entry_point: str, session: str, offer: str) -> PublishedSession:
        """One more offer of a session, on its own transport."""
        actor = self._registry.published_at(entry_point)
        servers = self._view.recorder_ice_servers(actor)
        answer, etag = await self._worker(entry_point).renegotiate(_session(session), offer, servers)
        return PublishedSession(id=session, sdp=answer, etag=etag)

    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None, *, by: str | None = None
    ) -> tuple[str, str] | None:
        self._check_owner(session, by)
        servers = self._view.recorder_ice_servers(self._registry.published_at(entry_point))
        return await self._worker(entry_point).trickle(_session(session), fragment, if_match, servers)

    async def unpublish(self, entry_point: str, session: str, *, by: str | None = None) -> None:
        self._check_owner(session, by)
        await self._worker(entry_point).unpublish(_session(session))

    async def stop_taking(self, conversation: str, participant: str) -> None:
        """End every session of a participant who does not agree any longer."""
        for worker, session in self._taken.pop((conversation, participant), ()):
            await _end(worker, session)

    async def _participant_of(
        self, token: str, row: RecordingRow
    ) -> tuple[Participant, frozenset[SourceKind]]:
        """Whose token for this recording it is, and for which sources; 401 unless it is good now."""
        identity, named = [*token.split("."), ""][:2]
        if not is_id(identity, PARTICIPANT_PREFIX) or len(token) > TOKEN_CHARS_MAX:
            raise _unauthorized()
        try:
            sources = frozenset(SourceKind(one) for one in named.split(SOURCES_JOINED_BY))
        except ValueError:
            raise _unauthorized() from None
        found = await self._participants(identity)
        if found is None or found[0].conversation != row.conversation:
            raise _unauthorized()
        participant, until = found
        expected = self._secrets.publisher_token(row.id, identity, sources, until)
        if not secrets.compare_digest(expected.encode(), token.encode(errors="surrogatepass")):
            raise _unauthorized()
        return participant, sources

    async def _make_room(self, conversation: str, participant: str) -> None:
        """The newest sessions of somebody count: what is one too many takes the place of the oldest."""
        taken = self._taken.get((conversation, participant), deque())
        while len(taken) >= SESSIONS_PER_PARTICIPANT_MAX:
            await _end(*taken.popleft())

    def _took(self, worker: Worker, session: str, conversation: str, participant: str) -> None:
        """Remember whose session this is."""
        whose = (conversation, participant)
        self._taken.setdefault(whose, deque()).append((worker, session))
        self._taken.move_to_end(whose)
        if len(self._taken) > PARTICIPANTS_KNOWN_MAX:
            self._taken.popitem(last=False)
        self._owners[session] = participant
        if len(self._owners) > SESSIONS_KNOWN_MAX:
            self._owners.popitem(last=False)

    def _check_owner(self, session: str, by: str | None) -> None:
        """404 for a session of somebody else's; one from before a restart is known by its name alone."""
        if by is not None and self._owners.get(session, by) != by:
            raise not_found("session")

    def _worker(self, entry_point: str) -> Worker:
        actor = self._registry.published_at(entry_point)
        if actor.worker is None:
            raise BystanderError(
                "worker_unreachable", "The recording has no worker.", fault=Fault.SERVER, status=503
            )
        return actor.worker


async def _end(worker: Worker, session: str) -> None:
    try:
        await worker.unpublish(session)
    except BystanderError as error:  # it has ended by itself, or its worker has
        _log.info("a session had ended already", extra={"session": session, "code": error.code})


def _unauthorized() -> BystanderError:
    return caller_error("unauthorized", "A token of this entry point is needed.", status=401)


def _session(session: str) -> str:
    if not is_id(session, SESSION_PREFIX):
        raise caller_error("not_found", "There is no such session.", status=404)
    return session
