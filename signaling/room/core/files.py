"""Files of a conversation as its room tells of them: lines, and snapshots that are wanted. Pure."""

from recorder.kernel.conversation import Consent
from recorder.kernel.files.file import FileKind, FileState, SharedFile
from recorder.kernel.message import MessageKind
from signaling.room.core.announcement import RoomPolicy
from signaling.room.core.effects import Effect
from signaling.room.core.history import RoomHistory
from signaling.room.core.messages import ChatLine, FileChanged, FileNotice, Said, SnapshotWanted
from signaling.room.core.seats import Seat, Seats

_KINDS = {FileKind.FILE: MessageKind.FILE_SHARED, FileKind.SNAPSHOT: MessageKind.SNAPSHOT_TAKEN}


class RoomFiles:
    """Every method takes one event and returns its effects."""

    def __init__(self, seats: Seats, policy: RoomPolicy, history: RoomHistory) -> None:
        self._seats = seats
        self._policy = policy
        self._history = history
        self._asked: dict[str, SharedFile] = {}  # snapshots that wait for who is to be in them

    def seated(self, seat: Seat) -> list[Effect]:
        """Somebody has come, or come back: what they are asked for is still wanted."""
        wanted = [file for file in self._asked.values() if file.subject == seat.participant.id]
        return [effect for file in wanted for effect in self._wanted(seat, file)]

    def changed(self, file: SharedFile) -> list[Effect]:
        """A file of this conversation is as it is said here, now."""
        self._asked.pop(file.id, None)
        if file.state is FileState.ASKED:
            return self._ask(file)
        sender = self._seats.of(file.participant or "")
        told = [] if sender is None else self._seats.tell(sender, FileChanged(file=notice_of(file)))
        if file.state is not FileState.AVAILABLE:
            return told
        line = _line(file)
        self._history.add(line)
        return told + self._seats.tell_all(Said(line=line))

    def _ask(self, file: SharedFile) -> list[Effect]:
        self._asked[file.id] = file
        seat = self._seats.of(file.subject or "")
        return [] if seat is None else self._wanted(seat, file)

    def _wanted(self, seat: Seat, file: SharedFile) -> list[Effect]:
        if file.source is None:
            return []
        asks = self._policy.consent is Consent.ASK
        wanted = SnapshotWanted(file=file.id, source=file.source, by=file.name, ask=asks)
        return self._seats.tell(seat, wanted)


def notice_of(file: SharedFile) -> FileNotice:
    """What a room is told of a file."""
    return FileNotice(
        id=file.id,
        kind=file.kind,
        state=file.state,
        filename=file.filename,
        content_type=file.content_type,
        bytes=file.bytes,
        subject=file.subject,
        source=file.source,
        failure=file.failure,
    )


def _line(file: SharedFile) -> ChatLine:
    return ChatLine(
        sender=file.participant or "",
        name=file.name or "",
        text="",
        at=file.available_at or file.created_at,
        kind=_KINDS[file.kind],
        file=notice_of(file),
    )
