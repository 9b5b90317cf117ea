"""Activity of one publisher: mutes and gaps, from when its frames arrive. Pure.

A stream that stops while others of its publisher go on is muted (or its camera is off); when all of them
stop it is a gap of the network. Streams that may rightly stand still (a shared screen) are not watched.
"""

from dataclasses import dataclass, field

SILENT_NS = 2_000_000_000  # discontinuous transmission of Opus still sends every 400 ms, a camera at 1 fps


@dataclass(frozen=True, slots=True)
class ActivityChange:
    """A kind of MediaEvent, since when (local time), and of which stream."""

    kind: str
    at_ns: int
    detail: dict[str, object] = field(default_factory=dict)


class ActivityDetector:
    """Watches the streams of one publisher."""

    def __init__(self) -> None:
        self._last_ns: dict[str, int] = {}
        self._back_ns: dict[str, int] = {}  # the first frame after the last silence
        self._silent: set[str] = set()
        self._muted: set[str] = set()
        self._gap = False

    def begin(self, stream: str, at_ns: int) -> None:
        """Watch a stream from now on."""
        self._last_ns[stream] = at_ns

    def end(self, stream: str) -> None:
        """The stream is over."""
        self._last_ns.pop(stream, None)
        self._back_ns.pop(stream, None)
        self._silent.discard(stream)
        self._muted.discard(stream)

    def observe(self, stream: str, arrival_ns: int) -> None:
        """A frame of the stream arrived."""
        if stream not in self._last_ns:
            return
        if stream in self._silent:
            self._silent.remove(stream)
            self._back_ns[stream] = arrival_ns
        self._last_ns[stream] = arrival_ns

    def check(self, now_ns: int) -> list[ActivityChange]:
        """Return what changed since the last check."""
        silent = {stream for stream, last in self._last_ns.items() if now_ns - last > SILENT_NS}
        self._silent |= silent
        if silent and len(silent) == len(self._last_ns):
            return self._all_silent()
        notices = []
        if self._gap:
            self._gap = False
            back = [self._back(stream) for stream in self._last_ns if stream not in silent]
            notices.append(ActivityChange("gap_ended", min(back, default=now_ns)))
        for stream in sorted(silent - self._muted):
            notices.append(ActivityChange("muted", self._last_ns[stream], {"stream": stream}))
        for stream in sorted(self._muted - silent):
            notices.append(ActivityChange("unmuted", self._back(stream), {"stream": stream}))
        self._muted = silent
        return notices

    def _back(self, stream: str) -> int:
        """When the stream came back, or when it began where it was never silent before."""
        return self._back_ns.get(stream, self._last_ns[stream])

    def _all_silent(self) -> list[ActivityChange]:
        if self._gap:
            return []
        self._gap = True
        return [ActivityChange("gap_started", max(self._last_ns.values()))]
