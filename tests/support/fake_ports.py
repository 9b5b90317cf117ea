"""In-memory fulfilment of signaling.ports: what the server's edge is tested against.

Everything is kept in plain dictionaries that a test may read and change. `fail` makes a named call
raise the next time, so that a test sees how the edge translates it.
"""

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from recorder.kernel.clock import Clock, ManualClock
from recorder.kernel.connectors.source import ConnectorSource
from recorder.kernel.connectors.status import ConnectorState, ConnectorStatus
from recorder.kernel.conversation import (
    Conversation,
    Decision,
    DecisionKind,
    Interaction,
    InteractionKind,
    InteractionState,
    LayerKind,
    Participant,
    Role,
)
from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.ids import new_id, new_secret
from recorder.kernel.media import (
    IceServer,
    PublishedSession,
    Publisher,
    PublisherInvitation,
    SourceKind,
)
from recorder.kernel.recording import EndReason, EntryPoint, Recording, RecordingState, RecordingType
from signaling.ports import Caller, MediaBytes, Playlist, Ports, Publishing
from tests.support.fake_access import (
    FakeConsents,
    FakeHistory,
    FakeKeptAnswers,
    FakeKeys,
    FakeMessages,
    FakeSessions,
    FakeSettings,
    FakeTerms,
)
from tests.support.fake_audit import FakeAudit
from tests.support.fake_console import FakeConsole
from tests.support.fake_files import FakeBackgrounds, FakeFiles
from tests.support.fake_webhooks import FakeWebhooks

API_KEY = "fake-api-key"
ICE_SERVERS = [
    IceServer(urls=["stun:stun.example.net"]),
    IceServer(urls=["turn:turn.example.net?transport=udp"], username="1893456000:rec", credential="c2VjcmV0"),
]
ANSWER_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
RESTART_FRAGMENT = "a=ice-ufrag:new1\r\na=ice-pwd:0123456789012345678901\r\n"
_ENDED = (RecordingState.AVAILABLE, RecordingState.FAILED)
_CHUNK_BYTES = 1000  # small, so that a test of a few KiB sees several chunks


@dataclass
class FakeMedia:
    """The bytes of one recording; a test appends to `data` and sets `complete`."""

    data: bytearray = field(default_factory=bytearray)
    complete: bool = False
    readers_open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)  # a reader was closed
    fail_after: int | None = None  # reading beyond this offset raises

    @property
    def etag(self) -> str:
        return "complete" if self.complete else "growing"


@dataclass
class FakeSession:
    """A WHIP session as it was published, and what was trickled to it."""

    publisher: Publisher
    offer: str
    etag: str
    fragments: list[str] = field(default_factory=list)


