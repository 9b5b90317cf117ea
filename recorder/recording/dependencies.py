"""What every recording of a node works with."""

from dataclasses import dataclass

from recorder.archive.archive import Archive
from recorder.database import RecordingTable
from recorder.database.presences import PresenceTable
from recorder.kernel.clock import Clock
from recorder.recording.events import Timeouts
from recorder.recording.plan import terms
from recorder.settings.definitions import Settings
from recorder.worker_pool.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class ActorDependencies:
    """What every live recording works with."""

    clock: Clock
    settings: Settings
    table: RecordingTable
    presences: PresenceTable
    workers: WorkerPool
    archive: Archive
    node: str  # whose recordings these are; see DataDirectory.node

    @property
    def terms(self) -> Timeouts:
        """How long the phases of a recording last where its conversation says nothing else."""
        return terms(self.settings)

    def now_s(self) -> float:
        """The time that deadlines are measured by, in seconds."""
        return self.clock.monotonic_ns() / 1e9
