"""Ports: what signaling needs of the rest, as Protocols; recorder hands in what fulfils them."""

import builtins
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from recorder.kernel.connectors.source import ConnectorSource
from recorder.kernel.connectors.status import ConnectorStatus
from recorder.kernel.conversation import (
    Conversation,
    Decision,
    Interaction,
    InteractionKind,
    LayerKind,
    Participant,
    Role,
)
from recorder.kernel.history import (
    ConversationOverview,
    ConversationSearch,
    RecordingDetails,
    RecordingSearch,
    UsagePeriod,
    UsageRow,
)
from recorder.kernel.media import IceServer, PublishedSession, Publisher, PublisherInvitation, SourceKind
from recorder.kernel.message import ConsentAnswer, ConsentGiven, Message
from recorder.kernel.permissions import ApiKey, ConversationTerms, IssuedKey, KeyScope
from recorder.kernel.recording import Recording
from signaling.audit_port import Audit
from signaling.caller import Caller as Caller
from signaling.console_port import Console
from signaling.file_port import Backgrounds, Files, Snapshots, Uploads
from signaling.media_port import MediaBytes as MediaBytes
from signaling.media_port import MediaReader as MediaReader
from signaling.webhook_port import Webhooks


@dataclass(frozen=True, slots=True)
class Playlist:
    """The text of an HLS playlist; `complete` when no line will be added."""

    text: str
    complete: bool


class Authority(Protocol):
    """Turns a bearer token into a Caller; raises BystanderError (401 unauthorized) when it is no good."""

    async def authenticate(self, token: str) -> Caller: ...


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """Somebody who signed in to the console, and until when that holds if nothing more is asked."""

    caller: Caller
    name: str
    expires_at: datetime


class ConsoleSessions(Protocol):
    """Sign-ins to the console. The secret leaves with `begin` only; 401 session_ended once it is over."""

    async def begin(self, caller: Caller, *, name: str) -> tuple[str, ConsoleSession]:
        """The secret of a new session, and what it opens."""
        ...

    async def find(self, secret: str) -> ConsoleSession: ...
    async def end(self, secret: str) -> None:
        """Good from now on for nothing. Ending twice is the same as once."""
        ...


class Keys(Protocol):
    """API keys; a secret leaves with the IssuedKey only. 404 not_found beyond the caller's account."""

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        account: str | None,
        scopes: list[KeyScope],
        expires_at: datetime | None,
    ) -> IssuedKey:
        """403 forbidden for more than the caller may itself."""
        ...

    async def get(self, caller: Caller, key: str) -> ApiKey: ...
    async def list(self, caller: Caller, *, after: str | None, limit: int) -> list[ApiKey]: ...
    async def rotate(self, caller: Caller, key: str, *, overlap_s: int) -> IssuedKey:
        """A new secret; the one before stays good for `overlap_s`. 409 key_revoked."""
        ...

    async def revoke(self, caller: Caller, key: str) -> ApiKey:
        """Good from now on for nothing. Revoking twice is the same as once."""
        ...


class EffectiveTerms(Protocol):
    """What counts in a conversation, as its settings say."""

    async def of(self, conversation: str) -> ConversationTerms: ...


class Conversations(Protocol):
    async def create(
        self,
        *,
        template: str | None,
        external_id: str | None,
        metadata: dict[str, str],
        account: str = "default",
    ) -> Conversation: ...
    async def get(self, conversation: str) -> Conversation: ...
    async def end(self, conversation: str) -> Conversation: ...
    async def delete(self, conversation: str, *, end_recordings: bool = False) -> None:
        """409 recording_in_progress while something is recorded, unless that is to end and go, too."""
        ...

    async def add_participant(self, conversation: str, *, role: Role, name: str) -> Participant: ...
    async def renew_token(self, conversation: str, participant: str) -> Participant:
        """A new token; the one before is good no longer."""
        ...

    async def participants(self, conversation: str) -> builtins.list[Participant]: ...
    async def start_interaction(
        self,
        conversation: str,
        *,
        kind: InteractionKind,
        layer: LayerKind | None,
        by_pin: bool = False,
        owner: str | None = None,
    ) -> Interaction:
        """HELD where it has to wait until it can be recorded; the Decisions tell how that goes on.

        `owner` names what it is to whoever starts it: while one of that name runs, that one is returned.
        """
        ...

    async def interaction(self, conversation: str, interaction: str) -> Interaction: ...
    async def end_interaction(
        self, conversation: str, interaction: str, *, ended_by: Caller | None = None
    ) -> Interaction:
        """`ended_by` None: whoever owns it. 403 forbidden where a participant ends what a room owns."""
        ...


