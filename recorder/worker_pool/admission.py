"""Admission: whether a node has room for one more recording without harm to those that run; pure."""

from dataclasses import dataclass

from recorder.worker_pool.occupancy import Occupancy

WORKER_BYTES = 100 * 1024 * 1024  # of one more; docs/cost.md


@dataclass(frozen=True, slots=True)
class Budget:
    """What recordings may take of a machine of `cores`."""

    cores: int
    recordings_max: int
    cpu_share_max: float
    memory_free_bytes_min: int

    @property
    def cores_max(self) -> float:
        return self.cores * self.cpu_share_max


def shortage(budget: Budget, running: int, occupancy: Occupancy, memory_available_bytes: int) -> str | None:
    """What a new recording would lack, as a sentence; None where there is room.

    `running` counts those that the last look at the workers has not seen, too.
    """
    unseen = max(0, running - occupancy.workers)
    expected = occupancy.cores + (unseen + 1) * occupancy.cores_of_one
    if running >= budget.recordings_max:
        return f"The server records {running} calls, which is all that it may."
    if running and expected > budget.cores_max:
        return f"Recordings take {occupancy.cores:.1f} of {budget.cores_max:.1f} cores; no room is left."
    if running and occupancy.behind and budget.cpu_share_max <= 1:
        return "A recording makes fewer pictures than it should; there is no room for more."
    if memory_available_bytes - (unseen + 1) * WORKER_BYTES < budget.memory_free_bytes_min:
        return "The machine has too little memory for another recording."
    return None
