"""The worker's end of its socket: greets each connection, answers requests, tells events.

Everybody who is connected is told everything, so a restarted server needs no ceremony, and whoever sends
what is no request loses only their own connection.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import MIB, WORKER_REQUESTS_PENDING_MAX
from recorder.worker.protocol import (
    Event,
    Framing,
    Message,
    Refused,
    Reply,
    Request,
    Stop,
    decode_request,
    frame,
)

BACKLOG = 4  # one server, and perhaps its successor
READ_BYTES = 64 * 1024
CONNECTIONS_MAX = 4  # a server, its successor, and somebody who looks; the oldest makes room
UNSENT_BYTES_MAX = 4 * MIB  # a server that does not read for so long is dropped; it may connect again
FLUSH_TIMEOUT_S = 5.0  # how long the last words may take before the worker exits

_log = logging.getLogger(__name__)

Answer = Callable[[Request], Awaitable[Reply]]


class WorkerServer:
    """Serves recorder.worker.protocol on a listening socket. Event loop only."""

    def __init__(self, listener: socket.socket, *, greet: Callable[[], Event], answer: Answer) -> None:
        self._listener = listener
        self._greet = greet
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._answering: set[asyncio.Task[None]] = set()
        self.connected = asyncio.Event()  # somebody was greeted

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._connected, sock=self._listener)

    def tell(self, event: Event) -> None:
        """Send an event to whoever is connected; without a server nobody is told."""
        for writer in self._writers:
            self._send(writer, event)

    async def close(self) -> None:
        """Answer what was asked, flush, and accept nobody any more."""
        if self._server is not None:
            self._server.close()
        if self._answering:
            await asyncio.wait(self._answering, timeout=FLUSH_TIMEOUT_S)
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.close()
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await asyncio.gather(*(writer.wait_closed() for writer in writers))
        except (OSError, TimeoutError):
            _log.warning("the last messages may not have been read")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) == CONNECTIONS_MAX:
            self._writers.pop(0).close()
        self._writers.append(writer)
        self._send(writer, self._greet())
        self.connected.set()
        try:
            await self._serve(reader, writer)
        except OSError as error:
            _log.info("the server's connection broke", extra={"reason": type(error).__name__})
        except (msgspec.DecodeError, BystanderError) as error:
            _log.error("the server sent what is no request", extra={"reason": type(error).__name__})
        if writer in self._writers:
            self._writers.remove(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framing = Framing()
        while data := await reader.read(READ_BYTES):
            for body in framing.feed(data):
                request = decode_request(body)
                full = len(self._answering) >= WORKER_REQUESTS_PENDING_MAX
                if full and not isinstance(request, Stop):  # a recording can always be ended
                    self._send(writer, _refusal(request, _busy()))
                    continue
                task = asyncio.create_task(self._reply(writer, request))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _reply(self, writer: asyncio.StreamWriter, request: Request) -> None:
        try:
            reply = await self._answer(request)
        except BystanderError as error:
            reply = _refusal(request, error)
        except Exception as error:  # noqa: BLE001 - a defect in one answer must not end the recording
            _log.exception("a request failed", extra={"request": type(request).__name__})
            reply = _refusal(request, _defect(error))
        self._send(writer, reply)

    def _send(self, writer: asyncio.StreamWriter, message: Message) -> None:
        if writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            _log.error("the server does not read: its connection is dropped")
            writer.transport.abort()
            return
        writer.write(frame(message))


def _refusal(request: Request, error: BystanderError) -> Refused:
    return Refused(
        request=request.request, code=error.code, detail=error.detail, fault=error.fault, status=error.status
    )


def _busy() -> BystanderError:
    return BystanderError("overloaded", "The worker has too much to answer.", fault=Fault.SERVER, status=503)


def _defect(error: Exception) -> BystanderError:
    detail = f"The worker met a defect of its own ({type(error).__name__})."
    return BystanderError("internal", detail, fault=Fault.SERVER, status=500)
