"""The speed trial of a store: a short one, because stores charge for what is read."""

import secrets
from collections.abc import Awaitable, Callable

from recorder.kernel.clock import Clock
from recorder.kernel.limits import MIB
from storage.errors import CORRUPTED, store_error
from storage.store import ObjectProperties, ObjectStore

TRIAL_BYTES = 1 * MIB
SECOND_TRIAL_BYTES = 4 * MIB  # both together: 5 MiB each way
TOO_SHORT_S = 0.2  # below it, what was measured is mostly the waiting for an answer
SLOW_MBIT_PER_S = 5.0  # two recordings at their cap; a store that is slower falls behind for good


class SpeedTrial:
    """Sends and reads back one object; each way returns megabits per second."""

    def __init__(self, store: ObjectStore, key: str, clock: Clock) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._data = secrets.token_bytes(SECOND_TRIAL_BYTES)  # no proxy can compress it
        self._stored_bytes = 0

    async def up(self) -> float:
        return await self._measured(self._put)

    async def down(self) -> float:
        return await self._measured(self._get)

    async def remove(self) -> None:
        await self._store.delete(self._key)

    async def _measured(self, carry: Callable[[int], Awaitable[int]]) -> float:
        rate, seconds = await self._timed(carry, TRIAL_BYTES)
        if seconds < TOO_SHORT_S:
            rate, _ = await self._timed(carry, SECOND_TRIAL_BYTES)
        return rate

    async def _timed(self, carry: Callable[[int], Awaitable[int]], size: int) -> tuple[float, float]:
        began_ns = self._clock.monotonic_ns()
        carried = await carry(size)
        seconds = max((self._clock.monotonic_ns() - began_ns) / 1e9, 1e-6)
        return carried * 8 / 1e6 / seconds, seconds

    async def _put(self, size: int) -> int:
        await self._store.put(self._key, self._data[:size], ObjectProperties())
        self._stored_bytes = size
        return size

    async def _get(self, size: int) -> int:
        size = min(size, self._stored_bytes)
        chunks = [chunk async for chunk in self._store.read(self._key, 0, size)]
        if b"".join(chunks) != self._data[:size]:
            raise store_error(CORRUPTED, "other bytes are read back")
        return size
