"""The seats of a room: whose each is, over which connection it is reached, and what it was told. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from recorder.kernel.conversation import InteractionKind, LayerKind, Participant, Role
from recorder.kernel.message import ConsentAnswer
from signaling.room.core.effects import Close, Effect, Send
from signaling.room.core.messages import (
    CloseCode,
    InteractionChanged,
    InteractionState,
    Member,
    RecordingStatus,
    ServerMessage,
)


@dataclass(slots=True)
class Seat:
    """A participant's place: whose, taken by which page over which connection, and what they have on."""

    participant: Participant
    instance: str
    connection: int | None = None  # Seats sets it
    away_until_ns: int | None = None
    microphone: bool = False
    camera: bool = False
    screen: str | None = None
    share: InteractionState = InteractionState.ENDED
    shares: int = 0  # how many have begun
    answer: ConsentAnswer | None = None  # to being recorded
    status: RecordingStatus | None = None  # what this page was last told is announced
    invited: set[str] = field(default_factory=set)  # recordings this page was told to publish to

    def taken(self, answer: ConsentAnswer | None) -> None:
        """A page sits here from now on; what was told to a connection that dropped may not have arrived."""
        self.away_until_ns, self.answer = None, answer
        self.status = None
        self.invited.clear()

    def kept_until(self, monotonic_ns: int) -> None:
        """The page is gone; its place is kept for a while."""
        self.away_until_ns = monotonic_ns

    def set_media(self, *, microphone: bool, camera: bool) -> None:
        self.microphone, self.camera = microphone, camera

    def set_screen(self, stream: str | None) -> str | None:
        """What is shared now; returns what was before. A new share is held until it is decided about."""
        before, self.screen = self.screen, stream
        if before is None and stream is not None:
            self.share, self.shares = InteractionState.HELD, self.shares + 1
        return before

    def decide_share(self, state: InteractionState) -> None:
        """This became of the share."""
        self.share = state

    def consented(self, answer: ConsentAnswer) -> None:
        self.answer = answer

    def uninvite_all(self) -> list[str]:
        """The recordings to which it published."""
        invited, self.invited = sorted(self.invited), set()
        return invited

    def shows(self, status: RecordingStatus) -> bool:
        """Whether its page shows this already; time alone is nothing new. It does from now on."""
        before, self.status = self.status, status
        return before is not None and _timeless(before) == _timeless(status)

    def member(self) -> Member:
        """This seat as the others see it."""
        return Member(
            id=self.participant.id,
            instance=self.instance,
            name=self.participant.name,
            role=self.participant.role,
            microphone=self.microphone,
            camera=self.camera,
            screen=self.screen,
            away=self.connection is None,
        )

    def share_changed(self, reason: str | None = None) -> InteractionChanged:
        """Where this participant's screen share is in its life now."""
        return InteractionChanged(
            kind=InteractionKind.COLLABORATION_LAYER,
            layer=LayerKind.SCREEN_SHARE,
            participant=self.participant.id,
            state=self.share,
            reason=reason,
        )


def _timeless(status: RecordingStatus) -> RecordingStatus:
    return msgspec.structs.replace(status, elapsed_s=None)


class Seats:
    """The seats of one room, one for each participant. What is told to an unconnected seat is lost."""

    def __init__(self) -> None:
        self._by_participant: dict[str, Seat] = {}
        self._by_connection: dict[int, Seat] = {}

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._by_participant.values())

    def __len__(self) -> int:
        return len(self._by_participant)

    def roles(self) -> list[Role]:
        """Those of everybody who has a seat."""
        return [seat.participant.role for seat in self]

    def of(self, participant: str) -> Seat | None:
        """Where this participant sits."""
        return self._by_participant.get(participant)

    def at(self, connection: int) -> Seat | None:
        """Whose page speaks over this connection; None when it left, or another page replaced it."""
        return self._by_connection.get(connection)

    def add(self, seat: Seat) -> None:
        """Give a place to a participant who has none; nobody is connected to it yet."""
        self._by_participant[seat.participant.id] = seat

    def remove(self, seat: Seat) -> None:
        """Free a place that nobody is connected to."""
        del self._by_participant[seat.participant.id]

    def connect(self, seat: Seat, connection: int) -> None:
        """From now on the seat is reached over this connection."""
        seat.connection = connection
        self._by_connection[connection] = seat

    def lost(self, connection: int) -> Seat | None:
        """The connection is gone: whose it was, None when it was nobody's any more."""
        seat = self._by_connection.pop(connection, None)
        if seat is not None:
            seat.connection = None
        return seat

    def disconnect(self, seat: Seat, code: CloseCode) -> list[Effect]:
        """Close the seat's connection, where there is one, and forget it at once."""
        if seat.connection is None:
            return []
        connection, seat.connection = seat.connection, None
        del self._by_connection[connection]
        return [Close(connection, code)]

    def tell(self, seat: Seat, message: ServerMessage) -> list[Effect]:
        """To one of them."""
        return [] if seat.connection is None else [Send(seat.connection, message)]

    def tell_all(self, message: ServerMessage, *, but: Seat | None = None) -> list[Effect]:
        """To everybody, or to everybody else."""
        return [effect for seat in self if seat is not but for effect in self.tell(seat, message)]
