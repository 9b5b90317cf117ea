"""Asks every worker how it does, again and again, for /metrics."""

import asyncio
import logging

from recorder.errors import BystanderError
from recorder.workers import Worker, Workers

SAMPLE_INTERVAL_S = 5.0  # Prometheus scrapes every 15 s or so

_log = logging.getLogger(__name__)


async def sample_forever(workers: Workers) -> None:
    """Refresh the statistics of all workers until cancelled; a worker's own deadline bounds each round."""
    while True:
        await asyncio.sleep(SAMPLE_INTERVAL_S)
        await asyncio.gather(*(_sample(worker) for worker in workers))


async def _sample(worker: Worker) -> None:
    try:
        await worker.sample()
    except BystanderError as error:
        _log.debug("no statistics", extra={"recording": worker.recording, "code": error.code})
