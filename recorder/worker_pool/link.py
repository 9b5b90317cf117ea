"""The server's end of one worker's socket: requests with deadlines, events as they come.

A request that is not answered in time fails alone. Bytes that are no message end the link: after them nothing
on it can be believed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from itertools import count
from typing import TypeVar

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import WORKER_REQUESTS_PENDING_MAX
from recorder.worker.protocol import (
    Ended,
    Event,
    Framing,
    Happened,
    Hello,
    Refused,
    Reply,
    Request,
    SpoolGrew,
    decode_message,
    frame,
)

READ_BYTES = 64 * 1024
LINK_WRITE_TIMEOUT_S = 5.0  # a worker reads all the time; one that does not for so long hangs

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer", bound=Reply)
_EVENTS = (Hello, Happened, SpoolGrew, Ended)


class WorkerLink:
    """One connection to a worker. `on_event` gets every event, `on_lost` one reason when the link ends."""

    def __init__(self, *, on_event: Callable[[Event], None], on_lost: Callable[[str], None]) -> None:
        self._on_event = on_event
        self._on_lost = on_lost
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, connection: socket.socket) -> None:
        """Take over a connected socket and begin to read."""
        reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        self._reading = asyncio.create_task(self._read(reader), name="worker-link")

    async def ask(
        self,
        make: Callable[[int], Request],
        answer: type[_Answer],
        *,
        timeout_s: float,
        always: bool = False,
    ) -> _Answer:
        """Send the request that `make` gives for a fresh number; return its answer.

        `always`: also when there are too many unanswered requests. Raises what the worker refused with, or
        worker_unreachable or overloaded (503).
        """
        if len(self._pending) >= WORKER_REQUESTS_PENDING_MAX and not always:
            raise _worker_error("overloaded", "The recording's worker has too much to answer.")
        number = next(self._numbers)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            await self._send(make(number))
            async with asyncio.timeout(timeout_s):
                reply = await future
        except TimeoutError:
            raise _worker_error(
                "worker_unreachable", "The recording's worker did not answer in time."
            ) from None
        finally:
            self._pending.pop(number, None)
        if isinstance(reply, Refused):
            raise reply.to_error()
        if not isinstance(reply, answer):
            self._end("worker_protocol")
            raise _worker_error("worker_protocol", "The recording's worker gave a wrong answer.")
        return reply

    async def close(self) -> None:
        """End the link without a word to `on_lost`. May be called twice."""
        self._drop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _send(self, request: Request) -> None:
        if self._writer is None:
            raise _gone()
        try:
            self._writer.write(frame(request))
            async with asyncio.timeout(LINK_WRITE_TIMEOUT_S):
                await self._writer.drain()
        except OSError:
            raise _gone() from None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        framing, reason = Framing(), "worker_gone"
        try:
            while data := await reader.read(READ_BYTES):
                for body in framing.feed(data):
                    self._take(decode_message(body))
        except OSError as error:
            _log.debug("the link to a worker broke", extra={"reason": type(error).__name__})
        except (msgspec.DecodeError, BystanderError) as error:
            _log.error("a worker wrote something that is no message", extra={"reason": type(error).__name__})
            reason = "worker_protocol"
        finally:
            self._end(reason)

    def _take(self, message: Reply | Event) -> None:
        if isinstance(message, _EVENTS):
            self._on_event(message)
            return
        waiting = self._pending.get(message.request)
        if waiting is None:
            _log.debug("an answer came after its deadline", extra={"answer": type(message).__name__})
        elif not waiting.done():
            waiting.set_result(message)

    def _end(self, reason: str) -> None:
        if self._writer is not None:
            self._drop()
            self._on_lost(reason)

    def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(_gone())


def _gone() -> BystanderError:
    return _worker_error("worker_unreachable", "The recording's worker is gone.")


def _worker_error(code: str, detail: str) -> BystanderError:
    return BystanderError(code, detail, fault=Fault.SERVER, status=503)
