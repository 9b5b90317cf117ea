"""A publisher's processor, of which it gets slices: what it sends then leaves late, and in bunches."""

import asyncio
from dataclasses import dataclass

HOPS = 3  # turns of an event loop for one frame: taking it, coding it, sending it


@dataclass(frozen=True)
class Slices:
    """From and to these times of the call the sender runs for `run_s`, stands for `stop_s`, and again.

    Each of the HOPS of a frame costs `hop_s`.
    """

    run_s: float
    stop_s: float
    hop_s: float
    from_s: float = 1.0
    to_s: float = 1e9

    def goes_on(self, at_s: float) -> float:
        """When work goes on that would at this instant of the call."""
        if not self.from_s <= at_s < self.to_s:
            return at_s
        period_s = self.run_s + self.stop_s
        into_s = (at_s - self.from_s) % period_s
        return at_s if into_s < self.run_s else at_s + period_s - into_s


class Processor:
    """Gives the streams of one sender their hops by turns; `zero_s` is the call's on the loop's clock."""

    def __init__(self, slices: Slices | None, zero_s: float) -> None:
        self._slices = slices
        self._zero_s = zero_s
        self._turn = asyncio.Lock()

    async def frame(self) -> None:
        """Return when a frame is coded and may be sent."""
        for _ in range(HOPS if self._slices else 0):
            async with self._turn:
                await self._hop()

    async def _hop(self) -> None:
        if self._slices is None:
            return
        loop = asyncio.get_running_loop()
        goes_on_s = self._slices.goes_on(loop.time() - self._zero_s) + self._slices.hop_s
        await asyncio.sleep(max(0.0, self._zero_s + goes_on_s - loop.time()))