class Messages(Protocol):
    """What is said in conversations, and what recordings leave among it."""

    async def say(self, caller: Caller, conversation: str, *, text: str, participant: str | None) -> Message:
        """403 forbidden in the name of somebody else, 409 conversation_ended."""
        ...

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[Message]:
        """In their order; those that the caller's role sees."""
        ...


class Consents(Protocol):
    """Whether participants agree to being recorded."""

    async def answer(
        self, caller: Caller, conversation: str, participant: str, answer: ConsentAnswer
    ) -> ConsentGiven:
        """403 forbidden in the name of somebody else; the last answer counts."""
        ...

    async def list(self, conversation: str) -> builtins.list[ConsentGiven]: ...


class History(Protocol):
    """Looking back, over all conversations."""

    async def conversations(self, search: ConversationSearch) -> list[Conversation]: ...
    async def overviews(self, search: ConversationSearch) -> list[ConversationOverview]:
        """The same conversations, each with who took part and how much was recorded."""
        ...

    async def recordings(self, search: RecordingSearch) -> list[RecordingDetails]: ...
    async def details(self, recording: str) -> RecordingDetails: ...
    async def usage(
        self, *, account: str | None, first: datetime, until: datetime, by: UsagePeriod
    ) -> list[UsageRow]:
        """Of recordings that began in [first, until)."""
        ...


class Recordings(Protocol):
    async def start(self, conversation: str, *, started_by: Caller) -> Recording:
        """A manual start: returns once the entry point takes publishers (READY), with it inside."""
        ...

    async def get(self, recording: str) -> Recording: ...
    async def list(self, conversation: str) -> list[Recording]: ...
    async def stop(self, recording: str, *, stopped_by: Caller) -> Recording:
        """Ask it to end; returns at FINALIZING or later. Stopping twice is the same as once.

        403 forbidden to roles that may not: what started by itself is stopped by recording.allow_stop alone.
        """
        ...

    async def pause(self, recording: str) -> Recording: ...
    async def resume(self, recording: str) -> Recording: ...
    async def media(self, recording: str) -> MediaBytes: ...
    async def playlist(self, recording: str, uri: str) -> Playlist:
        """An HLS playlist of what there is now, for media found at `uri`; no_media, no_index (409)."""
        ...

    async def store_link(
        self, recording: str, *, lifetime_s: int, method: Literal["GET", "HEAD"], content_disposition: str
    ) -> str:
        """The store's own link to the stored object; no_store_link (409) while, or where, there is none."""
        ...

    def watch(self, conversation: str) -> AsyncIterator[Recording]:
        """Every recording of the conversation whenever it changes, beginning with how each is now.

        For use inside the server: each carries its entry point while that takes publishers, and the room
        tells it to its participants. An edge that passes these on takes the entry point out.
        """
        ...


class Connectors(Protocol):
    """Other systems that interactions are recorded from. What was given as a secret is never told again."""

    def check(self, conversation: str, source: ConnectorSource) -> None:
        """403 target_not_allowed, 409 too_many_connectors, 422 for what can never be connected to."""
        ...

    async def begin(self, conversation: str, interaction: str, source: ConnectorSource) -> ConnectorStatus:
        """Connect whenever something of the conversation takes media, until `end`."""
        ...

    async def end(self, interaction: str) -> None:
        """Disconnect for good; nothing where there is none."""
        ...

    def status(self, interaction: str) -> ConnectorStatus | None:
        """None where the interaction has none, or has ended."""
        ...


