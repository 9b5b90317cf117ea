"""What a room's core asks of its edge, and the moment at which it is asked. Pure values."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from recorder.kernel.conversation import Participant
from recorder.kernel.message import ConsentAnswer
from signaling.room.core.messages import CloseCode, ServerMessage


class Now(NamedTuple):
    """One moment on both clocks: intervals are taken from the first, people are told the second."""

    monotonic_ns: int
    utc: datetime


@dataclass(frozen=True, slots=True)
class Send:
    """Queue this message for the client at this connection."""

    connection: int
    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is queued, then close; the room has forgotten this connection already."""

    connection: int
    code: CloseCode


@dataclass(frozen=True, slots=True)
class CallBegan:
    """Two have a seat: may the CALL start? `call` counts the calls of this room."""

    call: int = 0


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Fewer than two are left: the CALL interaction ends."""


@dataclass(frozen=True, slots=True)
class ShareBegan:
    """A screen_share layer of this participant wants to start; `share` counts theirs."""

    participant: str
    share: int = 0


@dataclass(frozen=True, slots=True)
class ShareEnded:
    """It ends, also because its participant left."""

    participant: str


@dataclass(frozen=True, slots=True)
class RecordingWanted:
    """Start a recording in the name of `participant`; then `recording_started` or `..._refused`."""

    participant: Participant


@dataclass(frozen=True, slots=True)
class RecordingUnwanted:
    """Stop this recording, in the name of `participant`."""

    recording: str
    participant: Participant


@dataclass(frozen=True, slots=True)
class Spoken:
    """Keep this chat message of `participant`."""

    participant: Participant
    text: str


@dataclass(frozen=True, slots=True)
class ConsentAnswered:
    """Keep what `participant` answered to being recorded; then `consent_kept`."""

    participant: Participant
    answer: ConsentAnswer


Effect = (
    Send
    | Close
    | CallBegan
    | CallEnded
    | ShareBegan
    | ShareEnded
    | RecordingWanted
    | RecordingUnwanted
    | Spoken
    | ConsentAnswered
)
