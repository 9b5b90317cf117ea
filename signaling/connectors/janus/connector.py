"""The recorder in a VideoRoom: each publisher received from when they come until they leave.

A subscriber is in no list of participants and hears of nobody new, so the room is asked who publishes.
"""

import asyncio
import logging

from recorder.kernel.connectors.source import FeedId, JanusSource
from signaling.connectors.connector import Intake
from signaling.connectors.janus.api import open_janus
from signaling.connectors.janus.feed import FeedReceiver
from signaling.connectors.janus.people import Feed, People
from signaling.connectors.janus.video_room import VideoRoom
from signaling.connectors.targets import ConnectorTargets
from signaling.connectors.tasks import let_go

LOOK_S = 0.5  # between two looks at who publishes

_log = logging.getLogger(__name__)


class JanusConnector:
    """Fulfils signaling.connectors.connector.Connector."""

    def __init__(self, source: JanusSource, targets: ConnectorTargets) -> None:
        self._source = source
        self._targets = targets
        self._people = People(source)

    async def run(self, intake: Intake) -> None:
        source = self._source
        async with open_janus(
            source.url, self._targets, token=source.api_token, secret=source.api_secret
        ) as api:
            room = VideoRoom(api, source)
            await room.open()
            feeds = await room.feeds()
            intake.connected()
            followed = _FollowedFeeds(self._people, room, intake)
            try:
                while True:
                    await followed.follow(feeds)
                    await api.wait_lost(LOOK_S)
                    feeds = await room.feeds()
            finally:
                await followed.follow([])


class _FollowedFeeds:
    """The feeds that are received."""

    def __init__(self, people: People, room: VideoRoom, intake: Intake) -> None:
        self._people = people
        self._room = room
        self._intake = intake
        self._tasks: dict[FeedId, asyncio.Task[None]] = {}

    async def follow(self, feeds: list[Feed]) -> None:
        """Begin with who is new, and let go who has left."""
        here = {feed.id for feed in feeds}
        gone = [feed for feed, task in self._tasks.items() if feed not in here or task.done()]
        await let_go([self._tasks.pop(feed) for feed in gone])
        for feed in feeds:
            if feed.id not in self._tasks:
                receiver = FeedReceiver(feed, self._people, self._room, self._intake)
                task = asyncio.create_task(receiver.run(), name=f"feed {feed.id}")
                task.add_done_callback(_done)
                self._tasks[feed.id] = task


def _done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a defect in receiving a feed", exc_info=error)
