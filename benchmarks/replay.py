"""A track that sends coded packets over and over, in real time, without coding anything."""

import asyncio
import fractions
from typing import Any

import av
from aiortc import MediaStreamTrack


class Replay(MediaStreamTrack):
    """Coded packets over and over, one every `step` ticks of the RTP clock."""

    def __init__(self, kind: str, packets: list[bytes], step: int, clock_rate: int) -> None:
        self.kind = kind
        super().__init__()
        self._packets, self._step, self._clock_rate = packets, step, clock_rate
        self._count = 0
        self._started_at: float | None = None

    async def recv(self) -> Any:
        """The next packet, when its time has come."""
        loop = asyncio.get_running_loop()
        self._started_at = self._started_at or loop.time()
        due = self._started_at + self._count * self._step / self._clock_rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        packet = av.Packet(self._packets[self._count % len(self._packets)])
        packet.pts = self._count * self._step
        packet.time_base = fractions.Fraction(1, self._clock_rate)
        self._count += 1
        return packet
