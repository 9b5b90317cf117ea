"""The reception of a recording: whether anybody's media arrives now, from what its worker tells. Pure."""

from collections import Counter

from recorder.kernel.media import MediaEvent, SourceKind

Sender = tuple[str | None, SourceKind | None]


class Reception:
    """Who sends and who is silent; believed of a worker that was found again, of which nobody is known."""

    def __init__(self) -> None:
        self._sessions: Counter[Sender] = Counter()
        self._silent: set[Sender] = set()
        self._is_known = False

    @property
    def is_receiving(self) -> bool:
        """False only where it is known that nobody's media arrives."""
        sending = [sender for sender, count in self._sessions.items() if count > 0]
        return not self._is_known or any(sender not in self._silent for sender in sending)

    def observe(self, event: MediaEvent) -> bool:
        """Take in what happened; whether that changed the answer."""
        before, sender = self.is_receiving, (event.participant, event.source)
        match event.kind:
            case "joined":
                self._is_known = True
                self._sessions[sender] += 1
                self._silent.discard(sender)
            case "left":
                self._sessions[sender] = max(0, self._sessions[sender] - 1)
            case "gap_started":
                self._silent.add(sender)
            case "gap_ended" | "stream_started":
                self._silent.discard(sender)
            case _:
                return False
        return self.is_receiving is not before
