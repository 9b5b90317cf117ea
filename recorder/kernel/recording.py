"""Recordings: what one is told, what it says of itself, and its state, as immutable values.

Times are timezone-aware UTC, durations in seconds unless the name says otherwise, ids are opaque strings.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Role
from recorder.kernel.limits import PICTURE_PIXELS_MAX
from recorder.kernel.media import Canvas, IceServer, IceTransportPolicy, ParticipantStatistics
from recorder.kernel.network.media import MediaNetwork


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


class StartsWith(StrEnum):
    """Who has to be in the built-in room for its call to be one that is recorded."""

    AGENT = "agent"  # an agent, also alone
    CALL = "call"  # two, whoever they are


class FailoverMode(StrEnum):
    """What becomes of an interaction whose recording fails."""

    RETRY = "RETRY"
    ABORT = "ABORT"


class AfterInterruption(StrEnum):
    """What becomes of a recording whose worker is lost: another goes on with it, or a new one follows."""

    CONTINUE = "continue"
    NEW = "new"


class RecordingState(StrEnum):
    """The life of a recording; recorder.recording.state_machine holds the table of moves."""

    REQUESTED = "REQUESTED"
    LAUNCHING = "LAUNCHING"
    READY = "READY"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    INTERRUPTED = "INTERRUPTED"  # its worker was lost, another goes on with it
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


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier workers wrote of a recording that goes on."""

    init_segment: bytes
    last_fragment: bytes  # empty where there is none
    fragments: int


class RecordingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker must know to make one recording; it never asks back."""

    recording: str
    conversation: str
    type: RecordingType = RecordingType.AUDIO_VIDEO
    canvas: Canvas = Canvas()
    audio_bitrate: int = 64_000  # bit/s, AAC
    audio_channels: int = 1
    video_crf: int = 33  # x264 constant rate factor; docs/how/encoding.md says why
    video_bitrate_max: int = 2_500_000  # bit/s, the rate the coder is capped at
    fragment_duration_s: float = 2.0
    reorder_wait_s: float = 1.0  # how long a missing packet is waited for
    no_media_timeout_s: float = 60.0  # without any media for this long it ends, at any time
    duration_s_max: float = 43_200.0  # it ends some time after this, where no server ends it before
    ice_transport_policy: IceTransportPolicy = IceTransportPolicy.ALL
    ice_servers: list[IceServer] = []
    bind_host: str | None = None  # the only address of media; None: what `network` says
    network: MediaNetwork = MediaNetwork()
    zero_ns: int | None = None  # local time of the recording's zero, where an earlier worker fixed it
    written: Written | None = None  # what it had written by then; its worker finds it in the spool
    max_pixels: int = PICTURE_PIXELS_MAX  # of one publisher's picture; a larger one is not decoded


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
    receiving: bool = True  # False: it runs, and nobody's media arrives
    automatic: bool = False  # it runs because of what triggers it: who may stop it is recording.allow_stop
    entry_point: EntryPoint | None = None  # only to who started it, while it can be published to
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    bytes: int | None = None
    missing_s: float | None = None  # of its time, that the object lacks; None: nothing known to be missing
    filename: str | None = None
    links: dict[str, str] = {}


class RecordingRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one recording beside its media."""

    id: str
    conversation: str
    number: int
    type: RecordingType
    state: RecordingState
    end_reason: EndReason | None = None
    failure: str | None = None
    object_key: str
    filename: str
    filename_template: str | None = None  # of a name that says who took part; None: it names nobody
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    bytes: int | None = None
    missing_s: float | None = None  # of its time, that the object lacks; None: nothing known to be missing
    node: str | None = None  # whose data directory it is recorded in; None: as long as a database had one
    store: str | None = None  # that it lies in, by id; None: of before that was written down
    moved_from: str | None = None  # a store that may hold it, too, until its move is over
    continues: str | None = None  # the failed recording in whose entry this one counts, should it fail, too


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose media came into a recording: from their first session to the end of their last."""

    participant: str
    name: str
    role: Role
    joined_at: datetime
    left_at: datetime | None = None  # None: they are there


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One launch of a worker for a recording."""

    recording: str
    number: int
    launched_at: datetime
    ready_at: datetime | None = None
    failure: str | None = None


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
    walls: list[str] = []  # that the worker stands behind; docs/how/sandbox.md
    dropped: dict[str, int] = {}
    participants: list[ParticipantStatistics] = []
