"""Quality control: when a picture is composed, and what it may cost; variable frame rate, no fixed grid.

A fixed grid would beat with the sources' own cadence: a frame just before a tick and one just after it would
be one lost picture and one doubled. So a picture is made when something new came, at the time at which that
was captured. Frames of several sources that are close together share one picture, at the mean of their
times; a credit limits the rate to the canvas's. Without news there is a picture a second, and one wherever
a fragment must begin. Pure; times are nanoseconds on the recording's clock.
"""

from dataclasses import dataclass

LAG_NS_MAX = 2_000_000_000  # rendering is this late, and the queue full of it: the machine cannot do more
FELT_NS = 500_000_000  # what a change of effort needs to be felt
LAG_NS_RELAXED = 100_000_000  # it keeps up again
RELAXED_FOR_NS = 5_000_000_000  # ... for so long: try the next higher effort
RELAXED_FOR_NS_MAX = 60_000_000_000  # where that was too much each time; each change can be seen
STRAINED_LEVEL = 4  # of EFFORTS; from here on a decoder may have to rest
IDLE_NS = 1_000_000_000  # players and editors expect a picture a second
BURST_PICTURES = 1.5  # how far a jittering source may run ahead of the even rate
CUT_SLACK_PICTURES = (
    2.5  # a fragment rather ends early on a picture that comes anyway than late on an extra one
)
FIRST_FRAGMENT_NS = 500_000_000  # so that something is safe early


class Pacer:
    """Decides the times of pictures and cuts of one recording.

    Pictures are at least half a picture's time apart and each fragment is at most `fragment_ns` long.
    """

    def __init__(self, *, fps: int, fragment_ns: int) -> None:
        self._even_ns = 1_000_000_000 // fps
        self._fragment_ns = fragment_ns
        self._slowness = 1
        self._credit_at = 0  # the even rate's own next time
        self._last: int | None = None
        self._cut_at = 0  # a fragment must begin here at the latest
        self._fragments = 0

    @property
    def interval_ns(self) -> int:
        """Mean distance of pictures while something moves."""
        return self._even_ns * self._slowness

    @property
    def last_ns(self) -> int:
        """Time of the last picture; -1 before the first."""
        return -1 if self._last is None else self._last

    def slow_down(self, factor: int) -> None:
        """Make only every `factor`-th picture from now on; 1 is the full rate."""
        self._slowness = factor

    def cut_next(self) -> None:
        """Let a fragment begin with the next picture."""
        if self._last is not None:
            self._cut_at = min(self._cut_at, self._last + self._even_ns)

    def deadline(self) -> int:
        """When a picture is due though nothing is new."""
        return 0 if self._last is None else min(self._last + IDLE_NS, self._cut_at)

    def closing(self, first_ns: int) -> int:
        """Until when to wait for companions of a frame captured at `first_ns`."""
        earliest = self._credit_at - round(self.interval_ns * BURST_PICTURES)
        apart = self.last_ns + self._even_ns // 2
        return min(max(first_ns + self.interval_ns // 2, earliest, apart), max(first_ns, self.deadline()))

    def make(self, at_ns: int) -> tuple[int, bool]:
        """A picture is made of what was captured at `at_ns`: return its time, and if a fragment begins."""
        time_ns = 0 if self._last is None else max(at_ns, self._last + self._even_ns // 2)
        cut = time_ns >= self._cut_at - self._even_ns * CUT_SLACK_PICTURES
        if cut:
            length = self._fragment_ns if self._fragments else min(FIRST_FRAGMENT_NS, self._fragment_ns)
            self._cut_at = time_ns + length
            self._fragments += 1
        self._last = time_ns
        self._credit_at = max(self._credit_at, time_ns) + self.interval_ns
        return time_ns, cut


@dataclass(frozen=True, slots=True)
class QualityLevel:
    """What the pictures may cost: every how-manyeth is made, how hard the coder looks for savings, and how
    many columns share one that is coded."""

    frame_rate_divisor: int
    thorough: bool
    resolution_divisor: int = 1


# First pictures become fewer, then poorer for their size, then narrower; sound is never touched. Haste comes
# before the resolution because it saves as much and is hardly seen (docs/how/cost.md).
EFFORTS = (
    QualityLevel(1, True),
    QualityLevel(2, True),
    QualityLevel(4, True),
    QualityLevel(4, False),
    QualityLevel(4, False, 2),
    QualityLevel(8, False, 2),
)


class QualityController:
    """Which of EFFORTS the machine can do: one down where rendering lags, one up after a while of rest."""

    def __init__(self) -> None:
        self._level = 0
        self._relaxed_since: int | None = None
        self._changed_at: int | None = None
        self._rose = False  # when it changed
        self._patience_ns = RELAXED_FOR_NS
        self._lag_ns = 0  # when it changed

    @property
    def effort(self) -> QualityLevel:
        return EFFORTS[self._level]

    @property
    def strained(self) -> bool:
        """Few and cheap pictures, and still it lagged when that last changed: decoding costs too much."""
        return self._level >= STRAINED_LEVEL and self._lag_ns > LAG_NS_MAX

    def observe(self, now_ns: int, lag_ns: int) -> bool:
        """Rendering is `lag_ns` late; return whether the effort changed."""
        before = self._level
        if lag_ns > LAG_NS_RELAXED:
            self._relaxed_since = None
        elif self._relaxed_since is None:
            self._relaxed_since = now_ns
        if lag_ns > LAG_NS_MAX and not self._catching_up(now_ns, lag_ns):
            self._level = min(len(EFFORTS) - 1, self._level + 1)
        elif self._relaxed_since is not None and now_ns - self._relaxed_since >= self._wait_ns():
            self._level = max(0, self._level - 1)
            self._relaxed_since = now_ns
        if self._level == before:
            return False
        self._learn(now_ns, rises=self._level < before)
        self._changed_at, self._lag_ns = now_ns, lag_ns
        return True

    def _wait_ns(self) -> int:
        """How long without lag before the effort rises: after a rise that went well the usual time."""
        return RELAXED_FOR_NS if self._rose else self._patience_ns

    def _learn(self, now_ns: int, *, rises: bool) -> None:
        """Wait twice as long after a rise that was too much, and as ever after one that was not."""
        if rises and self._rose:
            self._patience_ns = RELAXED_FOR_NS
        elif not rises and self._rose and now_ns - (self._changed_at or 0) < 2 * self._patience_ns:
            self._patience_ns = min(2 * self._patience_ns, RELAXED_FOR_NS_MAX)
        self._rose = rises

    def _catching_up(self, now_ns: int, lag_ns: int) -> bool:
        """A change needs time to be felt before the next, and none is needed while the lag falls."""
        if self._changed_at is None:
            return False
        return now_ns - self._changed_at < FELT_NS or lag_ns < self._lag_ns
