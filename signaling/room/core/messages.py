"""The messages of a room between page and server: JSON text with a `type`.

The page speaks first with `hello`, within a bounded time; the server answers `welcome`, which is the whole
state, so that a page that returns after a dropped socket needs nothing else. Descriptions and candidates have
the names of the W3C dictionaries and pass between two pages unread.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from recorder.kernel.conversation import Consent, InteractionKind, LayerKind, Role
from recorder.kernel.files.file import ConversationServices, FileKind, FileState, PictureSource
from recorder.kernel.limits import CHAT_CHARS_MAX, SDP_BYTES_MAX, TEXT_CHARS_MAX
from recorder.kernel.media import IceServer, IceTransportPolicy
from recorder.kernel.message import ConsentAnswer, MessageKind
from recorder.kernel.recording import RecordingState, RecordingType
from signaling.room.core.limits import CANDIDATE_CHARS_MAX, INSTANCE_CHARS_MAX

Id = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
Instance = Annotated[str, Meta(min_length=1, max_length=INSTANCE_CHARS_MAX)]


class CloseCode(IntEnum):
    """Why the server closes a socket: 4000 and the HTTP status that says the same."""

    LEFT = 4200  # as the page asked
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    HELLO_TIMEOUT = 4408
    REPLACED = 4409  # the same participant came in by another page
    ENDED = 4410  # the conversation has ended
    TOO_MANY_MESSAGES = 4429
    ABORTED = 4451  # the call could not be recorded, and so may not go on
    UNAVAILABLE = 4503
    ROOM_FULL = 4507


# --- shared ----------------------------------------------------------------------------------------
class Description(msgspec.Struct, frozen=True):
    """An RTCSessionDescriptionInit."""

    type: Literal["offer", "answer"]
    sdp: Annotated[str, Meta(max_length=SDP_BYTES_MAX)]


class Candidate(msgspec.Struct, frozen=True, rename="camel"):
    """An RTCIceCandidateInit."""

    candidate: Annotated[str, Meta(max_length=CANDIDATE_CHARS_MAX)]
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    sdp_m_line_index: Annotated[int, Meta(ge=0, le=255)] | None = msgspec.field(
        default=None, name="sdpMLineIndex"
    )
    username_fragment: Annotated[str, Meta(max_length=256)] | None = None


class _Tagged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    pass


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


# --- from the page ---------------------------------------------------------------------------------
class Hello(_Tagged, frozen=True, tag=_snake):
    """First: the participant's token, and the page's own name for this loading of it.

    The same token with the same `instance` takes its seat again; with another one it replaces that page.
    """

    token: Annotated[str, Meta(max_length=TEXT_CHARS_MAX * 4)]
    instance: Instance


class Signal(_Tagged, frozen=True, tag=_snake):
    """A description or a candidate for one peer, as that peer's page was when it was made.

    `session` names the peer connection: its initiator chooses it, so that what belongs to a connection that
    is gone is known for that.
    """

    to: Id
    instance: Instance
    session: Instance
    description: Description | None = None
    candidate: Candidate | None = None


class SetMedia(_Tagged, frozen=True, tag=_snake):
    """Whether the microphone and the camera are on."""

    microphone: bool
    camera: bool


class SetScreen(_Tagged, frozen=True, tag=_snake):
    """A screen share starts (the id of its MediaStream) or stops (null)."""

    stream: Id | None


class Say(_Tagged, frozen=True, tag=_snake):
    """A chat message for everybody."""

    text: Annotated[str, Meta(min_length=1, max_length=CHAT_CHARS_MAX, pattern=r"^[^\u0000]*$")]


class StartRecording(_Tagged, frozen=True, tag=_snake):
    """Start a recording of this conversation; only for roles that may."""


class StopRecording(_Tagged, frozen=True, tag=_snake):
    """Stop the recording that runs."""


class AnswerConsent(_Tagged, frozen=True, tag=_snake):
    """Whether this participant agrees to being recorded; the last answer counts."""

    answer: ConsentAnswer


class Leave(_Tagged, frozen=True, tag=_snake):
    """Give up the seat at once, without waiting for a return."""


class Ping(_Tagged, frozen=True, tag=_snake):
    """A page cannot see WebSocket pings; it asks this way whether the server is still there."""


ClientMessage = (
    Signal | SetMedia | SetScreen | Say | StartRecording | StopRecording | AnswerConsent | Leave | Ping
)


# --- from the server -------------------------------------------------------------------------------
class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the room. The hidden participant is nobody's member."""

    id: str
    instance: str
    name: str
    role: Role
    microphone: bool = False
    camera: bool = False
    screen: str | None = None  # the id of the MediaStream they share
    away: bool = False  # their socket dropped; they may still be heard and seen


class RecordingNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One recording, for those who may see recordings.

    `problem` says in words why there is none, or why it is not whole.
    `links` are there once it can be played.
    """

    id: str
    state: RecordingState
    type: RecordingType = RecordingType.AUDIO_VIDEO
    duration_s: float | None = None
    bytes: int | None = None
    filename: str | None = None
    problem: str | None = None
    links: dict[str, str] = {}


class StatusKind(StrEnum):
    """What is true of the recording of a call."""

    NONE = "NONE"
    STARTING = "STARTING"  # nothing is recorded yet
    RECORDING = "RECORDING"
    WAITING = "WAITING"  # it runs, and nobody's media arrives
    PAUSED = "PAUSED"
    INTERRUPTED = "INTERRUPTED"  # it should be recorded, and is not


class RecordingAction(StrEnum):
    """What whoever may record can do about it."""

    START = "START"
    WAIT = "WAIT"
    STOP = "STOP"


class RecordingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is announced now. `text` is for a banner; `elapsed_s` the recording's age when this was said.

    `action` is null for roles that can do nothing about it now.
    """

    kind: StatusKind = StatusKind.NONE
    text: str | None = None
    recording: str | None = None
    elapsed_s: float | None = None
    action: RecordingAction | None = None


class FileNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a snapshot, as far as a room is told of it; what it holds is fetched by the API."""

    id: str
    kind: FileKind = FileKind.FILE
    state: FileState = FileState.AVAILABLE
    filename: str
    content_type: str
    bytes: int
    subject: str | None = None
    source: PictureSource | None = None
    failure: str | None = None


class ChatLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history: what somebody said or sent, or what became of a recording."""

    sender: str
    name: str
    text: str
    at: datetime
    kind: MessageKind = MessageKind.CHAT
    recording: str | None = None
    file: FileNotice | None = None


class InteractionState(StrEnum):
    """Where an interaction is in its life."""

    HELD = "HELD"  # not before it can be recorded
    STARTED = "STARTED"
    ENDED = "ENDED"
    ABORTED = "ABORTED"


class Welcome(_Tagged, frozen=True, tag=_snake):
    """The room as it is now. `resumed`: the seat was kept, and the peers did not see it empty."""

    you: Member
    roster: list[Member]
    resumed: bool
    ice_servers: list[IceServer]
    ice_transport_policy: IceTransportPolicy
    resume_timeout_s: float
    status: RecordingStatus
    recordings: list[RecordingNotice]
    publishing: list[str]  # recordings that take publishers: what is sent to others can end
    chat: list[ChatLine]
    call: InteractionState = InteractionState.ENDED
    consent: Consent = Consent.ANNOUNCE
    answer: ConsentAnswer | None = None  # of this participant, to being recorded
    services: ConversationServices | None = None  # what this participant may do beside talking


class Past(_Tagged, frozen=True, tag=_snake):
    """A conversation that has ended, to read: its socket is closed with ENDED after this."""

    you: str
    name: str
    role: Role
    recordings: list[RecordingNotice]
    chat: list[ChatLine]


class Joined(_Tagged, frozen=True, tag=_snake):
    """Somebody took a seat; whoever is told this makes the first offer to them."""

    member: Member


class Left(_Tagged, frozen=True, tag=_snake):
    participant: str


