"""Slots for parts in memory: how many bodies travel at once follows what the link to the store bears.

On a slow link many bodies at once all take long, and none is done: so one that took long, or was given up,
halves their number, and quick ones let it grow again. Who needs the least to be done goes first.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from recorder.kernel.errors import BystanderError
from storage.errors import UNREACHABLE

LONG_S = 30.0  # of one body: then fewer at once are done sooner, each by itself
SHORT_S = 10.0


class UploadSlots:
    """At most `slots_max` at once, of all recordings together, and at least one."""

    def __init__(self, slots_max: int) -> None:
        self._slots_max = slots_max
        self._limit = float(slots_max)
        self._halved_s = 0.0  # when a long body last did
        self._in_use = 0
        self._arrivals = 0
        self.sent_bytes = 0  # that ever arrived, each time they were sent
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"UploadSlots({self._in_use} of {self.limit}, {len(self._waiting)} wait)"

    @property
    def limit(self) -> int:
        """How many bodies may travel now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def taken(self, remaining_bytes: int, body_bytes: int = 0) -> AsyncIterator[None]:
        """Wait for a slot, before those who have more left to send; what came of the request, which carries
        about `body_bytes`, is learnt from."""
        await self._take(remaining_bytes)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            yield
        except BystanderError as error:
            if error.code == UNREACHABLE:
                self._limit = max(1.0, self._limit / 2)
            raise
        else:
            self.sent_bytes += body_bytes
            self._learn(began_s, loop.time())
        finally:
            self._in_use -= 1
            self._hand_on()

    def _learn(self, began_s: float, now_s: float) -> None:
        """Of those that were on their way together only the first counts against them."""
        if now_s - began_s > LONG_S:
            if began_s >= self._halved_s:
                self._limit, self._halved_s = max(1.0, self._limit / 2), now_s
        elif now_s - began_s < SHORT_S:
            self._limit = min(self._slots_max, self._limit + 1 / self._limit)

    async def _take(self, remaining_bytes: int) -> None:
        if self._in_use < self.limit and not self._waiting:
            self._in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (remaining_bytes, self._arrivals, turn))
        self._hand_on()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was ours just when we were cancelled
                self._in_use -= 1
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        while self._waiting and self._in_use < self.limit:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._in_use += 1
                turn.set_result(None)
