"""The server's view of its workers: launched or found again, spoken to, and noticed at once when they die."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent, Publisher
from recorder.kernel.recording import EndReason, Statistics
from recorder.worker.protocol import (
    Done,
    Event,
    GetStatistics,
    Hello,
    Publish,
    Published,
    RecordEvent,
    StatisticsReply,
    Stop,
    Stopped,
    Trickle,
    Trickled,
    Unpublish,
)
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.link import WorkerLink
from recorder.worker_pool.process import ProcessWatch
from recorder.worker_pool.socket_path import connect, listed, socket_path

# How long an answer is waited for, by what has to be done for it.
PUBLISH_TIMEOUT_S = 10.0  # gathers candidates, perhaps from a TURN server that is slow
TRICKLE_TIMEOUT_S = 5.0
UNPUBLISH_TIMEOUT_S = 5.0
NOTE_TIMEOUT_S = 2.0
STATISTICS_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 20.0  # the engine's ENGINE_STOP_TIMEOUT_S and the end of the spool

UNANSWERED_SAMPLES_MAX = 6  # half a minute: nothing that a healthy worker does takes its loop so long
DEATH_OR_RECONNECT_S = 1.0  # an exiting worker closes its socket first: wait for the exit before reconnecting
RECONNECTS_MAX = 3
LAST_WORDS_S = 1.0  # how long the socket of a dead worker is read on
GREETING_S = 5.0  # how long a found worker may take to say who it is
TERMINATE_TIMEOUT_S = 20.0  # as for STOP_TIMEOUT_S; then it is killed

_log = logging.getLogger(__name__)


class WorkerGone(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's process has ended; nothing more will come from it."""

    failure: str


Tell = Callable[[Event | WorkerGone], None]


class Worker:
    """One worker process and the link to it. `tell` gets its events in order, and WorkerGone last."""

    def __init__(self, recording: str, path: Path, process: ProcessWatch, tell: Tell) -> None:
        self.recording = recording
        self.statistics: Statistics | None = None
        self._failure: str | None = None  # why we ended it
        self._unanswered = 0
        self._path = path
        self._process = process
        self._tell = tell
        self._link: WorkerLink
        self._lost: asyncio.Future[str]
        self._supervision: asyncio.Task[None]

    def __repr__(self) -> str:
        return f"<Worker {self.recording} {self._process!r}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open(self) -> None:
        """Connect, and watch over the process from now on; OSError when nobody listens."""
        await self._connect()
        self._supervision = asyncio.create_task(self._supervise(), name=f"worker {self.recording}")

    # --- what it can be asked --------------------------------------------------------------------------
    async def publish(self, session: str, publisher: Publisher, offer: str) -> tuple[str, str]:
        """The SDP answer and the entity tag of a new session."""
        answer = await self._link.ask(
            lambda number: Publish(request=number, session=session, publisher=publisher, offer=offer),
            Published,
            timeout_s=PUBLISH_TIMEOUT_S,
        )
        return answer.answer, answer.etag

    async def trickle(self, session: str, fragment: str, etag: str | None) -> tuple[str, str] | None:
        """None when candidates were taken; an SDP fragment and a new entity tag when ICE restarted."""
        answer = await self._link.ask(
            lambda number: Trickle(request=number, session=session, fragment=fragment, etag=etag),
            Trickled,
            timeout_s=TRICKLE_TIMEOUT_S,
        )
        if answer.fragment is None or answer.etag is None:
            return None
        return answer.fragment, answer.etag

    async def unpublish(self, session: str) -> None:
        await self._link.ask(
            lambda number: Unpublish(request=number, session=session), Done, timeout_s=UNPUBLISH_TIMEOUT_S
        )

    async def note(self, identity: str, event: MediaEvent, ago_s: float) -> None:
        """Put it among the recording's events, once for each identity, at the time that was `ago_s` ago."""
        await self._link.ask(
            lambda number: RecordEvent(request=number, id=identity, event=event, ago_s=ago_s),
            Done,
            timeout_s=NOTE_TIMEOUT_S,
        )

    async def stop(self, reason: EndReason) -> Stopped:
        """Returns once everything is in the spool."""
        return await self._link.ask(
            lambda number: Stop(request=number, reason=reason),
            Stopped,
            timeout_s=STOP_TIMEOUT_S,
            always=True,
        )

    async def sample(self) -> None:
        """Refresh `statistics`; a worker that owes UNANSWERED_SAMPLES_MAX of them hangs, and is killed."""
        try:
            answer = await self._link.ask(
                lambda number: GetStatistics(request=number), StatisticsReply, timeout_s=STATISTICS_TIMEOUT_S
            )
        except BystanderError as error:
            self._unanswered += 1
            _log.warning("no statistics", extra=self._fields(code=error.code, in_a_row=str(self._unanswered)))
            if self._unanswered >= UNANSWERED_SAMPLES_MAX:
                self._failure = "worker_hung"
                self.kill()
        else:
            self._unanswered = 0
            self.statistics = answer.statistics

    def kill(self) -> None:
        """End the process at once; what is in its spool stays."""
        self._process.send(signal.SIGKILL)

    async def gone(self) -> None:
        """Wait until the process has ended and everything of it is let go."""
        await asyncio.wait([self._supervision])

    async def leave(self) -> None:
        """Let go of the worker and let it go on: the next server will find it."""
        self._supervision.cancel()
        await asyncio.wait([self._supervision])
        await self._link.close()
        self._process.close()

    # --- supervision -----------------------------------------------------------------------------------
    async def _connect(self) -> None:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = WorkerLink(on_event=self._on_event, on_lost=lost.set_result)
        await link.open(connect(self._path))
        self._link, self._lost = link, lost

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Hello):
            self.statistics = event.statistics
        self._tell(event)

    async def _supervise(self) -> None:
        failure = await self._until_lost()
        await self._end_process()
        await self._link.close()
        self._path.unlink(missing_ok=True)
        self._tell(WorkerGone(failure=self._failure or failure))

    async def _until_lost(self) -> str:
        """Wait for the end of the process, through broken links; the code of what ended it."""
        for _ in range(RECONNECTS_MAX + 1):
            died = asyncio.ensure_future(self._process.died.wait())
            first: set[asyncio.Future[Any]] = {died, self._lost}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if self._lost.done() and self._lost.result() == "worker_protocol":
                return "worker_protocol"
            if await self._has_died():
                return "worker_died"
            try:
                await self._connect()
            except OSError as error:
                _log.error("a worker cannot be reached", extra=self._fields(reason=type(error).__name__))
                return "worker_lost"
            _log.warning("the link to a worker broke and was made again", extra=self._fields())
        return "worker_lost"

    async def _has_died(self) -> bool:
        """After a loss: whether the process is dead; if so, what it still said has been taken."""
        try:
            async with asyncio.timeout(DEATH_OR_RECONNECT_S):
                await self._process.died.wait()
        except TimeoutError:
            return False
        await asyncio.wait([self._lost], timeout=LAST_WORDS_S)
        return True

    async def _end_process(self) -> None:
        if self._process.died.is_set():
            return
        self._process.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(TERMINATE_TIMEOUT_S):
                await self._process.died.wait()
        except TimeoutError:
            _log.error("a worker does not end and is killed", extra=self._fields())
            self._process.send(signal.SIGKILL)
            await self._process.died.wait()

    def _fields(self, **more: str) -> dict[str, object]:
        return {"recording": self.recording, "pid": self.pid, **more}