class FakeServer:
    """The state behind the fake ports; `ports` is what signaling gets."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or ManualClock()
        self.conversations: dict[str, Conversation] = {}
        self.participants: dict[str, Participant] = {}
        self.interactions: dict[str, Interaction] = {}
        self.recordings: dict[str, Recording] = {}
        self.interactions_begin = InteractionState.RUNNING  # or HELD, or ABORTED
        self.decisions: list[Decision] = []
        self.decided = asyncio.Condition()
        self.media: dict[str, FakeMedia] = {}
        self.entry_points: dict[str, str] = {}  # secret -> recording
        self.sessions: dict[tuple[str, str], FakeSession] = {}
        self.dependencies: dict[str, bool] = {"store": True, "spool": True}
        self.watchers = 0
        self.authenticated = 0  # tokens that were looked up
        self.unwatched = asyncio.Event()  # the last watcher has left
        self._changed = asyncio.Condition()
        self._failures: dict[str, Exception] = {}
        self.keys = FakeKeys(self)
        self.console_sessions = FakeSessions(self)
        self.console = FakeConsole(self)
        self.terms = FakeTerms(self)
        self.messages = FakeMessages(self)
        self.consents = FakeConsents(self)
        self.webhooks = FakeWebhooks()
        self.audit = FakeAudit()
        self.files = FakeFiles(self)
        self.backgrounds = FakeBackgrounds(self)
        self.ports = Ports(
            authority=FakeAuthority(self),
            keys=self.keys,
            sessions=self.console_sessions,
            console=self.console,
            terms=self.terms,
            messages=self.messages,
            consents=self.consents,
            history=FakeHistory(self),
            kept_answers=FakeKeptAnswers(),
            settings=FakeSettings(self),
            webhooks=self.webhooks,
            files=self.files,
            uploads=self.files,
            snapshots=self.files,
            backgrounds=self.backgrounds,
            conversations=FakeConversations(self),
            recordings=FakeRecordings(self),
            decisions=FakeDecisions(self),
            entry_points=FakeEntryPoints(self),
            connectors=FakeConnectors(self),
            storage=FakeStorage(self),
            health=FakeHealth(self),
            audit=self.audit,
        )

    def fail(self, call: str, error: Exception) -> None:
        """Let the next `call` ("recordings.start") raise `error`."""
        self._failures[call] = error

    def called(self, call: str) -> None:
        """Raise what was armed for this call, once."""
        error = self._failures.pop(call, None)
        if error is not None:
            raise error

    def now(self) -> datetime:
        return self.clock.utc_now()

    def conversation(self, conversation: str) -> Conversation:
        try:
            return self.conversations[conversation]
        except KeyError:
            raise not_found("conversation") from None

    def recording(self, recording: str) -> Recording:
        try:
            return self.recordings[recording]
        except KeyError:
            raise not_found("recording") from None

    async def change(self, recording: str, **fields: Any) -> Recording:
        """Change a recording's fields and tell everybody who watches."""
        changed = msgspec.structs.replace(self.recording(recording), **fields)
        self.recordings[recording] = changed
        async with self._changed:
            self._changed.notify_all()
        return changed

    async def decide(self, interaction: str, kind: DecisionKind, reason: str | None = None) -> None:
        """Tell everybody who waits what becomes of an interaction."""
        decision = Decision(
            sequence=len(self.decisions) + 1,
            conversation=self.interactions[interaction].conversation,
            interaction=interaction,
            kind=kind,
            may_start=kind is DecisionKind.RELEASE,
            must_end=kind is DecisionKind.ABORT,
            reason=reason,
            decided_at=self.now(),
        )
        self.decisions.append(decision)
        async with self.decided:
            self.decided.notify_all()

    async def finish(self, recording: str) -> Recording:
        """The recording becomes AVAILABLE with the media it has."""
        media = self.media[recording]
        media.complete = True
        return await self.change(
            recording,
            state=RecordingState.AVAILABLE,
            entry_point=None,
            ended_at=self.now(),
            end_reason=EndReason.NORMAL,
            bytes=len(media.data),
        )

    async def watch(self, conversation: str) -> AsyncGenerator[Recording, None]:
        seen: dict[str, Recording] = {}
        self.watchers += 1
        try:
            while True:
                fresh = [
                    one
                    for one in self.recordings.values()
                    if one.conversation == conversation and seen.get(one.id) != one
                ]
                for one in fresh:
                    seen[one.id] = one
                    yield one
                if not fresh:
                    async with self._changed:
                        await self._changed.wait()
        finally:
            self.watchers -= 1
            if self.watchers == 0:
                self.unwatched.set()


