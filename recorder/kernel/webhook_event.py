"""Webhook events: which moves of a recording are events, and what an event says. Pure."""

from datetime import datetime
from typing import Any

import msgspec

from recorder.kernel.conversation import Conversation, Interaction
from recorder.kernel.recording import RecordingState
from recorder.kernel.webhook import EventType

MIME_TYPE = "video/mp4"

_TOLD = {
    RecordingState.PAUSED: EventType.RECORDING_PAUSED,
    RecordingState.INTERRUPTED: EventType.RECORDING_INTERRUPTED,
    RecordingState.AVAILABLE: EventType.RECORDING_AVAILABLE,
    RecordingState.FAILED: EventType.RECORDING_FAILED,
}


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that webhooks are told. `data` is plain JSON; links in it are paths of this server."""

    type: EventType
    account: str
    conversation: str
    occurred_at: datetime
    data: dict[str, Any]


def announced(before: RecordingState, after: RecordingState) -> EventType | None:
    """The event that a recording's move from one state to another is, if it is one."""
    if before is after:
        return None
    if after is RecordingState.RECORDING:
        resumed = before in (RecordingState.PAUSED, RecordingState.INTERRUPTED)
        return EventType.RECORDING_RESUMED if resumed else EventType.RECORDING_STARTED
    return _TOLD.get(after)


def recording_event(
    type_: EventType,
    conversation: Conversation,
    recording: dict[str, Any],
    *,
    attempts: int,
    occurred_at: datetime,
) -> WebhookEvent:
    """`recording` has the fields of a recording's row; how often a worker was launched for it is beside."""
    shown = {name: recording[name] for name in _OF_RECORDING}
    shown |= {"mime_type": MIME_TYPE, "attempts": attempts, "links": _links_of(recording["id"])}
    return conversation_event(type_, conversation, {"recording": shown}, occurred_at)


def interaction_event(
    type_: EventType,
    conversation: Conversation,
    interaction: Interaction,
    *,
    reason: str | None,
    occurred_at: datetime,
    recording: str | None = None,
) -> WebhookEvent:
    """interaction.hold, .release or .abort; `reason` is a stable code where something went wrong.

    `recording` is the id of the one that is waited for, or was.
    """
    waited_for = None if recording is None else {"id": recording, "links": _links_of(recording)}
    about = {"interaction": interaction, "reason": reason, "recording": waited_for}
    return conversation_event(type_, conversation, about, occurred_at)


def _links_of(recording: str) -> dict[str, str]:
    path = f"/v1/recordings/{recording}"
    return {"self": path, "media": f"{path}/media"}


_OF_RECORDING = (
    "id",
    "number",
    "type",
    "state",
    "requested_at",
    "started_at",
    "ended_at",
    "duration_s",
    "end_reason",
    "failure",
    "bytes",
    "missing_s",
    "filename",
)


def conversation_event(
    type_: EventType, conversation: Conversation, about: dict[str, Any], occurred_at: datetime
) -> WebhookEvent:
    """An event of a conversation, and what it is about beside that."""
    links = {"self": f"/v1/conversations/{conversation.id}"}
    data = {"conversation": {**msgspec.structs.asdict(conversation), "links": links}, **about}
    return WebhookEvent(
        type=type_,
        account=conversation.account,
        conversation=conversation.id,
        occurred_at=occurred_at,
        data=msgspec.to_builtins(data),
    )


def body(type_: str, occurred_at: datetime, data: dict[str, Any], *, base_url: str) -> bytes:
    """What is posted; `base_url` stands before the links."""
    told = {key: _with_base(value, base_url) for key, value in data.items()}
    return msgspec.json.encode({"type": type_, "timestamp": occurred_at, "data": told})


def _with_base(value: Any, base_url: str) -> Any:
    if not isinstance(value, dict) or "links" not in value:
        return value
    return {**value, "links": {name: base_url + path for name, path in value["links"].items()}}
