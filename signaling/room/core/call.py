"""The CALL interaction of a room: there is one while its policy says so, and it waits to be let. Pure."""

from datetime import datetime

from recorder.kernel.conversation import InteractionKind
from signaling.room.core.effects import CallBegan, CallEnded
from signaling.room.core.messages import InteractionChanged, InteractionState


class Call:
    """Held from its beginning until it is decided; one call after the other, each with its number."""

    def __init__(self) -> None:
        self.state = InteractionState.ENDED
        self.began_at: datetime | None = None  # None while there is no call
        self.unrecorded = False  # it was let go on without a recording
        self._ended = 0  # how many have

    @property
    def may_connect(self) -> bool:
        """Whether pages may be helped to find each other: not while the call waits to be recorded."""
        return self.state in (InteractionState.STARTED, InteractionState.ENDED)

    def seated(self, is_call: bool, utc_now: datetime) -> CallBegan | CallEnded | None:
        """Whether those who have a seat now are a call: what that begins or ends."""
        runs = self.state is not InteractionState.ENDED
        if runs == is_call:
            return None
        self.unrecorded = False
        if runs:
            self.state, self.began_at = InteractionState.ENDED, None
            self._ended += 1
            return CallEnded()
        self.state, self.began_at = InteractionState.HELD, utc_now
        return CallBegan(self._ended)

    def decided(self, began: CallBegan, state: InteractionState, reason: str | None) -> bool:
        """Whether this changes anything: not for a call that has ended since, nor when said again."""
        is_current = self.state is not InteractionState.ENDED and began.call == self._ended
        if not is_current or self.state is state:
            return False
        self.state = state
        self.unrecorded = state is InteractionState.STARTED and reason is not None
        return True

    def changed(self, reason: str | None = None) -> InteractionChanged:
        """Where the call is in its life now."""
        return InteractionChanged(
            kind=InteractionKind.CALL, layer=None, participant=None, state=self.state, reason=reason
        )
