"""One worker as the server sees it: spoken to over a link that may break, missed as soon as it dies."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceServer, MediaEvent, Publisher
from recorder.kernel.recording import EndReason, Statistics
from recorder.worker.protocol import (
    STOP_TIMEOUT_S,
    AwaitSessionState,
    Done,
    Ended,
    Event,
    GetStatistics,
    Hello,
    MakeOffer,
    Offered,
    Publish,
    Published,
    ReceiveRtp,
    RecordEvent,
    Renegotiate,
    SessionState,
    StatisticsReply,
    Stop,
    Stopped,
    TakeAnswer,
    Trickle,
    Trickled,
    Unpublish,
)
from recorder.worker_pool.link import WorkerLink
from recorder.worker_pool.process import ProcessWatch
from recorder.worker_pool.reconnects import ReconnectBudget
from recorder.worker_pool.socket_path import connect

# How long an answer is waited for, by what has to be done for it.
PUBLISH_TIMEOUT_S = 10.0  # gathers candidates, perhaps from a TURN server that is slow
TRICKLE_TIMEOUT_S = 5.0
SESSION_STATE_TIMEOUT_S = 20.0  # twice as long as the engine waits
UNPUBLISH_TIMEOUT_S = 5.0
NOTE_TIMEOUT_S = 2.0
STATISTICS_TIMEOUT_S = 2.0

UNANSWERED_SAMPLES_MAX = 6  # half a minute: nothing that a healthy worker does takes its loop so long
DEATH_OR_RECONNECT_S = 1.0  # an exiting worker closes its socket first: wait for the exit before reconnecting
LAST_WORDS_S = 1.0  # how long the socket of a dead worker is read on
TERMINATE_TIMEOUT_S = STOP_TIMEOUT_S  # SIGTERM stops it likewise; then it is killed

_log = logging.getLogger(__name__)


class WorkerGone(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's process has ended; nothing more will come from it."""

    failure: str


Tell = Callable[[Event | WorkerGone], None]
ExitCode = Callable[[int], int | None]
"""How a process ended: see Forkserver.exit_code; it may block for a second."""


