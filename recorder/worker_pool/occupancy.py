"""What the workers of a node take of its processors, from the CPU time that each of them tells; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

NEW_WORKER_CORES = 0.1  # of one that has told nothing yet: a small call of two people


@dataclass(frozen=True, slots=True)
class Occupancy:
    """As of the last look: cores that all workers take, how many they are, whether any falls behind."""

    cores: float = 0.0
    workers: int = 0
    behind: bool = False  # one makes fewer pictures than it should

    @property
    def cores_of_one(self) -> float:
        """What one more is expected to take."""
        return max(self.cores / self.workers, NEW_WORKER_CORES) if self.workers else NEW_WORKER_CORES


class OccupancyMeter:
    """Turns readings of CPU time into cores."""

    def __init__(self) -> None:
        self.now = Occupancy()
        self._before: Mapping[str, float] = {}
        self._before_s = 0.0

    def look(self, now_s: float, cpu_s: Mapping[str, float], *, behind: bool) -> Occupancy:
        """Take every worker's CPU time so far, by recording; `now_s` is a clock that only goes on."""
        passed_s = now_s - self._before_s
        cores = sum(
            (used_s - self._before[recording]) / passed_s
            if recording in self._before and passed_s > 0
            else NEW_WORKER_CORES
            for recording, used_s in cpu_s.items()
        )
        self._before, self._before_s = dict(cpu_s), now_s
        self.now = Occupancy(max(0.0, cores), len(cpu_s), behind)
        return self.now
