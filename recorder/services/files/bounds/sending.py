"""The time that a sender has: as long as bytes keep coming, and until another request takes over."""

import asyncio
from collections.abc import AsyncIterator

from recorder.kernel.errors import BystanderError, caller_error

STALL_S_MAX = 30.0  # without a byte the request ends; the sender comes again


class Sending:
    """One request that sends bytes; another one that wants to go on ends it."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._interrupted = False
        self._over = asyncio.Event()

    async def bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, as long as they keep coming; 408 body_too_slow, 409 upload_interrupted."""
        while (chunk := await self._next(chunks)) is not None:
            yield chunk

    async def interrupt(self) -> None:
        """End it, and wait until what it brought is safe."""
        self._interrupted = True
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())
        await self._over.wait()

    def over(self) -> None:
        """What it brought is safe."""
        self._over.set()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        if self._interrupted:
            raise _interrupted()
        try:
            async with asyncio.timeout(STALL_S_MAX) as self._limit:
                return await anext(chunks, None)
        except TimeoutError:
            if self._interrupted:
                raise _interrupted() from None
            raise caller_error("body_too_slow", "The bytes stopped coming.", status=408) from None
        finally:
            self._limit = None


def _interrupted() -> BystanderError:
    return caller_error("upload_interrupted", "Another request goes on with this upload.", status=409)
