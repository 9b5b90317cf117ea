"""Messages of a conversation: chat, recordings, consent events; and who sees which. Pure values."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Role
from recorder.kernel.permissions import ConversationTerms


class MessageKind(StrEnum):
    """Why a message stands there."""

    CHAT = "CHAT"
    RECORDING_STARTED = "RECORDING_STARTED"
    RECORDING_ENDED = "RECORDING_ENDED"
    RECORDING_AVAILABLE = "RECORDING_AVAILABLE"
    RECORDING_FAILED = "RECORDING_FAILED"
    RECORDING_EXPIRED = "RECORDING_EXPIRED"  # there was one, and it was deleted because of its age
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_REFUSED = "CONSENT_REFUSED"
    FILE_SHARED = "FILE_SHARED"
    FILE_EXPIRED = "FILE_EXPIRED"  # there was one, and it was deleted because of its age
    SNAPSHOT_TAKEN = "SNAPSHOT_TAKEN"


SHOWS_RECORDING = frozenset(
    {MessageKind.RECORDING_AVAILABLE, MessageKind.RECORDING_FAILED, MessageKind.RECORDING_EXPIRED}
)


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
    """One message. `participant` and `name` say who wrote, sent or answered.

    `recording` or `file` is what it is about: `filename`, `duration_s`, `bytes` and `content_type` are its
    own, and `links` play the recording of a RECORDING_AVAILABLE.
    """

    id: str
    conversation: str
    kind: MessageKind
    at: datetime
    participant: str | None = None
    name: str | None = None
    text: str | None = None
    recording: str | None = None
    file: str | None = None
    filename: str | None = None
    duration_s: float | None = None
    bytes: int | None = None
    content_type: str | None = None
    links: dict[str, str] = {}


class ConsentGiven(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer of a participant."""

    participant: str
    answer: ConsentAnswer
    at: datetime


def is_shown(kind: MessageKind, role: Role | None, terms: ConversationTerms) -> bool:
    """Whether somebody in this role sees such messages; None is an API key, which sees all of them."""
    if role is None:
        return True
    if kind in SHOWS_RECORDING:
        return role in terms.visible_to
    if kind in ANNOUNCES_RECORDING:
        return terms.banner is not None or role in terms.visible_to
    return True
