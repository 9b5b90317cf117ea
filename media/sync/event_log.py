"""The event log of a recording's media, with times on the recording's clock."""

from collections.abc import Callable

from recorder.kernel.media import MediaEvent, Publisher

NS = 1_000_000_000


class EventLog:
    """Makes MediaEvents; `zero_ns` is the local time from which everything is counted, once it is fixed."""

    def __init__(self, emit: Callable[[MediaEvent], None], *, origin_ns: int = 0) -> None:
        """`origin_ns`: where zero lies on the recording's clock, if an earlier worker began it."""
        self.zero_ns: int | None = None
        self._origin_ns = origin_ns
        self._end_ns: int | None = None  # since zero
        self._emit = emit

    def on_clock(self, local_ns: int) -> int:
        """Local time as time since zero, in ns; zero for all before it, the end for all after."""
        since_zero_ns = 0 if self.zero_ns is None else max(0, local_ns - self.zero_ns)
        return since_zero_ns if self._end_ns is None else min(since_zero_ns, self._end_ns)

    def begin(self, zero_ns: int) -> None:
        """Count from this local time on."""
        self.zero_ns = zero_ns

    def end(self, duration_ns: int) -> None:
        """Nothing happens later than this from now on: the recording is not longer."""
        self._end_ns = duration_ns

    def recorded_s(self, local_ns: int) -> float:
        """Local time as seconds on the recording's clock."""
        return (self._origin_ns + self.on_clock(local_ns)) / NS

    def say(self, kind: str, at_ns: int, who: Publisher | None = None, **detail: object) -> None:
        """Tell of something at this local time, concerning a publisher or the whole recording."""
        at_s = self.recorded_s(at_ns)
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