class Decisions(Protocol):
    """What a call service has to obey."""

    async def list(self, conversation: str, *, after: int, wait_s: float) -> list[Decision]:
        """Those after the one with this sequence; where there are none, the next ones within `wait_s`."""
        ...


@dataclass(frozen=True, slots=True)
class Publishing:
    """Whose token was shown at an entry point: a participant's, for these sources, or the call service's own.

    The call service (`participant` None) is believed about who publishes.
    """

    ice_servers: list[IceServer]
    participant: Participant | None = None
    sources: frozenset[SourceKind] = frozenset(SourceKind)


class EntryPoints(Protocol):
    """WHIP resources. `entry_point` is the opaque last part of the secret URL."""

    async def check(self, entry_point: str, token: str | None) -> Publishing:
        """404 unknown or expired, 401 wrong token; else whose it is, and the ICE servers to advertise."""
        ...

    def token_for(self, recording: str, participant: Participant) -> str:
        """A token that publishes as this participant, who came by their own; a new one of those ends it."""
        ...

    async def invite(
        self, recording: str, participant: str, sources: frozenset[SourceKind]
    ) -> PublisherInvitation:
        """The same for a participant who is named; 404 not_found, 409 not_publishable."""
        ...

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession: ...
    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None, *, by: str | None = None
    ) -> tuple[str, str] | None:
        """None: candidates taken. (SDP fragment, new ETag): ICE was restarted. 412 when the tag is stale.

        Entity tags pass this wall without quotes; `if_match` "*" asks for a restart. `by`: the participant
        who asks; 404 for somebody else's session.
        """
        ...

    async def unpublish(self, entry_point: str, session: str, *, by: str | None = None) -> None: ...


class EffectiveSetting(msgspec.Struct, frozen=True):
    """What counts, and the scope that said it: default, server, account, template or conversation."""

    value: Any
    scope: str


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one account, template or conversation says itself; version 0 never said anything."""

    scope: str
    owner: str
    version: int
    values: dict[str, Any]


class Settings(Protocol):
    """`scope` is account, template or conversation; `owner` its id; `account` says whose template it is."""

    async def get(self, scope: str, owner: str, *, account: str) -> OwnSettings: ...
    async def put(
        self, scope: str, owner: str, values: dict[str, Any], *, account: str, version: int | None
    ) -> OwnSettings:
        """Replace all of it; 412 settings_changed unless `version` is the one in force.

        422 unknown_setting, invalid_setting, setting_not_allowed, setting_immutable, setting_locked: the
        detail is the key, a colon, and the reason.
        """
        ...

    async def effective(self, scope: str, owner: str, *, account: str) -> dict[str, EffectiveSetting]:
        """By full key, all that an inner scope may say."""
        ...


@dataclass(frozen=True, slots=True)
class IdempotencyResponse:
    """An answer that may be given again: the hash of its request's body, and what only signaling reads."""

    fingerprint: str
    sealed: bytes


class IdempotencyStore(Protocol):
    """For a day, by the hash of what was asked; each payer has a share."""

    async def get(self, request: str) -> IdempotencyResponse | None: ...
    async def put(self, request: str, answer: IdempotencyResponse, *, payer: str) -> None: ...


class StorageProbe(Protocol):
    async def test(self, *, store: str) -> dict[str, Any]:
        """Try the store of that name: {"ok": bool, "steps": [{"name", "ok", "seconds", "detail"}]}.

        404 not_found where the settings have none of that name.
        """
        ...


class Health(Protocol):
    async def ready(self) -> dict[str, bool]:
        """Each dependency by name, and whether it can be used now; all True is ready."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything signaling is composed with."""

    authority: Authority
    keys: Keys
    sessions: ConsoleSessions
    console: Console
    terms: EffectiveTerms
    messages: Messages
    consents: Consents
    history: History
    kept_answers: IdempotencyStore
    conversations: Conversations
    recordings: Recordings
    decisions: Decisions
    entry_points: EntryPoints
    connectors: Connectors
    storage: StorageProbe
    health: Health
    settings: Settings
    webhooks: Webhooks
    audit: Audit
    files: Files
    uploads: Uploads
    snapshots: Snapshots
    backgrounds: Backgrounds
