"""One connector connected for one recording: attempts, the waits between them, and what there is to say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recorder.kernel.clock import Clock
from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.connectors.status import ConnectorState, ConnectorStatus, ConnectorStream
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.log.subject import log_about
from recorder.kernel.media import MediaEvent, PublishedSession, Publisher
from signaling.connectors.connector import Connector

AGAIN_S_FIRST = 0.25  # a server that was restarted is back at once, or takes long
AGAIN_S_MAX = 10.0
UNPUBLISH_S_MAX = 3.0
WORKER_GONE = "worker_unreachable"

_log = logging.getLogger(__name__)


class RecordingEntrance(Protocol):
    """The recording that a connection is for."""

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession: ...
    async def offer(self, publisher: Publisher) -> PublishedSession: ...
    async def answered(self, session: str, answer: str) -> None: ...
    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str: ...
    async def renegotiate(self, session: str, offer: str) -> PublishedSession: ...
    async def state(self, session: str, other_than: str) -> tuple[str, str | None]: ...
    async def unpublish(self, session: str) -> None: ...
    async def note(self, identity: str, event: MediaEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """What a connection is one of, for its log lines and events."""

    interaction: str
    recording: str
    kind: str


class Connection:
    """Runs a connector again and again until it is cancelled or refused for good. Fulfils Intake for it."""

    def __init__(
        self,
        place: Place,
        make_connector: Callable[[], Connector],
        entrance: RecordingEntrance,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._place = place
        self._make_connector = make_connector
        self._entrance = entrance
        self._clock = clock
        self._sleep = sleep
        self._state = ConnectorState.CONNECTING
        self._since: datetime = clock.utc_now()
        self._reason: str | None = None
        self._attempts = 0
        self._streams: dict[str, ConnectorStream] = {}
        self._lost_ns: int | None = None  # since when a connection that there was is missed
        self._noting: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Connection {self._place}>"

    def status(self) -> ConnectorStatus:
        """How it is now."""
        return ConnectorStatus(
            kind=self._place.kind,
            state=self._state,
            since=self._since,
            reason=self._reason,
            attempts=self._attempts,
            streams=list(self._streams.values()),
        )

    async def run(self) -> None:
        """Keep it connected. Returns where it is refused for good."""
        log_about(self._place.recording)
        while True:
            self._attempts += 1
            error = await self._once()
            self._streams.clear()
            self._lose(error)
            if error.fault is Fault.CALLER:
                self._move(ConnectorState.FAILED, error.code)
                return
            self._move(ConnectorState.CONNECTING, error.code)
            await self._sleep(_again_s(self._attempts))

    async def _once(self) -> BystanderError:
        """One connection from its beginning to its end; why it ended."""
        try:
            await self._make_connector().run(self)
        except BystanderError as error:
            _log.warning(
                "a connector is not connected", extra=self._fields(code=error.code, detail=error.detail)
            )
            return error
        except Exception:  # noqa: BLE001 - a defect of one connector is neither the server's nor the others'
            _log.exception("a connector failed", extra=self._fields())
        return BystanderError("connector_failed", "The connector failed.", fault=Fault.SERVER, status=500)

    # --- Intake ----------------------------------------------------------------------------------------
    def connected(self) -> None:
        self._attempts = 0
        self._move(ConnectorState.CONNECTED, None)
        _log.info("a connector is connected", extra=self._fields())
        gap: dict[str, object] = {} if self._lost_ns is None else {"length_s": self._missed_s(self._lost_ns)}
        self._lost_ns = None
        self._note("connector_connected", gap)

    def tell(self, stream: ConnectorStream) -> None:
        self._streams[stream.id] = stream

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)

    async def publish(self, publisher: Publisher, offer: str) -> PublishedSession:
        return await self._entrance.publish(publisher, offer)

    async def offer(self, publisher: Publisher) -> PublishedSession:
        return await self._entrance.offer(publisher)

    async def answered(self, session: str, answer: str) -> None:
        await self._entrance.answered(session, answer)

    async def receive_rtp(self, publisher: Publisher, source: RtpSource, address: str) -> str:
        return await self._entrance.receive_rtp(publisher, source, address)

    async def renegotiate(self, session: str, offer: str) -> PublishedSession:
        return await self._entrance.renegotiate(session, offer)

    async def state(self, session: str, other_than: str) -> tuple[str, str | None]:
        return await self._entrance.state(session, other_than)

    async def unpublish(self, session: str) -> None:
        try:
            async with asyncio.timeout(UNPUBLISH_S_MAX):
                await self._entrance.unpublish(session)
        except (BystanderError, TimeoutError) as error:  # it has ended by itself, or its worker has
            _log.debug("a session had ended already", extra=self._fields(session=session, why=repr(error)))

    # --- telling ---------------------------------------------------------------------------------------
    def _lose(self, error: BystanderError) -> None:
        """Say so in the recording, once for each time that there was a connection.

        A worker that is gone is the recording's own gap, and has no ear for this one.
        """
        if self._state is ConnectorState.CONNECTED and error.code != WORKER_GONE:
            self._lost_ns = self._clock.monotonic_ns()
            self._note("connector_lost", {"reason": error.code})

    def _missed_s(self, since_ns: int) -> float:
        return round((self._clock.monotonic_ns() - since_ns) / 1e9, 3)

    def _move(self, state: ConnectorState, reason: str | None) -> None:
        self._reason = reason
        if state is not self._state:
            self._state, self._since = state, self._clock.utc_now()

    def _note(self, kind: str, detail: dict[str, object]) -> None:
        place = self._place
        said = {"connector": place.kind, "interaction": place.interaction, **detail}
        event = MediaEvent(kind=kind, at_s=0.0, detail=said)  # the worker says when
        identity = f"{place.interaction} {kind} {self._clock.monotonic_ns()}"
        task = asyncio.create_task(self._entrance.note(identity, event), name=f"noting for {place.recording}")
        self._noting.add(task)
        task.add_done_callback(self._noted)

    def _noted(self, task: "asyncio.Task[None]") -> None:
        self._noting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "a connector's event is not among the recording's", extra=self._fields(why=repr(error))
            )

    def _fields(self, **more: object) -> dict[str, object]:
        return {"interaction": self._place.interaction, "connector": self._place.kind, **more}


def _again_s(attempts: int) -> float:
    return min(AGAIN_S_MAX, AGAIN_S_FIRST * 2.0 ** min(attempts, 16))
