"""Whether this server can do its work now, dependency by dependency."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from recorder.archive.archive import Archive
from recorder.database import Database
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from recorder.settings.definitions import DEFAULT_STORE

CHECK_TIMEOUT_S = 3.0  # a probe of /readyz usually waits for 5 s
ANSWER_AGE_S_MAX = 2.0  # many probes, one look: the store may cost money for each


class Health:
    """Fulfils signaling.ports.Health."""

    def __init__(
        self,
        database: Database,
        archive: Archive,
        clock: Clock,
        tasks: Mapping[str, Callable[[], Awaitable[None]]],
        *,
        free_bytes_min: int,
        stores: Sequence[str] = (DEFAULT_STORE,),
    ) -> None:
        """`stores`: the names of those that new things go to, unless an account says otherwise.

        `tasks`: what runs beside requests, by name, and how to ask whether it does.
        """
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {
            "database": database.check,
            "store": partial(_of_each, archive, stores, archive.check),
            "storage_test": partial(_of_each, archive, stores, archive.allowed),
            "disk": partial(archive.check_room, free_bytes_min),
            **tasks,
        }
        self._clock = clock
        self._answered_ns: int | None = None
        self._answer: dict[str, bool] = {}
        self._asking = asyncio.Lock()
        self._accepting = True  # False from the beginning of a shutdown

    def shut_down(self) -> None:
        """Say from now on that nothing new is taken."""
        self._accepting = False

    async def ready(self) -> dict[str, bool]:
        """Each dependency by name, and whether it can be used now; all True is ready."""
        async with self._asking:
            now = self._clock.monotonic_ns()
            if self._answered_ns is None or now - self._answered_ns > ANSWER_AGE_S_MAX * 1e9:
                results = await asyncio.gather(*(_holds(check) for check in self._checks.values()))
                self._answer = dict(zip(self._checks, results, strict=True))
                self._answered_ns = now
        return {**self._answer, "accepting": self._accepting}


async def _of_each(
    archive: Archive, stores: Sequence[str], check: Callable[[str | None], Awaitable[None]]
) -> None:
    for name in dict.fromkeys(stores):
        await check(archive.stores.named(name).id)


async def _holds(check: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except (BystanderError, OSError, TimeoutError):
        return False
    return True
