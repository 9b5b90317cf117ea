"""One publisher of a room, received for as long as it is there; again where that ended or was refused."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec

from recorder.kernel.connectors.status import ConnectorStream, StreamState
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import SourceKind
from signaling.connectors.connector import Intake
from signaling.connectors.janus.people import Feed, People
from signaling.connectors.janus.video_room import Subscription, VideoRoom

AGAIN_S_FIRST = 0.5  # before what was refused, or failed, is asked for again; doubled each time
AGAIN_S_MAX = 8.0

_GONE = ("connection_lost", "feed_not_found")

_log = logging.getLogger(__name__)


class _GoneError(Exception):
    """There is nothing more to receive."""


class FeedReceiver:
    """Camera and share of a publisher are received apart: one connection for each."""

    def __init__(self, feed: Feed, people: People, room: VideoRoom, intake: Intake) -> None:
        self._feed = feed
        self._people = people
        self._room = room
        self._intake = intake

    async def run(self) -> None:
        """Until it is cancelled, or the feed or the connection to Janus is gone."""
        failed = self._stream(SourceKind.CAMERA)
        try:
            wait_s = AGAIN_S_FIRST
            while True:
                if await self._try(failed):
                    wait_s = AGAIN_S_FIRST
                    continue
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, AGAIN_S_MAX)
        except _GoneError:
            pass  # who looks at the room will know
        finally:
            self._intake.forget(failed.id)

    async def _try(self, failed: ConnectorStream) -> bool:
        """Receive it as long as that goes; whether it went at all."""
        try:
            return await self._receive()
        except BystanderError as error:
            if error.code in _GONE:
                raise _GoneError from None
            _log.warning("a feed is not received", extra={"feed": self._feed.id, "code": error.code})
            self._tell(failed, StreamState.REFUSED, error.code)
            return False

    async def _receive(self) -> bool:
        """Until one of its connections has ended; whether there ever was one."""
        whole = await self._room.subscribe(self._feed.id)
        parts = self._people.parts(self._feed, whole.streams)
        if len(parts) == 1:
            return await self._receive_part(next(iter(parts)), whole)
        await whole.close()
        subscriptions = [
            (source, await self._room.subscribe(self._feed.id, mids)) for source, mids in parts.items()
        ]
        return await _first_of(self._receive_part(source, part) for source, part in subscriptions)

    async def _receive_part(self, source: SourceKind, part: Subscription) -> bool:
        stream = self._stream(source)
        self._tell(stream, StreamState.CONNECTING)
        try:
            session = await self._intake.publish(self._people.publisher(self._feed, source), part.offer)
            try:
                await part.start(session.sdp)
                connected = await part.until_connected()
                if connected:
                    self._tell(stream, StreamState.CONNECTED)
                reason = await part.ended()
            finally:
                await self._intake.unpublish(session.id)
        finally:
            self._intake.forget(stream.id)
            await part.close()
        _log.info("a feed's connection ended", extra={"feed": self._feed.id, "reason": reason})
        return connected

    def _tell(self, stream: ConnectorStream, state: StreamState, reason: str | None = None) -> None:
        self._intake.tell(msgspec.structs.replace(stream, state=state, reason=reason))

    def _stream(self, source: SourceKind) -> ConnectorStream:
        who = self._people.publisher(self._feed, source)
        return ConnectorStream(
            id=f"{self._feed.id}/{source.value}",
            participant=who.participant,
            name=who.name,
            role=who.role,
            source=source,
        )


async def _first_of(receiving: Iterable[Coroutine[Any, Any, bool]]) -> bool:
    """What the first of them that ends came to; the others are ended with it."""
    tasks = [asyncio.create_task(one) for one in receiving]
    if not tasks:
        return False
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await let_go(tasks)
    return next(iter(done)).result()


async def let_go(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel all of them, and wait until they have cleaned up."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
