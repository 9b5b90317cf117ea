"""The event log of a recording's media, with times on the recording's clock."""

from collections.abc import Callable

from recorder.kernel.media import MediaEvent, Publisher

NS = 1_000_000_000


class EventLog:
    """Makes MediaEvents; `zero_ns` is the local time of the recording's zero once it is fixed."""

    def __init__(self, emit: Callable[[MediaEvent], None]) -> None:
        self.zero_ns: int | None = None
        self._emit = emit

    def on_clock(self, local_ns: int) -> int:
        """Local time as time on the recording's clock, in ns; zero for all that was before."""
        return 0 if self.zero_ns is None else max(0, local_ns - self.zero_ns)

    def say(self, kind: str, at_ns: int, who: Publisher | None = None, **detail: object) -> None:
        """Tell of something at this local time, concerning a publisher or the whole recording."""
        at_s = self.on_clock(at_ns) / NS
        if who is None:
            self._emit(MediaEvent(kind=kind, at_s=at_s, detail=detail))
            return
        self._emit(
            MediaEvent(
                kind=kind,
                at_s=at_s,
                participant=who.participant,
                name=who.name,
                role=who.role,
                source=who.source,
                detail=detail,
            )
        )
