"""Asks every worker how it does, again and again: for /metrics, and to find those that hang."""

import asyncio
import logging

import psutil

from recorder.kernel.errors import BystanderError, Fault
from recorder.worker_pool.pool import WorkerPool
from recorder.worker_pool.stream_counters import StreamCounters
from recorder.worker_pool.worker import Worker

SAMPLE_INTERVAL_S = 5.0  # Prometheus scrapes every 15 s or so
BUSY_PERCENT = 90.0  # of all cores, since the sample before
ROUND_AGE_S_MAX = 6 * SAMPLE_INTERVAL_S  # a round takes STATISTICS_TIMEOUT_S at most

_log = logging.getLogger(__name__)


class Sampler:
    """Samples all workers of a pool until cancelled; `check` says whether it still does."""

    def __init__(self, workers: WorkerPool, counters: StreamCounters) -> None:
        self._workers = workers
        self._counters = counters
        self._sampled_s: float | None = None

    async def run(self) -> None:
        """Refresh the statistics of all workers until cancelled; a defect costs one worker's sample."""
        while True:
            self._sampled_s = asyncio.get_running_loop().time()
            await asyncio.sleep(SAMPLE_INTERVAL_S)
            workers = list(self._workers)
            samples = await asyncio.gather(*(worker.sample() for worker in workers), return_exceptions=True)
            for worker, defect in zip(workers, samples, strict=True):
                if defect is not None:
                    _log.error(
                        "a defect while sampling", extra={"recording": worker.recording}, exc_info=defect
                    )
                elif worker.statistics is not None:
                    self._counters.sampled(worker.recording, worker.statistics)
            self._counters.keep({worker.recording for worker in self._workers})
            self._count(workers)

    def _count(self, workers: list[Worker]) -> None:
        told = {worker.recording: worker.statistics for worker in workers if worker.statistics is not None}
        self._workers.occupancy.look(
            asyncio.get_running_loop().time(),
            {recording: statistics.cpu_s for recording, statistics in told.items()},
            behind=psutil.cpu_percent() > BUSY_PERCENT  # or one that shows too much lacks its own core alone
            and any(statistics.frame_rate_divisor > 1 for statistics in told.values()),
        )

    async def check(self) -> None:
        """Raises sampling_stopped where workers that hang would not be found."""
        now = asyncio.get_running_loop().time()
        if self._sampled_s is None or now - self._sampled_s > ROUND_AGE_S_MAX:
            raise BystanderError(
                "sampling_stopped", "Workers are not watched any more.", fault=Fault.SERVER, status=503
            )
