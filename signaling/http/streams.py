"""Writing long answers: a bound on every write, and iterators that are closed whatever happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from aiohttp import web

from recorder.kernel.errors import BystanderError, Fault, caller_error

EVENT_STREAMS_MAX = 1000  # open at once: each holds a task, a socket and a watch, some 50 KiB together
STREAMS_PER_SHARE_MAX: Mapping[str, int] = {  # nobody's share fills the others'
    "account": 500,
    "conversation": 64,  # a room of eight, with a few windows each
    "address": 64,  # of those who came by a signed link
    "participant": 8,
}

T = TypeVar("T")


class Admission:
    """Counts what is open at once, in all and of each share, and refuses one more than `places`."""

    def __init__(self, places: int, shares: Mapping[str, int] = STREAMS_PER_SHARE_MAX) -> None:
        self._places = places
        self._shares = shares
        self._open: Counter[tuple[str, str]] = Counter()
        self.taken = 0

    @contextmanager
    def admit(self, whose: Mapping[str, str | None] | None = None) -> Iterator[None]:
        """Take a place for the length of the block, out of these shares.

        503 too_many_streams when there is none left, 429 too_many_streams when a share is used up.
        """
        shares = [(kind, who) for kind, who in (whose or {}).items() if who is not None]
        for kind, who in shares:
            if self._open[kind, who] >= self._shares[kind]:
                detail = f"This {kind} has {self._shares[kind]} event streams and long-polls open."
                raise caller_error("too_many_streams", detail, status=429)
        if self.taken >= self._places:
            raise BystanderError(
                "too_many_streams", "Too many event streams are open.", fault=Fault.RESOURCE, status=503
            )
        self.taken += 1
        self._open.update(shares)
        try:
            yield
        finally:
            self.taken -= 1
            self._open.subtract(shares)
            for share in shares:
                if self._open[share] <= 0:
                    del self._open[share]


@asynccontextmanager
async def closing(iterator: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an async generator at the end of the block, even when it was left in the middle."""
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def write(response: web.StreamResponse, data: bytes, *, stall_s_max: float) -> None:
    """Write to a caller; ConnectionResetError when they take nothing for `stall_s_max` seconds."""
    try:
        async with asyncio.timeout(stall_s_max):
            await response.write(data)
    except TimeoutError as error:
        raise ConnectionResetError("the caller reads no more") from error
