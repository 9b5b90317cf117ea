"""Stalls of this process, compensated: how much of the past may still wait in the sockets. Pure."""

LAG_NS_MAX = 1_500_000_000  # a process that stands still longer has other troubles
CATCH_UP = 2  # so much slower than time passes the past is trusted to be read


class StallCompensator:
    """Turns the time now into the time up to which everything that came was surely read.

    Nothing must be given up, or asked for again, that already lies in a socket's buffer.
    """

    __slots__ = ("_lag_ns", "_seen_ns")

    def __init__(self) -> None:
        self._lag_ns = 0
        self._seen_ns: int | None = None

    def read_up_to(self, now_ns: int, late_ns: int) -> int:
        """It is now, and the timer that says so comes `late_ns` late."""
        passed_ns = 0 if self._seen_ns is None else now_ns - self._seen_ns
        self._seen_ns = now_ns
        self._lag_ns = min(LAG_NS_MAX, max(late_ns, self._lag_ns - passed_ns // CATCH_UP, 0))
        return now_ns - self._lag_ns
