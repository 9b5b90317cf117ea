"""Webhook events of files: what a file became, and what is said of it. Pure."""

from datetime import datetime

import msgspec

from recorder.kernel.conversation import Conversation
from recorder.kernel.files.file import SharedFile
from recorder.kernel.webhook import EventType
from recorder.kernel.webhook_event import WebhookEvent, conversation_event


def file_event(conversation: Conversation, file: SharedFile, *, occurred_at: datetime) -> WebhookEvent:
    """file.available or .refused, snapshot.available or .refused, by what the file is and became."""
    shown = msgspec.structs.asdict(file)
    path = f"/v1/conversations/{file.conversation}/files/{file.id}"
    shown["links"] = {"self": path, "content": f"{path}/content"}
    type_ = EventType(f"{file.kind.lower()}.{file.state.lower()}")
    return conversation_event(type_, conversation, {"file": shown}, occurred_at)