class Away(_Tagged, frozen=True, tag=_snake):
    """Their socket dropped. The seat is kept for a while, and the peer connection may still carry."""

    participant: str


class Returned(_Tagged, frozen=True, tag=_snake):
    """They are back in their seat; signals of the meantime are lost and have to be said again."""

    member: Member


class Signaled(_Tagged, frozen=True, tag=_snake):
    """A peer's description or candidate."""

    sender: str
    session: str
    description: Description | None = None
    candidate: Candidate | None = None


class Changed(_Tagged, frozen=True, tag=_snake):
    """A member's microphone, camera or screen share changed."""

    member: Member


class InteractionChanged(_Tagged, frozen=True, tag=_snake):
    """What people do together may start, has to wait, or ended: a layer, and by whom it was brought.

    While the CALL is HELD no page connects to another: signals are not passed on. Whoever shares a screen
    sends it once their own layer is STARTED. `reason` is a stable code where something had to be aborted.
    """

    kind: InteractionKind
    layer: LayerKind | None
    participant: str | None
    state: InteractionState
    reason: str | None = None


class Said(_Tagged, frozen=True, tag=_snake):
    line: ChatLine


class RecordingChanged(_Tagged, frozen=True, tag=_snake):
    recording: RecordingNotice


class StatusChanged(_Tagged, frozen=True, tag=_snake):
    """What is announced of the recording of this call is another thing now."""

    status: RecordingStatus


class ConsentChanged(_Tagged, frozen=True, tag=_snake):
    """The answer of the participant who is told this, as it is kept."""

    answer: ConsentAnswer


class FileChanged(_Tagged, frozen=True, tag=_snake):
    """What became of a file or snapshot, told to who sent it or asked for it."""

    file: FileNotice


class SnapshotWanted(_Tagged, frozen=True, tag=_snake):
    """Make a picture of your camera or share and send it, or refuse; where `ask`, its subject decides."""

    file: str
    source: PictureSource
    by: str | None
    ask: bool


class ServicesChanged(_Tagged, frozen=True, tag=_snake):
    """The storage test passed, or failed: ask again what may be done."""


class Publish(_Tagged, frozen=True, tag=_snake):
    """Send what you send to your peers to this WHIP endpoint too: one session for each `source`.

    `url` is a path on the origin of the page, with all of the publisher's parameters but `source`.
    """

    recording: str
    url: str
    token: str
    ice_servers: list[IceServer]
    ice_transport_policy: IceTransportPolicy
    video: bool


class Unpublish(_Tagged, frozen=True, tag=_snake):
    """Stop sending to the hidden participant of this recording; `ended`: its sessions are gone with it."""

    recording: str
    ended: bool = False


class Error(_Tagged, frozen=True, tag=_snake):
    """What could not be done: a stable code, and one sentence for people."""

    code: str
    detail: str


class Pong(_Tagged, frozen=True, tag=_snake):
    pass


ServerMessage = (
    Welcome
    | Past
    | Joined
    | Left
    | Away
    | Returned
    | Signaled
    | Changed
    | InteractionChanged
    | Said
    | RecordingChanged
    | StatusChanged
    | ConsentChanged
    | FileChanged
    | SnapshotWanted
    | ServicesChanged
    | Publish
    | Unpublish
    | Error
    | Pong
)

_encoder = msgspec.json.Encoder()
_hello_decoder = msgspec.json.Decoder(Hello)
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: ServerMessage | ClientMessage | Hello) -> str:
    """The message as JSON text."""
    return _encoder.encode(message).decode()


def decode_hello(text: str) -> Hello:
    """The first message of a page; msgspec.DecodeError on anything else."""
    return _hello_decoder.decode(text)


def decode_client(text: str) -> ClientMessage:
    """Any later message of a page; msgspec.DecodeError on anything else."""
    return _client_decoder.decode(text)


def decode_server(text: str) -> ServerMessage:
    """What the server said: for other clients of the room, and for tests."""
    return _server_decoder.decode(text)
