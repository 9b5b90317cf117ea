"""One recording in its worker: from the engine into the spool, until it ends; the server asks and is told."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import EndReason, Statistics, Written
from recorder.worker.engine import EngineLike, OnEvent, Write
from recorder.worker.memory import OwnMemory
from recorder.worker.notes import Notes
from recorder.worker.protocol import (
    AwaitSessionState,
    Done,
    Ended,
    Event,
    GetStatistics,
    Happened,
    Hello,
    MakeOffer,
    Offered,
    Pause,
    Publish,
    Published,
    ReceiveRtp,
    RecordEvent,
    Renegotiate,
    Reply,
    Request,
    Resume,
    SessionState,
    StatisticsReply,
    Stop,
    Stopped,
    TakeAnswer,
    Trickle,
    Trickled,
    Unpublish,
)
from recorder.worker.server import WorkerServer
from recorder.worker.spool_writer import Opened, SpoolEnd, WorkerSpool

ENGINE_STOP_TIMEOUT_S = 15.0  # draining takes the reorder wait and a few encoded frames; more is a hang
REFUSAL_TIMEOUT_S = 5.0  # how long a worker that cannot begin waits to say why

MakeEngine = Callable[[Written | None, Write, OnEvent], EngineLike]
"""How the engine is made, which goes on with what is written where there is something."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker took hold of before its walls were built."""

    listener: socket.socket
    opened: Opened | BystanderError  # its spool, or why there is none
    memory: OwnMemory
    walls: Sequence[str]  # that it stands behind


