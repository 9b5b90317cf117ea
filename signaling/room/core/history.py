"""The history of a conversation in its room: what was said, and when recordings began and ended. Pure.

Lines come from the kept messages when the room is opened, and from what happens while it is; a line of a
recording stands there once, wherever it came from.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from recorder.kernel.conversation import Role
from recorder.kernel.files.file import FileKind
from recorder.kernel.message import SHOWS_RECORDING, Message, MessageKind
from recorder.kernel.recording import Recording, RecordingState
from signaling.room.core.announcement import RoomPolicy
from signaling.room.core.limits import CHAT_MESSAGES_KEPT_MAX
from signaling.room.core.messages import ChatLine, FileNotice

_LAST = {
    RecordingState.AVAILABLE: MessageKind.RECORDING_AVAILABLE,
    RecordingState.FAILED: MessageKind.RECORDING_FAILED,
}


class RoomHistory:
    """The newest CHAT_MESSAGES_KEPT_MAX lines; those of recordings are for who may see them."""

    def __init__(self, kept: Iterable[ChatLine] = ()) -> None:
        self._lines = deque(kept, maxlen=CHAT_MESSAGES_KEPT_MAX)

    def shown_to(self, role: Role, policy: RoomPolicy) -> list[ChatLine]:
        """In their order."""
        return [line for line in self._lines if is_shown(line, role, policy)]

    def add(self, line: ChatLine) -> None:
        """Somebody said something."""
        self._lines.append(line)

    def add_recording(self, recording: Recording, utc_now: datetime) -> list[ChatLine]:
        """The lines that are new by what this recording is now."""
        known = {(line.recording, line.kind) for line in self._lines if line.recording is not None}
        fresh = [
            ChatLine(sender="", name="", text="", at=moment, kind=kind, recording=recording.id)
            for kind, moment in _moments(recording, utc_now)
            if (recording.id, kind) not in known and not self._repeats(recording, kind)
        ]
        self._lines.extend(fresh)
        return fresh

    def _repeats(self, recording: Recording, kind: MessageKind) -> bool:
        """Attempts that fail one after the other without media are one line."""
        if kind is not MessageKind.RECORDING_FAILED or recording.started_at is not None:
            return False
        last = next((line.kind for line in reversed(self._lines) if line.recording is not None), None)
        return last is MessageKind.RECORDING_FAILED


def line_of(message: Message) -> ChatLine:
    """A kept message as a line."""
    return ChatLine(
        sender=message.participant or "",
        name=message.name or "",
        text=message.text or "",
        at=message.at,
        kind=message.kind,
        recording=message.recording,
        file=_file_of(message),
    )


def _file_of(message: Message) -> FileNotice | None:
    if message.file is None:
        return None
    snapshot = message.kind is MessageKind.SNAPSHOT_TAKEN
    return FileNotice(
        id=message.file,
        kind=FileKind.SNAPSHOT if snapshot else FileKind.FILE,
        filename=message.filename or "",
        content_type=message.content_type or "",
        bytes=message.bytes or 0,
    )


def is_shown(line: ChatLine, role: Role, policy: RoomPolicy) -> bool:
    """Whether somebody in this role sees such a line."""
    if line.kind in SHOWS_RECORDING:
        return policy.may_see(role)
    if line.recording is not None:
        return policy.banner is not None or policy.may_know(role)
    return True


def _moments(recording: Recording, utc_now: datetime) -> Iterator[tuple[MessageKind, datetime]]:
    if recording.started_at is not None:
        yield MessageKind.RECORDING_STARTED, recording.started_at
        if recording.ended_at is not None:
            yield MessageKind.RECORDING_ENDED, recording.ended_at
    if recording.state in _LAST:
        yield _LAST[recording.state], recording.ended_at or utc_now
