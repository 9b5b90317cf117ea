"""The cast of the synthetic call: two people with faces and voices of their own, and a shared screen."""

from dataclasses import dataclass

from recorder.demo.scene import Colour, Scene, SharedScreen, TalkingHead
from recorder.demo.voice import Samples, Voice
from recorder.kernel.conversation import Role

_VOICE_LOOP_S = 60  # the voice track starts over after this; longer than anybody listens


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic participant; `beats` makes the lamp flash and the beep sound on every second."""

    participant: str
    name: str
    role: Role
    wall: Colour
    skin: Colour
    hair: Colour
    pitch_hz: float
    turn: int
    beats: bool

    def voice(self) -> Samples:
        return Voice(pitch_hz=self.pitch_hz, turn=self.turn, seed=self.turn, beeps=self.beats).render(
            _VOICE_LOOP_S
        )

    def scene(self, voice: Samples, *, width: int, height: int) -> Scene:
        return TalkingHead(width, height, self.wall, self.skin, self.hair, voice, flashes=self.beats)


AGENT = Person(
    participant="anna",
    name="Anna Keller",
    role=Role.AGENT,
    wall=(188, 204, 214),
    skin=(236, 196, 164),
    hair=(96, 52, 28),
    pitch_hz=205.0,
    turn=0,
    beats=True,
)
VISITOR = Person(
    participant="bruno",
    name="Bruno Weiß",
    role=Role.VISITOR,
    wall=(206, 190, 160),
    skin=(198, 146, 108),
    hair=(34, 30, 30),
    pitch_hz=112.0,
    turn=1,
    beats=False,
)
CAST = {person.participant: person for person in (AGENT, VISITOR)}


def shared_screen() -> Scene:
    """What the agent shows: a document at 1920x1080."""
    return SharedScreen()
