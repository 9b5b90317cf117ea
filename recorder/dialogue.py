"""What stands in a conversation: chat, recordings' starts and ends, answers; and how it is found. Values."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.permissions import ConversationTerms
from recorder.values import Conversation, Participant, Recording, RecordingState, Role


class MessageKind(StrEnum):
    """Why a message stands there."""

    CHAT = "CHAT"
    RECORDING_STARTED = "RECORDING_STARTED"
    RECORDING_ENDED = "RECORDING_ENDED"
    RECORDING_AVAILABLE = "RECORDING_AVAILABLE"
    RECORDING_FAILED = "RECORDING_FAILED"
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_REFUSED = "CONSENT_REFUSED"


SHOWS_RECORDING = frozenset({MessageKind.RECORDING_AVAILABLE, MessageKind.RECORDING_FAILED})
ANNOUNCES_RECORDING = frozenset({MessageKind.RECORDING_STARTED, MessageKind.RECORDING_ENDED})


class ConsentAnswer(StrEnum):
    """What a participant says to being recorded."""

    AGREED = "AGREED"
    REFUSED = "REFUSED"

    @property
    def message(self) -> MessageKind:
        """How it stands in the history."""
        return MessageKind.CONSENT_GIVEN if self is ConsentAnswer.AGREED else MessageKind.CONSENT_REFUSED


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `participant` and `name` say who wrote or answered; `recording` which one it is about.

    `links` play the recording of a RECORDING_AVAILABLE.
    """

    id: str
    conversation: str
    kind: MessageKind
    at: datetime
    participant: str | None = None
    name: str | None = None
    text: str | None = None
    recording: str | None = None
    links: dict[str, str] = {}


class ConsentGiven(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer of a participant."""

    participant: str
    answer: ConsentAnswer
    at: datetime


class ConversationState(StrEnum):
    """Whether a conversation has ended."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"


class ConversationSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What conversations are looked for; everything that is given has to hold."""

    account: str | None = None
    external_id: str | None = None
    participant: str | None = None  # an id, or a whole name without regard to case
    metadata: tuple[str, str] | None = None
    state: ConversationState | None = None
    created_from: datetime | None = None  # this moment and later
    created_until: datetime | None = None  # before this moment
    newest_first: bool = False
    after: str | None = None
    limit: int = 50


class RecordingSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What recordings are looked for, in all conversations."""

    account: str | None = None
    state: RecordingState | None = None
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    newest_first: bool = False
    after: str | None = None
    limit: int = 50


class RecordingAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One launch of a recorder; `failure` is the code of what went wrong."""

    number: int
    launched_at: datetime
    ready_at: datetime | None = None
    failure: str | None = None


class RecordingDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A recording with what stands around it: its conversation, who took part, and how it came about."""

    id: str
    recording: Recording
    conversation: Conversation
    participants: list[Participant]
    attempts: list[RecordingAttempt]


class UsagePeriod(StrEnum):
    """What usage is summed by."""

    DAY = "day"
    MONTH = "month"


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an account recorded in a period, which is named by its first day (UTC)."""

    account: str
    period: str
    recordings: int
    minutes: float
    bytes: int


def is_shown(kind: MessageKind, role: Role | None, terms: ConversationTerms) -> bool:
    """Whether somebody in this role sees such messages; None is an API key, which sees all of them."""
    if role is None:
        return True
    if kind in SHOWS_RECORDING:
        return role in terms.visible_to
    if kind in ANNOUNCES_RECORDING:
        return terms.banner is not None or role in terms.visible_to
    return True
