"""All workers of this node: launched, or found again after the server was restarted."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recorder.kernel.errors import BystanderError, Fault
from recorder.worker.protocol import Event, Hello
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.occupancy import OccupancyMeter
from recorder.worker_pool.process import ProcessWatch
from recorder.worker_pool.socket_path import connect, listed, peer, socket_path
from recorder.worker_pool.worker import Tell, Worker, WorkerGone

__all__ = ["Tell", "Worker", "WorkerGone", "WorkerPool"]

GREETING_S = 5.0  # how long a found worker may take to say who it is; then its socket is asked
CONNECT_POLL_S = 0.1  # a worker whose backlog is full is busy, not gone

_log = logging.getLogger(__name__)


class WorkerPool:
    """All workers of this node, by recording."""

    def __init__(self, run: Path, forkserver: Forkserver) -> None:
        """`run` is the directory of their sockets; it exists."""
        self._run = run
        self._forkserver = forkserver
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="launch")  # one fork at a time
        self._running: dict[str, Worker] = {}
        self._walls: list[str] | None = None
        self.occupancy = OccupancyMeter()

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._running.values()))

    def __len__(self) -> int:
        return len(self._running)

    @property
    def walls(self) -> list[str] | None:
        """What the worker that was launched or found last stands behind; None before the first."""
        return self._walls

    async def warm_up(self) -> None:
        """Start the forkserver, so that the first launch is as fast as the others."""
        await self._in_thread(self._forkserver.warm_up)

    async def launch(self, recording: str, order: bytes, tell: Tell) -> Worker:
        """Start a worker; its Hello is the first that `tell` gets. BystanderError when it cannot."""
        path = socket_path(self._run, recording)
        loop = asyncio.get_running_loop()
        pid = await loop.run_in_executor(self._thread, self._forkserver.launch, order, path)
        worker = self._worker(recording, path, tell)
        try:
            process = ProcessWatch(pid)
        except ProcessLookupError:
            raise _died() from None
        try:
            await worker.open(connect(path))
        except OSError:
            process.send(signal.SIGKILL)
            process.close()
            raise _died() from None
        return self._watched(worker, process)

    async def adopt(self, recording: str, tell: Tell) -> Worker | None:
        """Find the worker that an earlier server launched; None when there is none.

        One that lives is never harmed by being looked for, however slow it is: whether it hangs is for
        `Worker.sample` to find. Only a socket on which nobody listens is removed.
        """
        path = socket_path(self._run, recording)
        try:
            connection = await _connected(path)
        except (FileNotFoundError, ConnectionRefusedError):
            _log.info("no worker was found", extra={"recording": recording})
            path.unlink(missing_ok=True)
            return None
        except OSError as error:
            _log.error("a worker is too busy", extra={"recording": recording, "reason": type(error).__name__})
            return None
        listening = peer(connection)
        worker = self._worker(recording, path, tell)
        await worker.open(connection)
        try:
            process = ProcessWatch(_other(await worker.introduced(GREETING_S) or listening))
        except ProcessLookupError:
            _log.warning("a worker ended while it was looked for", extra={"recording": recording})
            await worker.close()
            return None
        return self._watched(worker, process)

    def found(self) -> list[str]:
        """The recordings for which there is a socket."""
        return listed(self._run)

    async def close(self) -> None:
        """Let go of every worker that still runs."""
        for worker in self:
            await worker.leave()
        await self._in_thread(self._forkserver.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _worker(self, recording: str, path: Path, tell: Tell) -> Worker:
        def tell_and_forget(event: Event | WorkerGone) -> None:
            if isinstance(event, Hello):
                self._walls = event.statistics.walls
            if isinstance(event, WorkerGone) and self._running.get(recording) is worker:
                del self._running[recording]
            tell(event)

        worker = Worker(recording, path, tell_and_forget, self._forkserver.exit_code)
        return worker

    def _watched(self, worker: Worker, process: ProcessWatch) -> Worker:
        worker.watch(process)
        self._running[worker.recording] = worker
        return worker


async def _connected(path: Path) -> socket.socket:
    """A connection to who listens there; OSError as soon as nobody does, or too many wait for too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GREETING_S
    while True:
        try:
            return connect(path)
        except BlockingIOError:
            if loop.time() > until:
                raise
        await asyncio.sleep(CONNECT_POLL_S)


def _other(pid: int) -> int:
    """The process id, if it may be a worker's; a socket keeps its server's until the worker has begun."""
    if pid == os.getpid():
        raise ProcessLookupError(pid)
    return pid


def _died() -> BystanderError:
    return BystanderError(
        "worker_died", "The recording's worker died at its start.", fault=Fault.SERVER, status=503
    )
