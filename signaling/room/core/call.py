"""The CALL interaction of a room: there is one while two have a seat, and it waits to be let. Pure."""

from recorder.kernel.conversation import InteractionKind
from signaling.room.core.effects import CallBegan, CallEnded
from signaling.room.core.messages import InteractionChanged, InteractionState

SEATS_MIN = 2  # only then is there a conversation


class Call:
    """Held from its beginning until it is decided; one call after the other, each with its number."""

    def __init__(self) -> None:
        self.state = InteractionState.ENDED
        self._ended = 0  # how many have

    @property
    def may_connect(self) -> bool:
        """Whether pages may be helped to find each other."""
        return self.state is InteractionState.STARTED

    def seated(self, seats: int) -> CallBegan | CallEnded | None:
        """So many have a seat now: what that begins or ends."""
        runs = self.state is not InteractionState.ENDED
        if runs == (seats >= SEATS_MIN):
            return None
        if runs:
            self.state = InteractionState.ENDED
            self._ended += 1
            return CallEnded()
        self.state = InteractionState.HELD
        return CallBegan(self._ended)

    def decided(self, began: CallBegan, state: InteractionState) -> bool:
        """Whether this changes anything: not for a call that has ended since, nor when said again."""
        is_current = self.state is not InteractionState.ENDED and began.call == self._ended
        if not is_current or self.state is state:
            return False
        self.state = state
        return True

    def changed(self, reason: str | None = None) -> InteractionChanged:
        """Where the call is in its life now."""
        return InteractionChanged(
            kind=InteractionKind.CALL, layer=None, participant=None, state=self.state, reason=reason
        )
