"""How often the link to a worker may break: seldom is an accident, often is a defect. Pure."""

from collections import deque

RECONNECTS_MAX = 3  # within RECONNECTS_WINDOW_S
RECONNECTS_WINDOW_S = 60.0


class ReconnectBudget:
    """Counts the reconnects of one link; `now` is in seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._spent: deque[float] = deque(maxlen=RECONNECTS_MAX)

    def spend(self, now: float) -> bool:
        """Take one more; False where as many as are allowed were taken within the window."""
        if len(self._spent) == RECONNECTS_MAX and now - self._spent[0] < RECONNECTS_WINDOW_S:
            return False
        self._spent.append(now)
        return True
