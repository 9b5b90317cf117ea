"""The words of the domain, each with one meaning, as immutable values.

Times are timezone-aware UTC, durations in seconds unless the name says otherwise, ids are opaque strings.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

DEFAULT_ACCOUNT = "default"


class Role(StrEnum):
    """What a participant is in a conversation."""

    AGENT = "AGENT"
    SECONDARY_AGENT = "SECONDARY_AGENT"
    SUPERVISOR = "SUPERVISOR"
    VISITOR = "VISITOR"
    SECONDARY_VISITOR = "SECONDARY_VISITOR"


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


class InteractionKind(StrEnum):
    """What people do together that can be recorded."""

    CALL = "CALL"
    COLLABORATION_LAYER = "COLLABORATION_LAYER"


class LayerKind(StrEnum):
    """The kinds of collaboration layer."""

    DOCUMENT = "document"
    EMBEDDED = "embedded"
    UNIVERSAL = "universal"
    SCREEN_SHARE = "screen_share"


class RecordingType(StrEnum):
    """Whether pictures are recorded at all."""

    AUDIO_VIDEO = "AUDIO_VIDEO"
    AUDIO = "AUDIO"


class TriggeringMode(StrEnum):
    """Whether recordings start by themselves."""

    AUTOMATIC = "AUTOMATIC"
    MANUAL = "MANUAL"


class StartMode(StrEnum):
    """Whether an interaction waits until it can be recorded."""

    SYNCHRONOUS = "SYNCHRONOUS"
    ASYNCHRONOUS = "ASYNCHRONOUS"


class FailoverMode(StrEnum):
    """What becomes of an interaction whose recording fails."""

    RETRY = "RETRY"
    ABORT = "ABORT"


class Consent(StrEnum):
    """What participants are asked before anything of them is recorded."""

    NONE = "none"
    ANNOUNCE = "announce"
    ASK = "ask"


class RecordingState(StrEnum):
    """The life of a recording; recorder.lifecycle holds the table of moves."""

    REQUESTED = "REQUESTED"
    LAUNCHING = "LAUNCHING"
    READY = "READY"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    FINALIZING = "FINALIZING"
    AVAILABLE = "AVAILABLE"
    FAILED = "FAILED"


class EndReason(StrEnum):
    """Why a recording ended."""

    NORMAL = "NORMAL"
    ABORT_SYSTEM = "ABORT_SYSTEM"
    ABORT_TIMEOUT = "ABORT_TIMEOUT"
    ABORT_BLOBSTORE_FAILURE = "ABORT_BLOBSTORE_FAILURE"
    ABORT_UNEXPECTED = "ABORT_UNEXPECTED"


class EventType(StrEnum):
    """What webhooks tell of."""

    RECORDING_STARTED = "recording.started"
    RECORDING_PAUSED = "recording.paused"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_AVAILABLE = "recording.available"
    RECORDING_FAILED = "recording.failed"
    INTERACTION_HOLD = "interaction.hold"  # wait: what would record it is not ready
    INTERACTION_RELEASE = "interaction.release"  # go on
    INTERACTION_ABORT = "interaction.abort"  # end it: it cannot be recorded


class DeliveryState(StrEnum):
    """Whether an event has reached one webhook."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event at one webhook. `last_failure` is a stable code, None after a success."""

    id: str
    webhook: str
    event: str
    type: EventType
    conversation: str
    occurred_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_failure: str | None


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


class Canvas(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed picture that the composite is painted on; both sides even, in pixels."""

    width: int = 1280
    height: int = 720
    fps: int = 25


class RecordingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker must know to make one recording; it never asks back."""

    recording: str
    conversation: str
    type: RecordingType = RecordingType.AUDIO_VIDEO
    canvas: Canvas = Canvas()
    audio_bitrate: int = 64_000  # bit/s, AAC
    video_crf: int = 33  # x264 constant rate factor; docs/encoding.md says why
    video_bitrate_max: int = 2_500_000  # bit/s, the rate the coder is capped at
    fragment_duration_s: float = 2.0
    reorder_wait_s: float = 1.0  # how long a missing packet is waited for
    no_media_timeout_s: float = 60.0  # READY without any media for this long ends the recording
    ice_transport_policy: IceTransportPolicy = IceTransportPolicy.ALL
    ice_servers: list[IceServer] = []
    bind_host: str | None = None  # None: every address of the machine is offered


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

    Kinds: recording_started, joined, left, stream_started, stream_ended, muted, unmuted, gap_started,
    gap_ended, codec_changed, size_changed, degraded, ended; and, noted by the server, consent_given,
    consent_refused.
    """

    kind: str
    at_s: float
    participant: str | None = None
    name: str | None = None
    role: Role | None = None
    source: SourceKind | None = None
    detail: dict[str, Any] = {}


class EntryPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where streams are published: a secret, expiring WHIP endpoint of one recording."""

    url: str
    token: str
    ice_servers: list[IceServer]
    expires_at: datetime


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of one recording."""

    id: str
    conversation: str
    state: RecordingState
    type: RecordingType
    end_reason: EndReason | None = None
    failure: str | None = None  # the stable code of what went wrong, where something did
    entry_point: EntryPoint | None = None  # only to who started it, while it can be published to
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    bytes: int | None = None
    filename: str | None = None
    links: dict[str, str] = {}


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation: participants, interactions and recordings hang on it."""

    id: str
    account: str = DEFAULT_ACCOUNT  # whose settings, webhooks and minutes it counts to
    external_id: str | None = None
    template: str | None = None
    metadata: dict[str, str] = {}
    created_at: datetime
    ended_at: datetime | None = None


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in a conversation; the token is told once, when they are added."""

    id: str
    conversation: str
    role: Role
    name: str
    token: str | None = None
    token_expires_at: datetime | None = None  # told with the token
    room_url: str | None = None


class InteractionState(StrEnum):
    """Whether an interaction may go on."""

    HELD = "HELD"  # it has to wait until it can be recorded
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    ABORTED = "ABORTED"  # it had to end: it could not be recorded


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """A call or a collaboration layer that runs, or ran, in a conversation.

    `by_pin`: people met by typing a PIN. `recorded`: recordings that run during it take it.
    """

    id: str
    conversation: str
    kind: InteractionKind
    layer: LayerKind | None = None
    by_pin: bool = False
    state: InteractionState = InteractionState.RUNNING
    recorded: bool = False
    started_at: datetime
    ended_at: datetime | None = None


class DecisionKind(StrEnum):
    """What a call service is told of an interaction."""

    HOLD = "HOLD"  # do not let it start yet
    RELEASE = "RELEASE"  # let it start
    ABORT = "ABORT"  # end it


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a call service has to obey. `sequence` grows within a conversation; the newest one counts.

    `reason` is a stable code where something went wrong, `recording` the one that was waited for.
    """

    sequence: int
    conversation: str
    interaction: str
    kind: DecisionKind
    may_start: bool
    must_end: bool
    reason: str | None = None
    recording: str | None = None
    decided_at: datetime


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


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has done so far; all counters are since its start."""

    state: RecordingState
    duration_s: float = 0.0
    bytes_written: int = 0
    fragments: int = 0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    frames_composed: int = 0
    frames_skipped: int = 0
    frame_rate_divisor: int = 1  # above one: the machine cannot make more pictures
    thorough: bool = True  # False: it cannot code them with more effort either
    resolution_divisor: int = 1  # above one: nor with all columns
    spool_lag_s: float = 0.0  # age of the newest media not yet in the spool
    dropped: dict[str, int] = {}
    participants: list[ParticipantStatistics] = []
