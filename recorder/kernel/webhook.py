"""Webhook events and their deliveries, as immutable values."""

from datetime import datetime
from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """What webhooks tell of."""

    RECORDING_STARTED = "recording.started"
    RECORDING_PAUSED = "recording.paused"
    RECORDING_INTERRUPTED = "recording.interrupted"
    RECORDING_RESUMED = "recording.resumed"
    RECORDING_AVAILABLE = "recording.available"
    RECORDING_FAILED = "recording.failed"
    FILE_AVAILABLE = "file.available"
    FILE_REFUSED = "file.refused"  # by the scanner: nobody can fetch it
    SNAPSHOT_AVAILABLE = "snapshot.available"
    SNAPSHOT_REFUSED = "snapshot.refused"
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