class FakeAuthority:
    """API_KEY is the API key; every participant's token is that participant."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def authenticate(self, token: str) -> Caller:
        self._server.called("authority.authenticate")
        self._server.authenticated += 1
        if token == API_KEY:
            return Caller()
        for participant in self._server.participants.values():
            if participant.token == token:
                return Caller(participant)
        if (key := self._server.keys.with_secret(token)) is not None:
            return Caller(key=key)
        raise caller_error("unauthorized", "The token is not valid.", status=401)


class FakeConversations:
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def create(
        self,
        *,
        template: str | None,
        external_id: str | None,
        metadata: dict[str, str],
        account: str = "default",
    ) -> Conversation:
        self._server.called("conversations.create")
        conversation = Conversation(
            id=new_id("conv"),
            account=account,
            template=template,
            external_id=external_id,
            metadata=metadata,
            created_at=self._server.now(),
        )
        self._server.conversations[conversation.id] = conversation
        return conversation

    async def get(self, conversation: str) -> Conversation:
        self._server.called("conversations.get")
        return self._server.conversation(conversation)

    async def end(self, conversation: str) -> Conversation:
        self._server.called("conversations.end")
        ended = msgspec.structs.replace(self._server.conversation(conversation), ended_at=self._server.now())
        self._server.conversations[conversation] = ended
        return ended

    async def delete(self, conversation: str, *, end_recordings: bool = False) -> None:
        self._server.called("conversations.delete")
        self._server.conversation(conversation)
        del self._server.conversations[conversation]
        for one in [one for one in self._server.recordings.values() if one.conversation == conversation]:
            del self._server.recordings[one.id]

    async def add_participant(self, conversation: str, *, role: Role, name: str) -> Participant:
        self._server.called("conversations.add_participant")
        self._server.conversation(conversation)
        participant = Participant(
            id=new_id("part"), conversation=conversation, role=role, name=name, token=new_secret()
        )
        self._server.participants[participant.id] = participant
        return participant

    async def renew_token(self, conversation: str, participant: str) -> Participant:
        self._server.called("conversations.renew_token")
        found = self._server.participants.get(participant)
        if found is None or found.conversation != conversation:
            raise not_found("participant")
        renewed = msgspec.structs.replace(found, token=new_secret())
        self._server.participants[participant] = renewed
        return renewed

    async def participants(self, conversation: str) -> builtins.list[Participant]:
        self._server.called("conversations.participants")
        self._server.conversation(conversation)
        return [one for one in self._server.participants.values() if one.conversation == conversation]

    async def start_interaction(
        self,
        conversation: str,
        *,
        kind: InteractionKind,
        layer: LayerKind | None,
        by_pin: bool = False,
        owner: str | None = None,
    ) -> Interaction:
        self._server.called("conversations.start_interaction")
        self._server.conversation(conversation)
        interaction = Interaction(
            id=new_id("int"),
            conversation=conversation,
            kind=kind,
            layer=layer,
            by_pin=by_pin,
            state=self._server.interactions_begin,
            started_at=self._server.now(),
        )
        self._server.interactions[interaction.id] = interaction
        return interaction

    async def interaction(self, conversation: str, interaction: str) -> Interaction:
        found = self._server.interactions.get(interaction)
        if found is None or found.conversation != conversation:
            raise not_found("interaction")
        return found

    async def end_interaction(
        self, conversation: str, interaction: str, *, ended_by: Caller | None = None
    ) -> Interaction:
        self._server.called("conversations.end_interaction")
        found = self._server.interactions.get(interaction)
        if found is None or found.conversation != conversation:
            raise not_found("interaction")
        ended = msgspec.structs.replace(found, ended_at=self._server.now())
        self._server.interactions[interaction] = ended
        return ended


class FakeConnectors:
    """Connects to nothing, and says that it waits."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.sources: dict[str, ConnectorSource] = {}

    def check(self, conversation: str, source: ConnectorSource) -> None:
        self._server.called("connectors.check")

    async def begin(self, conversation: str, interaction: str, source: ConnectorSource) -> ConnectorStatus:
        self._server.called("connectors.begin")
        self.sources[interaction] = source
        return self._status()

    async def end(self, interaction: str) -> None:
        self.sources.pop(interaction, None)

    def status(self, interaction: str) -> ConnectorStatus | None:
        return self._status() if interaction in self.sources else None

    def _status(self) -> ConnectorStatus:
        return ConnectorStatus(kind="janus", state=ConnectorState.WAITING, since=self._server.now())


