"""One publisher of a room: its streams looked at, and received in a part for each source."""

import asyncio
import logging
from dataclasses import dataclass

import msgspec

from recorder.kernel.connectors.status import ConnectorStream, StreamState
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import SourceKind
from signaling.connectors.connector import Intake
from signaling.connectors.janus.part import FeedPart
from signaling.connectors.janus.people import Feed, People
from signaling.connectors.janus.video_room import VideoRoom
from signaling.connectors.tasks import let_go

LOOK_S = 2.0  # between two looks at a feed's streams: Janus tells nobody who only subscribes
AGAIN_S_FIRST = 0.5  # before what was refused, or failed, is asked for again; doubled each time
AGAIN_S_MAX = 8.0
_GONE = ("connection_lost", "feed_not_found")

_log = logging.getLogger(__name__)


class _GoneError(Exception):
    """There is nothing more to receive."""


@dataclass
class _Part:
    """A part, and the task that receives it."""

    part: FeedPart
    task: asyncio.Task[None]


class FeedReceiver:
    """Camera and share of a publisher are received apart: one connection for each."""

    def __init__(self, feed: Feed, people: People, room: VideoRoom, intake: Intake) -> None:
        self._feed = feed
        self._people = people
        self._room = room
        self._intake = intake
        self._parts: dict[SourceKind, _Part] = {}

    async def run(self) -> None:
        """Until it is cancelled, or the feed or the connection to Janus is gone."""
        wait_s = AGAIN_S_FIRST
        try:
            while True:
                if await self._look():
                    wait_s = AGAIN_S_FIRST
                    await asyncio.sleep(LOOK_S)
                else:
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, AGAIN_S_MAX)
        except _GoneError:
            pass  # who looks at the room will know
        finally:
            await let_go([one.task for one in self._parts.values()])
            self._intake.forget(self._stream(SourceKind.CAMERA).id)

    async def _look(self) -> bool:
        """Receive what the feed has now; False where it may not be looked at."""
        try:
            streams = await self._room.streams(self._feed.id)
        except BystanderError as error:
            self._refused(self._stream(SourceKind.CAMERA), error)
            return False
        wanted = self._people.parts(self._feed, streams)
        await let_go([self._parts.pop(source).task for source in list(self._parts) if source not in wanted])
        for source, mids in wanted.items():
            if source in self._parts:
                self._parts[source].part.want(mids)
            else:
                self._begin(source, mids)
        return True

    def _begin(self, source: SourceKind, mids: list[str]) -> None:
        stream = self._stream(source)
        publisher = self._people.publisher(self._feed, source)
        part = FeedPart(self._feed.id, mids, stream, publisher, self._room, self._intake)
        task = asyncio.create_task(self._receive(part, stream), name=f"feed {stream.id}")
        task.add_done_callback(_done)
        self._parts[source] = _Part(part, task)

    async def _receive(self, part: FeedPart, stream: ConnectorStream) -> None:
        """Receive a part for as long as it is there; again where that ended or was refused."""
        wait_s = AGAIN_S_FIRST
        try:
            while True:
                try:
                    connected = await part.receive()
                except BystanderError as error:
                    self._refused(stream, error)
                    connected = False
                wait_s = AGAIN_S_FIRST if connected else min(2 * wait_s, AGAIN_S_MAX)
                await asyncio.sleep(0 if connected else wait_s)
        except _GoneError:
            pass  # whoever looks at the feed or the room will know
        finally:
            self._intake.forget(stream.id)

    def _refused(self, stream: ConnectorStream, error: BystanderError) -> None:
        if error.code in _GONE:
            raise _GoneError from None
        _log.warning("a feed is not received", extra={"stream": stream.id, "code": error.code})
        self._intake.tell(msgspec.structs.replace(stream, state=StreamState.REFUSED, reason=error.code))

    def _stream(self, source: SourceKind) -> ConnectorStream:
        who = self._people.publisher(self._feed, source)
        return ConnectorStream(
            id=f"{self._feed.id}/{source.value}",
            participant=who.participant,
            name=who.name,
            role=who.role,
            source=source,
        )


def _done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a defect in receiving a feed", exc_info=error)