class WorkerPool:
    """All workers of this node, by recording."""

    def __init__(self, run: Path, forkserver: Forkserver) -> None:
        """`run` is the directory of their sockets; it exists."""
        self._run = run
        self._forkserver = forkserver
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="launch")  # one fork at a time
        self._running: dict[str, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._running.values()))

    def __len__(self) -> int:
        return len(self._running)

    async def warm_up(self) -> None:
        """Start the forkserver, so that the first launch is as fast as the others."""
        await self._in_thread(self._forkserver.warm_up)

    async def launch(self, recording: str, order: bytes, tell: Tell) -> Worker:
        """Start a worker; its Hello is the first that `tell` gets. BystanderError when it cannot."""
        path = socket_path(self._run, recording)
        loop = asyncio.get_running_loop()
        pid = await loop.run_in_executor(self._thread, self._forkserver.launch, order, path)
        return await self._watch(recording, path, pid, tell)

    async def adopt(self, recording: str, tell: Tell) -> Worker | None:
        """Find the worker that an earlier server launched; None, and no socket left, when there is none."""
        path = socket_path(self._run, recording)
        try:
            pid = await _greeted_by(path)
            return await self._watch(recording, path, pid, tell)
        except (OSError, BystanderError) as error:
            _log.info("no worker was found", extra={"recording": recording, "reason": type(error).__name__})
            path.unlink(missing_ok=True)
            return None

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

    async def _watch(self, recording: str, path: Path, pid: int, tell: Tell) -> Worker:
        def told(event: Event | WorkerGone) -> None:
            if isinstance(event, WorkerGone) and self._running.get(recording) is worker:
                del self._running[recording]
            tell(event)

        try:
            process = ProcessWatch(pid)
        except ProcessLookupError:
            raise _died() from None
        worker = Worker(recording, path, process, told)
        try:
            await worker.open()
        except OSError:
            process.send(signal.SIGKILL)
            process.close()
            raise _died() from None
        self._running[recording] = worker
        return worker


async def _greeted_by(path: Path) -> int:
    """The process id that the listener at `path` says it has."""
    hello: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def heard(event: Event) -> None:
        if isinstance(event, Hello) and not hello.done():
            hello.set_result(event.pid)

    def lost(reason: str) -> None:
        if not hello.done():
            hello.set_exception(_died())

    link = WorkerLink(on_event=heard, on_lost=lost)
    await link.open(connect(path))
    try:
        async with asyncio.timeout(GREETING_S):
            return await hello
    except TimeoutError:
        raise _died() from None
    finally:
        await link.close()


def _died() -> BystanderError:
    return BystanderError(
        "worker_died", "The recording's worker died at its start.", fault=Fault.SERVER, status=503
    )
