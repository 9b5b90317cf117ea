"""Searches of conversations and recordings, and what they find, as immutable values."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Conversation, Participant
from recorder.kernel.recording import Recording, RecordingState


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


class ConversationOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a history: a conversation, who took part, and how much was recorded of it.

    `recordings_running` are those of which more may come, `recorded_s` is of those that are over.
    """

    id: str
    conversation: Conversation
    participants: list[Participant]
    recordings: int
    recordings_running: int
    recordings_failed: int
    recorded_s: float


class RecordingSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What recordings are looked for, in all conversations."""

    account: str | None = None
    conversation: str | None = None
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


class RecordedParticipant(Participant, frozen=True, kw_only=True):
    """Somebody of a recording's conversation, or who published to it, and when their media came and went."""

    joined_at: datetime | None = None  # None: nothing of them was recorded
    left_at: datetime | None = None


class RecordingDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A recording with what stands around it: its conversation, who took part, and how it came about."""

    id: str
    recording: Recording
    conversation: Conversation
    participants: list[RecordedParticipant]
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