class Worker:
    """One worker process and the link to it. `tell` gets its events in order, and WorkerGone last."""

    def __init__(self, recording: str, path: Path, tell: Tell, exit_code: ExitCode) -> None:
        self.recording = recording
        self.statistics: Statistics | None = None
        self._failure: str | None = None  # why we ended it
        self._end_is_known = False  # we ended it, or it said that it would end
        self._unanswered = 0
        self._path = path
        self._tell = tell
        self._exit_code = exit_code
        self._reconnects = ReconnectBudget()
        self._greeted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process: ProcessWatch
        self._link: WorkerLink
        self._lost: asyncio.Future[str]
        self._supervision: asyncio.Task[None]

    def __repr__(self) -> str:
        return f"<Worker {self.recording} {self._process!r}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open(self, connection: socket.socket) -> None:
        """Speak over a connected socket from now on."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = WorkerLink(on_event=self._on_event, on_lost=lost.set_result)
        await link.open(connection)
        self._link, self._lost = link, lost

    async def introduced(self, timeout_s: float) -> int | None:
        """The process id that it says it has; None where it does not say so in time."""
        first: set[asyncio.Future[Any]] = {self._greeted, self._lost}
        await asyncio.wait(first, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return self._greeted.result() if self._greeted.done() else None

    def watch(self, process: ProcessWatch) -> None:
        """Watch over its process from now on."""
        self._process = process
        self._supervision = asyncio.create_task(self._supervise(), name=f"worker {self.recording}")

    async def close(self) -> None:
        """Speak no more with one that is not watched."""
        await self._link.close()

    # --- what it can be asked --------------------------------------------------------------------------
    async def publish(
        self, session: str, publisher: Publisher, offer: str, ice_servers: Sequence[IceServer] = ()
    ) -> tuple[str, str]:
        """The SDP answer and the entity tag of a new session."""
        servers = list(ice_servers)
        answer = await self._link.ask(
            lambda number: Publish(
                request=number, session=session, publisher=publisher, offer=offer, ice_servers=servers
            ),
            Published,
            timeout_s=PUBLISH_TIMEOUT_S,
        )
        return answer.answer, answer.etag

    async def receive_rtp(self, session: str, publisher: Publisher, source: RtpSource, address: str) -> None:
        """Listen for plain RTP on an address of this machine, in a new session."""
        await self._link.ask(
            lambda number: ReceiveRtp(
                request=number, session=session, publisher=publisher, source=source, address=address
            ),
            Done,
            timeout_s=PUBLISH_TIMEOUT_S,
        )

    async def offer(self, session: str, publisher: Publisher, ice_servers: Sequence[IceServer] = ()) -> str:
        """An offer to receive, of a new session."""
        servers = list(ice_servers)
        answer = await self._link.ask(
            lambda number: MakeOffer(
                request=number, session=session, publisher=publisher, ice_servers=servers
            ),
            Offered,
            timeout_s=PUBLISH_TIMEOUT_S,
        )
        return answer.offer

    async def answered(self, session: str, answer: str) -> None:
        """The answer to the offer of a session."""
        await self._link.ask(
            lambda number: TakeAnswer(request=number, session=session, answer=answer),
            Done,
            timeout_s=PUBLISH_TIMEOUT_S,
        )

    async def renegotiate(
        self, session: str, offer: str, ice_servers: Sequence[IceServer] = ()
    ) -> tuple[str, str]:
        """The SDP answer to one more offer of a session, and the entity tag of its ICE session."""
        servers = list(ice_servers)
        answer = await self._link.ask(
            lambda number: Renegotiate(request=number, session=session, offer=offer, ice_servers=servers),
            Published,
            timeout_s=PUBLISH_TIMEOUT_S,
        )
        return answer.answer, answer.etag

    async def trickle(
        self, session: str, fragment: str, etag: str | None, ice_servers: Sequence[IceServer] = ()
    ) -> tuple[str, str] | None:
        """None when candidates were taken; an SDP fragment and a new entity tag when ICE restarted."""
        servers = list(ice_servers)
        answer = await self._link.ask(
            lambda number: Trickle(
                request=number, session=session, fragment=fragment, etag=etag, ice_servers=servers
            ),
            Trickled,
            timeout_s=TRICKLE_TIMEOUT_S,
        )
        if answer.fragment is None or answer.etag is None:
            return None
        return answer.fragment, answer.etag

    async def session_state(self, session: str, other_than: str) -> tuple[str, str | None]:
        """The state of a session's connection and its reason, once it is another one, or after a while."""
        answer = await self._link.ask(
            lambda number: AwaitSessionState(request=number, session=session, other_than=other_than),
            SessionState,
            timeout_s=SESSION_STATE_TIMEOUT_S,
        )
        return answer.state, answer.reason

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
        self._end_is_known = True
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
    def _on_event(self, event: Event) -> None:
        if isinstance(event, Hello):
            self.statistics = event.statistics
            if not self._greeted.done():
                self._greeted.set_result(event.pid)
        self._end_is_known |= isinstance(event, Ended)
        self._tell(event)

    async def _supervise(self) -> None:
        lost = await self._until_lost()
        await self._end_process()
        await self._link.close()
        self._path.unlink(missing_ok=True)
        failure = self._failure or lost
        code = await asyncio.to_thread(self._exit_code, self.pid)
        if not self._end_is_known or self._failure is not None:
            _log.warning("a worker died", extra=self._fields(failure=failure, exit=_described(code)))
        self._tell(WorkerGone(failure=failure))

    async def _until_lost(self) -> str:
        """Wait for the end of the process, through broken links; the code of what ended it."""
        while True:
            died = asyncio.ensure_future(self._process.died.wait())
            first: set[asyncio.Future[Any]] = {died, self._lost}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if self._lost.done() and self._lost.result() == "worker_protocol":
                return "worker_protocol"
            if await self._has_died():
                return "worker_died"
            if not self._reconnects.spend(asyncio.get_running_loop().time()):
                return "worker_lost"
            try:
                await self.open(connect(self._path))
            except OSError as error:  # its backlog is full, or it closes just now: looked at again
                _log.error("a worker cannot be reached", extra=self._fields(reason=type(error).__name__))
            else:
                _log.warning("the link to a worker broke and was made again", extra=self._fields())

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


def _described(code: int | None) -> str:
    """An exit code for people: SIGKILL, 1, or unknown."""
    if code is None:
        return "unknown"
    return signal.Signals(-code).name if code < 0 else str(code)
