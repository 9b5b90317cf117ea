"""Asks every worker how it does, again and again: for /metrics, and to find those that hang."""

import asyncio

from recorder.worker_pool.pool import WorkerPool

SAMPLE_INTERVAL_S = 5.0  # Prometheus scrapes every 15 s or so


async def sample_forever(workers: WorkerPool) -> None:
    """Refresh the statistics of all workers until cancelled; a worker's own deadline bounds each round."""
    while True:
        await asyncio.sleep(SAMPLE_INTERVAL_S)
        await asyncio.gather(*(worker.sample() for worker in workers))