class FakeDecisions:
    """What a test decides by FakeServer.decide."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def list(self, conversation: str, *, after: int, wait_s: float) -> list[Decision]:
        self._server.called("decisions.list")
        self._server.conversation(conversation)
        try:
            async with asyncio.timeout(wait_s or None), self._server.decided:
                while not (found := self._after(conversation, after)) and wait_s:
                    await self._server.decided.wait()
        except TimeoutError:
            return []
        return found

    def _after(self, conversation: str, after: int) -> builtins.list[Decision]:
        known = self._server.decisions
        return [one for one in known if one.conversation == conversation and one.sequence > after]


class FakeRecordings:
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def start(self, conversation: str, *, started_by: Caller) -> Recording:
        self._server.called("recordings.start")
        if self._server.conversation(conversation).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)
        secret = new_secret()
        recording = Recording(
            id=new_id("rec"),
            conversation=conversation,
            state=RecordingState.READY,
            type=RecordingType.AUDIO_VIDEO,
            entry_point=EntryPoint(
                url=f"http://127.0.0.1:8080/whip/{secret}",
                token="whip-" + secret,
                ice_servers=ICE_SERVERS,
                expires_at=self._server.now() + timedelta(hours=1),
            ),
            requested_at=self._server.now(),
            filename="recording.mp4",
        )
        self._server.recordings[recording.id] = recording
        self._server.media[recording.id] = FakeMedia()
        self._server.entry_points[secret] = recording.id
        return await self._server.change(recording.id)

    async def get(self, recording: str) -> Recording:
        self._server.called("recordings.get")
        return self._server.recording(recording)

    async def list(self, conversation: str) -> list[Recording]:
        self._server.called("recordings.list")
        self._server.conversation(conversation)
        return [one for one in self._server.recordings.values() if one.conversation == conversation]

    async def stop(self, recording: str, *, stopped_by: Caller) -> Recording:
        self._server.called("recordings.stop")
        if self._server.recording(recording).state in (RecordingState.FINALIZING, *_ENDED):
            return self._server.recording(recording)
        return await self._server.change(
            recording, state=RecordingState.FINALIZING, end_reason=EndReason.NORMAL, entry_point=None
        )

    async def pause(self, recording: str) -> Recording:
        self._server.called("recordings.pause")
        return await self._move(recording, RecordingState.RECORDING, RecordingState.PAUSED)

    async def resume(self, recording: str) -> Recording:
        self._server.called("recordings.resume")
        return await self._move(recording, RecordingState.PAUSED, RecordingState.RECORDING)

    async def media(self, recording: str) -> MediaBytes:
        self._server.called("recordings.media")
        media = self._server.media.get(recording)
        if media is None:
            raise not_found("recording")
        media.readers_open += 1
        return MediaBytes(
            size=len(media.data),
            complete=media.complete,
            etag=media.etag,
            content_type="video/mp4",
            filename=self._server.recording(recording).filename or "recording.mp4",
            reader=FakeReader(media),
        )

    async def playlist(self, recording: str, uri: str) -> Playlist:
        self._server.called("recordings.playlist")
        if recording not in self._server.media:
            raise not_found("recording")
        return Playlist(f"#EXTM3U\n{uri}\n", self._server.media[recording].complete)

    async def store_link(
        self, recording: str, *, lifetime_s: int, method: Literal["GET", "HEAD"], content_disposition: str
    ) -> str:
        self._server.called("recordings.store_link")
        if recording not in self._server.media:
            raise not_found("recording")
        told = urlencode({"for": lifetime_s, "as": content_disposition, "method": method})
        return f"https://store.example.net/{recording}?{told}"

    def watch(self, conversation: str) -> AsyncIterator[Recording]:
        return self._server.watch(conversation)

    async def _move(self, recording: str, before: RecordingState, after: RecordingState) -> Recording:
        state = self._server.recording(recording).state
        if state is not before:
            raise caller_error("illegal_move", f"The recording is {state}, not {before}.", status=409)
        return await self._server.change(recording, state=after)


class FakeReader:
    def __init__(self, media: FakeMedia) -> None:
        self._media = media

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        for offset in range(start, stop, _CHUNK_BYTES):
            if self._media.fail_after is not None and offset >= self._media.fail_after:
                raise caller_error("store_unreachable", "The store does not answer.", status=503)
            yield bytes(self._media.data[offset : min(stop, offset + _CHUNK_BYTES)])

    async def close(self) -> None:
        self._media.readers_open -= 1
        self._media.closed.set()


class FakeEntryPoints:
    """An entry point's token is `whip-` and its secret; a participant's has their id and their own token."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def check(self, entry_point: str, token: str | None) -> Publishing:
        self._server.called("entry_points.check")
        if entry_point not in self._server.entry_points:
            raise not_found("entry point")
        if token == "whip-" + entry_point:
            return Publishing(ICE_SERVERS)
        for one in self._server.participants.values():
            if token == self.token_for(self._server.entry_points[entry_point], one):
                return Publishing(ICE_SERVERS, one, frozenset({SourceKind.CAMERA, SourceKind.SCREEN_SHARE}))
        raise caller_error("unauthorized", "The token does not fit.", status=401)

    def token_for(self, recording: str, participant: Participant) -> str:
        return f"whip-{recording}-{participant.id}-{participant.token}"

    async def invite(
        self, recording: str, participant: str, sources: frozenset[SourceKind]
    ) -> PublisherInvitation:
        self._server.called("entry_points.invite")
        found = (await self._server.ports.recordings.get(recording)).entry_point
        if participant not in self._server.participants:
            raise not_found("participant")
        if found is None:
            raise caller_error("not_publishable", "It takes nobody.", status=409)
        return PublisherInvitation(
            recording=recording,
            participant=participant,
            sources=sorted(sources),
            url=found.url,
            token=self.token_for(recording, self._server.participants[participant]),
            ice_servers=found.ice_servers,
            expires_at=found.expires_at,
        )

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession:
        self._server.called("entry_points.publish")
        if "m=" not in offer:
            raise caller_error("no_media_sent", "The offer sends no media.", status=422)
        session = new_id("ses")
        etag = f"{session}.1"
        self._server.sessions[entry_point, session] = FakeSession(publisher, offer, etag)
        return PublishedSession(id=session, sdp=ANSWER_SDP, etag=etag)

    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None, *, by: str | None = None
    ) -> tuple[str, str] | None:
        self._server.called("entry_points.trickle")
        found = self._session(entry_point, session, by)
        if if_match not in (None, "*"):
            if if_match != found.etag:
                raise caller_error("stale_ice_session", "The ICE session is another one now.", status=412)
            found.fragments.append(fragment)
            return None
        found.etag = f"{session}.{int(found.etag.rpartition('.')[2]) + 1}"
        return RESTART_FRAGMENT, found.etag

    async def unpublish(self, entry_point: str, session: str, *, by: str | None = None) -> None:
        self._server.called("entry_points.unpublish")
        self._session(entry_point, session, by)
        del self._server.sessions[entry_point, session]

    def _session(self, entry_point: str, session: str, by: str | None = None) -> FakeSession:
        found = self._server.sessions.get((entry_point, session))
        if found is None or by not in (None, found.publisher.participant):
            raise not_found("session")
        return found


class FakeStorage:
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def test(self, *, store: str) -> dict[str, Any]:
        self._server.called("storage.test")
        if store != "default":
            raise not_found("store")
        return {"ok": True, "steps": [{"name": "write", "ok": True, "seconds": 0.001, "detail": ""}]}


class FakeHealth:
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def ready(self) -> dict[str, bool]:
        self._server.called("health.ready")
        return dict(self._server.dependencies)


def overloaded() -> BystanderError:
    """What a port raises when this machine cannot take one more."""
    return BystanderError("overloaded", "No worker can be started now.", fault=Fault.RESOURCE, status=503)
