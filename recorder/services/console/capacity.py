"""Capacity of this server: what runs, how far the store is behind, and how much of the machine is left."""

import asyncio
import os
from collections.abc import Callable

import psutil

from recorder.archive.archive import Archive
from recorder.archive.backlog_watch import BacklogWatch
from recorder.kernel.clock import Clock
from recorder.worker_pool.admission import Budget
from recorder.worker_pool.occupancy import Occupancy
from signaling.console_port import Capacity


class CapacityProbe:
    """Reads only."""

    def __init__(
        self,
        recordings: Callable[[], int],
        walls: Callable[[], list[str] | None],
        room: Callable[[], tuple[Budget, Occupancy]],
        archive: Archive,
        backlog: BacklogWatch,
        clock: Clock,
        *,
        disk_free_bytes_min: int,
    ) -> None:
        self._recordings = recordings
        self._walls = walls
        self._room = room
        self._archive = archive
        self._backlog = backlog
        self._clock = clock
        self._disk_free_bytes_min = disk_free_bytes_min

    async def now(self) -> Capacity:
        """As it is at this moment; the load is the mean of the last minute, rates are of the last five."""
        disk = await asyncio.to_thread(os.statvfs, self._archive.spool.parent)
        memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
        backlog, (budget, occupancy) = self._backlog.now, self._room()
        return Capacity(
            recordings=self._recordings(),
            recordings_max=budget.recordings_max,
            recording_cores=round(occupancy.cores, 2),
            recording_cores_max=round(budget.cores_max, 2),
            uploads_waiting=self._archive.waiting_for_store(),
            cores=cores,
            load_per_core=round(os.getloadavg()[0] / cores, 2),
            memory_bytes=memory.total,
            memory_available_bytes=memory.available,
            disk_bytes=disk.f_blocks * disk.f_frsize,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            disk_free_bytes_min=self._disk_free_bytes_min,
            disk_full_in_s=backlog.disk_full_in_s,
            backlog_bytes=self._archive.backlog_bytes(),
            backlog_age_s=self._archive.backlog_age_s(self._clock.monotonic_ns() / 1e9),
            backlog_drained_in_s=backlog.drained_in_s,
            worker_walls=self._walls(),
        )
