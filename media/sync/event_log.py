"""The event log of a recording's media, with times on the recording's clock."""

from collections import deque
from collections.abc import Callable

from msgspec import structs

from recorder.kernel.media import MediaEvent, Publisher

NS = 1_000_000_000
WAITING_MAX = 1024  # events ahead of the rendering: somebody who comes makes three


class EventLog:
    """Makes MediaEvents; `zero_ns` is the local time from which everything is counted, once it is fixed.

    What happens ahead of what is rendered is told when that is: only then is it in the recording for sure,
    and none is told of a time that the recording, which may end before, never has.
    """

    def __init__(self, emit: Callable[[MediaEvent], None], *, origin_ns: int = 0) -> None:
        """`origin_ns`: where zero lies on the recording's clock, if an earlier worker began it."""
        self.zero_ns: int | None = None
        self._origin_ns = origin_ns
        self._end_ns: int | None = None  # since zero
        self._rendered_ns = 0  # local time
        self._waiting: deque[tuple[int, MediaEvent]] = deque()
        self._emit = emit

    def on_clock(self, local_ns: int) -> int:
        """Local time as time since zero, in ns; zero for all before it, the end for all after."""
        since_zero_ns = 0 if self.zero_ns is None else max(0, local_ns - self.zero_ns)
        return since_zero_ns if self._end_ns is None else min(since_zero_ns, self._end_ns)

    def begin(self, zero_ns: int) -> None:
        """Count from this local time on."""
        self.zero_ns = self._rendered_ns = zero_ns

    def rendered(self, until_ns: int) -> None:
        """The recording reaches this local time: tell what happened before."""
        self._rendered_ns = until_ns
        ahead = [(at_ns, event) for at_ns, event in self._waiting if at_ns > until_ns]
        due = [(at_ns, event) for at_ns, event in self._waiting if at_ns <= until_ns]
        self._waiting = deque(ahead)
        for at_ns, event in due:
            self._tell(at_ns, event)

    def end(self, duration_ns: int) -> None:
        """Nothing happens later than this from now on: the recording is not longer."""
        self._end_ns = duration_ns
        while self._waiting:
            self._tell(*self._waiting.popleft())

    def recorded_s(self, local_ns: int) -> float:
        """Local time as seconds on the recording's clock."""
        return (self._origin_ns + self.on_clock(local_ns)) / NS

    def say(self, kind: str, at_ns: int, who: Publisher | None = None, **detail: object) -> None:
        """Tell of something at this local time, concerning a publisher or the whole recording."""
        event = MediaEvent(kind=kind, at_s=0.0, detail=detail)
        if who is not None:
            event = structs.replace(
                event, participant=who.participant, name=who.name, role=who.role, source=who.source
            )
        if self.zero_ns is None or self._end_ns is not None or at_ns <= self._rendered_ns:
            self._tell(at_ns, event)
            return
        self._waiting.append((at_ns, event))
        if len(self._waiting) > WAITING_MAX:
            self._tell(*self._waiting.popleft())

    def _tell(self, at_ns: int, event: MediaEvent) -> None:
        self._emit(structs.replace(event, at_s=self.recorded_s(at_ns)))
