"""Writing long answers: a bound on every write, and iterators that are closed whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from aiohttp import web

from recorder.kernel.errors import BystanderError, Fault

EVENT_STREAMS_MAX = 1000  # open at once: each holds a task, a socket and a watch, some 50 KiB together

T = TypeVar("T")


class Admission:
    """Counts what is open at once, and refuses one more than `places`."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.taken = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Take a place for the length of the block; 503 too_many_streams when there is none."""
        if self.taken >= self._places:
            raise BystanderError(
                "too_many_streams", "Too many event streams are open.", fault=Fault.RESOURCE, status=503
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


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
