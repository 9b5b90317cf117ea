"""The back-off before another try."""

import random

_DOUBLINGS_MAX = 30  # past every sensible maximum; keeps the power finite


class Backoff:
    """Waiting times that double up to a maximum, with jitter so that many uploads do not return at once."""

    def __init__(self, *, initial_s: float, max_s: float, seed: int | str | None = None) -> None:
        """`seed` None draws from the system; a fixed one repeats the same times."""
        self._initial_s, self._max_s = initial_s, max_s
        self._chance = random.Random(seed)
        self.attempts = 0

    def failed(self) -> float:
        """Count a failure; the seconds to wait now: half to all of the doubled time."""
        doublings = min(self.attempts, _DOUBLINGS_MAX)
        self.attempts += 1
        whole = min(self._max_s, self._initial_s * 2.0**doublings)
        return whole * self._chance.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self.attempts = 0
