"""A participant's place in a room. Pure."""

from dataclasses import dataclass, field

from recorder.dialogue import ConsentAnswer
from recorder.values import Participant
from signaling.room.messages import InteractionState, Member


@dataclass(slots=True)
class Seat:
    """A participant's place: whose, taken by which page over which connection, and what they have on."""

    participant: Participant
    instance: str
    connection: int | None
    away_until_ns: int | None = None
    microphone: bool = False
    camera: bool = False
    screen: str | None = None
    share: InteractionState = InteractionState.ENDED
    shares: int = 0  # how many have begun
    answer: ConsentAnswer | None = None  # to being recorded
    invited: set[str] = field(default_factory=set)  # recordings this page was told to publish to

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
