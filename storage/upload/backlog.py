"""The backlog: what is recorded and not in the store, how fast it shrinks, and how long the disk bears it.

Pure: looks at three counters go in, with the time, and what follows from the last minutes comes out.
"""

from collections import deque
from dataclasses import dataclass

WINDOW_S = 300.0  # what "at today's rate" means: long enough for parts of some minutes, short enough to warn
LOOKS_MAX = 64  # within a window, so looks are at least WINDOW_S / LOOKS_MAX apart
SHORTEST_S = 5.0  # below it a rate says nothing


@dataclass(frozen=True, slots=True)
class Look:
    """What was counted at one time: bytes that wait, bytes ever sent, bytes that the disk has room for."""

    now_s: float
    backlog_bytes: int
    sent_bytes: int
    disk_free_bytes: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the store is behind. None where nothing is sent, and where the disk does not become fuller."""

    size_bytes: int
    drained_in_s: float | None  # at the rate of the last minutes, if nothing more is recorded; 0 without one
    disk_full_in_s: float | None  # at that rate


class BacklogMeter:
    """Looks of the last WINDOW_S seconds; one for each server."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=LOOKS_MAX)

    def look(self, look: Look) -> Backlog:
        """Take a look in, and say what follows from it and those before."""
        while self._looks and look.now_s - self._looks[0].now_s > WINDOW_S:
            self._looks.popleft()
        self._looks.append(look)
        return self.now

    @property
    def now(self) -> Backlog:
        """As of the last look; nothing before the first."""
        if not self._looks:
            return Backlog(0, 0.0, None)
        first, last = self._looks[0], self._looks[-1]
        span_s = last.now_s - first.now_s
        if span_s < SHORTEST_S:
            return Backlog(last.backlog_bytes, None if last.backlog_bytes else 0.0, None)
        sent, used = last.sent_bytes - first.sent_bytes, first.disk_free_bytes - last.disk_free_bytes
        return Backlog(
            last.backlog_bytes,
            _seconds(last.backlog_bytes, sent, span_s),
            _seconds(last.disk_free_bytes, used, span_s) if used > 0 else None,
        )


def _seconds(amount: int, moved: int, span_s: float) -> float | None:
    """How long `amount` takes where `moved` took `span_s`; None where nothing moves."""
    if amount == 0:
        return 0.0
    return amount * span_s / moved if moved > 0 else None
