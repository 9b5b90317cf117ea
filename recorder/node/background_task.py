"""A task that runs as long as its server: begun again when it ends, and not ready while it does not run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recorder.kernel.errors import BystanderError, Fault

RESTART_DELAY_S_FIRST = 1.0  # a defect that comes at once would otherwise take a core
RESTART_DELAY_S_MAX = 60.0
WELL_AFTER_S = 60.0  # a run that lasted this long was no part of a series

_log = logging.getLogger(__name__)


class BackgroundTask:
    """Runs `work`, which returns by a defect alone, or after `ask_to_end`.

    Without `ask_to_end` it is cancelled at its end. `sleep` is how it waits, for tests.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        ask_to_end: Callable[[], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._work = work
        self._ask_to_end = ask_to_end
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._ending = False

    def start(self) -> None:
        """Begin to run it; once."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._ending = True
        if self._task is None:
            return
        if self._ask_to_end is not None and self._running:
            self._ask_to_end()
        else:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def check(self) -> None:
        """Raises task_stopped (503) before it was started, and while it waits to be begun again."""
        if not self._running:
            raise BystanderError("task_stopped", f"{self.name} does not run.", fault=Fault.SERVER, status=503)

    async def _run(self) -> None:
        delay_s = RESTART_DELAY_S_FIRST
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            await self._once()
            if self._ending:
                return
            if loop.time() - begun_s >= WELL_AFTER_S:
                delay_s = RESTART_DELAY_S_FIRST
            await self._sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_DELAY_S_MAX)

    async def _once(self) -> None:
        self._running = True
        try:
            await self._work()
            if not self._ending:
                _log.error("a background task returned and is begun again", extra={"task": self.name})
        except Exception:  # noqa: BLE001 - whatever it is, the task is needed
            _log.exception("a background task failed and is begun again", extra={"task": self.name})
        finally:
            self._running = False