class WorkerRecording:
    """One recording, from the first offer to the end of its spool."""

    def __init__(self, recording: str, parts: Parts) -> None:
        self._recording = recording
        self._parts = parts
        self._server = WorkerServer(parts.listener, greet=self._greet, answer=self._answer)
        self._notes = Notes()
        self._asked: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[SpoolEnd] = asyncio.get_running_loop().create_future()
        self._refusal: str | None = None
        self._spool: WorkerSpool
        self._engine: EngineLike

    async def run(self, make_engine: MakeEngine) -> bool:
        """Record until the end; False when it could not begin (the server, if there is one, was told why)."""
        try:
            if isinstance(self._parts.opened, BystanderError):
                raise self._parts.opened
            opened = self._parts.opened
            self._notes = Notes(opened.events)
            self._spool = WorkerSpool(opened.spool, self._server.tell, opened.written)
            self._engine = make_engine(self._spool.before, self._spool.append, self._on_event)
            await self._engine.start()
        except BystanderError as error:
            _log.error("the recording cannot begin", extra={"code": error.code, "detail": error.detail})
            await self._refuse(error.code)
            return False
        await self._server.start()
        reason, failure = await self._until_end()
        end = await self._drain(reason, failure)
        self._ended.set_result(end)
        self._server.tell(_told(end))
        await self._server.close()
        return True

    def terminate(self) -> None:
        """SIGTERM: somebody ends this process, so the recording ends as if the server had asked."""
        if not self._asked.done():
            self._asked.set_result(EndReason.ABORT_SYSTEM)

    async def _until_end(self) -> tuple[EndReason, str | None]:
        """Wait until the engine ends by itself or somebody asks it to."""
        by_itself = asyncio.ensure_future(self._engine.wait_ended())
        first: set[asyncio.Future[Any]] = {by_itself, self._asked}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not by_itself.done():
            by_itself.cancel()
            return self._asked.result(), None
        try:
            ending = by_itself.result()
        except BystanderError as error:
            return EndReason.ABORT_UNEXPECTED, error.code
        return ending.reason, ending.failure

    async def _drain(self, reason: EndReason, failure: str | None) -> SpoolEnd:
        duration_us = None
        try:
            async with asyncio.timeout(ENGINE_STOP_TIMEOUT_S):
                duration_us = (await self._engine.stop()).duration_us
        except TimeoutError:
            _log.error("the engine does not stop")
            reason, failure = EndReason.ABORT_UNEXPECTED, failure or "drain_timeout"
        except BystanderError as error:
            _log.error("the engine could not drain", extra={"code": error.code})
            reason, failure = EndReason.ABORT_UNEXPECTED, failure or error.code
        except Exception:  # noqa: BLE001 - a defect of the engine: its spool has to be ended all the same
            _log.exception("the engine failed while draining")
            reason, failure = EndReason.ABORT_UNEXPECTED, failure or "internal"
        return await self._spool.end(reason, failure, duration_us)

    async def _refuse(self, failure: str) -> None:
        """Say why there will be no recording to the server that waits for a hello."""
        self._refusal = failure
        await self._server.start()
        try:
            async with asyncio.timeout(REFUSAL_TIMEOUT_S):
                await self._server.connected.wait()
        except TimeoutError:
            _log.error("nobody asked why the recording could not begin")
        await self._server.close()

    def _on_event(self, event: MediaEvent) -> None:
        self._server.tell(Happened(event=event, zero_ns=self._engine.zero_ns()))
        self._spool.append_event(event)

    # --- what the server asks --------------------------------------------------------------------------
    def _greet(self) -> Event:
        if self._refusal is not None:
            reason = EndReason.ABORT_UNEXPECTED
            return Ended(reason=reason, failure=self._refusal, duration_s=0.0, bytes=0)
        if self._ended.done():
            return _told(self._ended.result())
        return Hello(
            recording=self._recording,
            pid=os.getpid(),
            statistics=self._statistics(),
            zero_ns=self._engine.zero_ns(),
        )

    async def _answer(self, request: Request) -> Reply:
        number, engine = request.request, self._engine
        if isinstance(request, Publish | MakeOffer | Renegotiate | Trickle) and request.ice_servers:
            engine.use_ice_servers(request.ice_servers)
        match request:
            case Publish():
                answer, etag = await engine.publish(request.session, request.publisher, request.offer)
                return Published(request=number, answer=answer, etag=etag)
            case ReceiveRtp():
                await engine.receive_rtp(request.session, request.publisher, request.source, request.address)
                return Done(request=number)
            case MakeOffer():
                return Offered(request=number, offer=await engine.offer(request.session, request.publisher))
            case TakeAnswer():
                await engine.answered(request.session, request.answer)
                return Done(request=number)
            case Renegotiate():
                answer, etag = await engine.renegotiate(request.session, request.offer)
                return Published(request=number, answer=answer, etag=etag)
            case Trickle():
                restarted = await engine.trickle(request.session, request.fragment, request.etag)
                fragment, etag_now = restarted or (None, None)
                return Trickled(request=number, fragment=fragment, etag=etag_now)
            case AwaitSessionState():
                state, reason = await engine.session_state(request.session, request.other_than)
                return SessionState(request=number, state=state, reason=reason)
            case Unpublish():
                await engine.unpublish(request.session)
                return Done(request=number)
            case Stop():
                return await self._stop(request)
            case RecordEvent():
                self._note(request)
                return Done(request=number)
            case GetStatistics():
                return StatisticsReply(request=number, statistics=self._statistics())
            case Pause() | Resume():
                raise BystanderError(
                    "pause_unsupported", "This recording cannot pause.", fault=Fault.CALLER, status=501
                )

    def _note(self, note: RecordEvent) -> None:
        if not self._notes.is_new(note):
            return
        at_s = max(0.0, self._engine.clock_s() - note.ago_s)
        self._on_event(msgspec.structs.replace(note.event, at_s=at_s))

    async def _stop(self, request: Stop) -> Stopped:
        if not self._asked.done():
            self._asked.set_result(request.reason)
        end = await asyncio.shield(self._ended)
        return Stopped(request=request.request, reason=end.reason, duration_s=end.duration_s, bytes=end.bytes)

    def _statistics(self) -> Statistics:
        written = self._spool.written()
        return msgspec.structs.replace(
            self._engine.statistics(),
            duration_s=written.duration_s,
            bytes_written=written.bytes,
            fragments=written.fragments,
            cpu_s=time.process_time(),
            rss_bytes=self._parts.memory.resident_bytes(),
            walls=list(self._parts.walls),
        )


def _told(end: SpoolEnd) -> Ended:
    return Ended(reason=end.reason, failure=end.failure, duration_s=end.duration_s, bytes=end.bytes)
