"""Capacity of this server: what runs, and how much of the machine is left."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from signaling.console_port import Capacity


class CapacityProbe:
    """Reads only."""

    def __init__(
        self, recordings: Callable[[], int], waiting: Callable[[], int], spool: Path, *, recordings_max: int
    ) -> None:
        self._recordings = recordings
        self._waiting = waiting
        self._spool = spool
        self._recordings_max = recordings_max

    async def now(self) -> Capacity:
        """As it is at this moment; the load is the mean of the last minute."""
        disk = await asyncio.to_thread(os.statvfs, self._spool)
        memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
        return Capacity(
            recordings=self._recordings(),
            recordings_max=self._recordings_max,
            uploads_waiting=self._waiting(),
            cores=cores,
            load_per_core=round(os.getloadavg()[0] / cores, 2),
            memory_bytes=memory.total,
            memory_available_bytes=memory.available,
            disk_bytes=disk.f_blocks * disk.f_frsize,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
        )
