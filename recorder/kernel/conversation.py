"""Conversations, participants and interactions: the words of the domain, as immutable values.

Times are timezone-aware UTC, ids are opaque strings.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

DEFAULT_ACCOUNT = "default"


class Role(StrEnum):
    """What a participant is in a conversation."""

    AGENT = "AGENT"
    SECONDARY_AGENT = "SECONDARY_AGENT"
    SUPERVISOR = "SUPERVISOR"
    VISITOR = "VISITOR"
    SECONDARY_VISITOR = "SECONDARY_VISITOR"


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


class Consent(StrEnum):
    """What participants are asked before anything of them is recorded."""

    NONE = "none"
    ANNOUNCE = "announce"
    ASK = "ask"


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
