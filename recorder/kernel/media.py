"""Streams, their publishers, and the fragments that are made of them, as immutable values.

Durations are in seconds unless the name says otherwise.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from recorder.kernel.conversation import InteractionKind, Role


class SourceKind(StrEnum):
    """What a stream shows or carries. The first two belong to a CALL, the others to a layer."""

    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN_SHARE = "screen_share"
    DOCUMENT = "document"
    EMBEDDED = "embedded"
    UNIVERSAL = "universal"

    @property
    def interaction(self) -> "InteractionKind":
        """The kind of interaction that a stream of this source belongs to."""
        in_call = self in (SourceKind.CAMERA, SourceKind.MICROPHONE)
        return InteractionKind.CALL if in_call else InteractionKind.COLLABORATION_LAYER


class IceTransportPolicy(StrEnum):
    """ALL candidates, or RELAYED: only through the owner's TURN server."""

    ALL = "ALL"
    RELAYED = "RELAYED"


class IceServer(msgspec.Struct, frozen=True, kw_only=True):
    """One RTCIceServer entry: STUN or TURN URLs with their short-lived credentials."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class Publisher(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends one WHIP session and what its pictures are.

    Audio of a session whose source is CAMERA is that participant's microphone; audio of a
    SCREEN_SHARE is the sound of what is shared.
    """

    participant: str
    name: str
    role: Role = Role.VISITOR
    source: SourceKind = SourceKind.CAMERA


class PublisherInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """Where and by which token one participant publishes to a recording: the token says who they are."""

    recording: str
    participant: str
    sources: list[SourceKind]
    url: str
    token: str
    ice_servers: list[IceServer]
    expires_at: datetime


class Canvas(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed picture that the composite is painted on; both sides even, in pixels."""

    width: int = 1280
    height: int = 720
    fps: int = 25


class FragmentKind(StrEnum):
    """An init segment (ftyp, moov, reserved space), a media fragment (moof, mdat), or what no spool holds:
    a piece of the sample tables behind the fragments of a finished, ordinary file (moov)."""

    INIT = "init"
    MEDIA = "media"
    TABLES = "tables"


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are appended to the recording as they are and never changed before finalising.

    `start_us` and `duration_us` are on the recording's clock, in microseconds; an INIT has zero of both.
    A MEDIA fragment begins with a key frame where the recording has pictures. A `provisional` one will come
    again, longer: it is not part of the recording unless its writer dies before that.
    """

    kind: FragmentKind
    data: bytes
    start_us: int = 0
    duration_us: int = 0
    provisional: bool = False


class MediaEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the media, for events.jsonl and the server: `at_s` on the recording's clock.

    Kinds: recording_started, gap (a worker went on with what another had begun, after `length_s` seconds of
    which nothing is recorded), joined, left, stream_started, stream_ended, muted, unmuted, gap_started,
    gap_ended, codec_changed, size_changed, stream_unreadable (encrypted or damaged: silence, or a tile
    that says so), stream_readable, degraded, connection_failed (with its `reason`), ended; and, noted by the
    server, consent_given, consent_refused, connector_connected (after a loss with the `length_s` of it) and
    connector_lost (with its `reason`); and, written by the archive where the object lacks something,
    media_missing.
    """

    kind: str
    at_s: float
    participant: str | None = None
    name: str | None = None
    role: Role | None = None
    source: SourceKind | None = None
    detail: dict[str, Any] = {}


class PublishedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a publisher: its WHIP resource, our SDP, and the entity tag of its ICE session."""

    id: str
    sdp: str
    etag: str


class ParticipantStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was received from one publisher: counters since it joined."""

    participant: str
    source: SourceKind
    packets: int = 0
    bytes: int = 0
    lost: int = 0  # never came, not even by retransmission
    recovered: int = 0  # came by retransmission
    frames: int = 0
    dropped: dict[str, int] = {}  # by reason
