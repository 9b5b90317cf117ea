"""The watch over the spools' disk and the backlog: looks from time to time, and warns before it hurts."""

import asyncio
import logging

from recorder.archive.archive import Archive
from recorder.kernel.clock import Clock
from storage.upload.backlog import Backlog, BacklogMeter, Look

LOOK_INTERVAL_S = 10.0
ROOM_WARNING_FACTOR = 4  # times what a new recording needs: from there on it is said that the disk gets full
DISK_FULL_WARNING_S = 3600.0  # somebody has to come and do something
DRAIN_WARNING_S = 900.0  # that a link needs for what waits: it is slower than what is recorded
STALL_WARNING_S = 60.0  # shorter outages pass by themselves

_log = logging.getLogger(__name__)


class BacklogWatch:
    """One for each server; `free_bytes_min` is what a new recording needs."""

    def __init__(self, archive: Archive, clock: Clock, free_bytes_min: int) -> None:
        self._archive = archive
        self._clock = clock
        self._free_bytes_min = free_bytes_min
        self._meter = BacklogMeter()
        self._warned: frozenset[str] = frozenset()

    @property
    def now(self) -> Backlog:
        """As of the last look."""
        return self._meter.now

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def look(self) -> None:
        """Look once; what is new of trouble is said once, and once that it is over."""
        archive = self._archive
        free_bytes = await asyncio.to_thread(archive.disk_free_bytes)
        now_s = self._clock.monotonic_ns() / 1e9
        backlog = self._meter.look(Look(now_s, archive.backlog_bytes(), archive.sent_bytes(), free_bytes))
        self._say(
            trouble(backlog, free_bytes, archive.stalled_s(), self._free_bytes_min), backlog, free_bytes
        )

    def _say(self, found: frozenset[str], backlog: Backlog, free_bytes: int) -> None:
        fields = {
            "disk_free_bytes": free_bytes,
            "disk_full_in_s": backlog.disk_full_in_s,
            "backlog_bytes": backlog.size_bytes,
            "backlog_drained_in_s": backlog.drained_in_s,
        }
        for sentence in sorted(found - self._warned):
            _log.warning(sentence, extra=fields)
        for sentence in sorted(self._warned - found):
            _log.info("over: %s", sentence, extra=fields)
        self._warned = found


def trouble(backlog: Backlog, free_bytes: int, stalled_s: float, free_bytes_min: int) -> frozenset[str]:
    """What somebody should know of, each as a sentence; pure."""
    full_in_s = backlog.disk_full_in_s
    said = {
        "the spools' disk is almost full; no new recording begins": free_bytes < free_bytes_min,
        "the spools' disk is getting full": free_bytes < ROOM_WARNING_FACTOR * free_bytes_min,
        "the spools' disk will be full within an hour": (
            full_in_s is not None and full_in_s < DISK_FULL_WARNING_S
        ),
        "the store is slower than what is recorded": (backlog.drained_in_s or 0.0) > DRAIN_WARNING_S,
        "the store keeps uploads waiting": stalled_s > STALL_WARNING_S,
    }
    return frozenset(sentence for sentence, so in said.items() if so)
