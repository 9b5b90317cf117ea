"""What Janus does in a call, received by real peers: renegotiation, shares, ICE restarts, tokens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from recorder.kernel.connectors.source import JanusSource
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import SourceKind
from signaling.connectors.janus.connector import JanusConnector
from tests.connectors.scenes import LOOPBACK
from tests.support.aiortc_peer import MovingBar
from tests.support.intake import ReceivingIntake, Taken
from tests.support.janus_publisher import JanusClient, JanusPublisher
from tests.support.janus_server import API_SECRET, ROOM, JanusServer, janus_server

pytestmark = pytest.mark.slow


@pytest.fixture
def janus(tmp_path: Path) -> Iterator[JanusServer]:
    with janus_server(tmp_path) as running:
        yield running


@pytest.fixture
async def intake(janus: JanusServer) -> AsyncIterator[ReceivingIntake]:
    """What the connector brings out of the open room."""
    intake = ReceivingIntake()
    task = asyncio.create_task(JanusConnector(JanusSource(url=janus.url, room=ROOM), LOOPBACK).run(intake))
    yield intake
    task.cancel()
    with suppress(asyncio.CancelledError, BystanderError):
        await task
    await intake.close()


def only(intake: ReceivingIntake) -> Taken:
    (taken,) = intake.sessions.values()
    return taken


async def test_pictures_that_come_later_come_in_the_same_session(
    janus: JanusServer, intake: ReceivingIntake
) -> None:
    async with JanusPublisher(janus.url, ROOM, "Ada", pictures=0) as ada:
        await intake.until(lambda: intake.receives("Ada", "audio"))
        taken = only(intake)
        await ada.show(MovingBar())
        await intake.until(lambda: intake.receives("Ada", "audio", "video"))
        assert only(intake) is taken
        assert [state for state, _ in taken.states.all] == ["new", "connected"]
        heard = taken.sink.frames["audio"]
        await intake.until(lambda: taken.sink.frames["audio"] > heard + 10)
        assert only(intake) is taken


async def test_a_share_that_comes_later_is_received_apart(
    janus: JanusServer, intake: ReceivingIntake
) -> None:
    async with JanusPublisher(janus.url, ROOM, "Ada") as ada:
        await intake.until(lambda: intake.receives("Ada", "audio", "video"))
        camera = only(intake)
        await ada.show(MovingBar(), "Ada's screen")
        both = [("Ada", SourceKind.CAMERA), ("Ada", SourceKind.SCREEN_SHARE)]
        await intake.until(lambda: intake.names() == both)
        await intake.until(lambda: all(one.sink.frames["video"] for one in intake.sessions.values()))
        assert camera in intake.sessions.values()


async def test_ice_is_restarted_where_a_path_is_lost(janus: JanusServer, intake: ReceivingIntake) -> None:
    async with JanusPublisher(janus.url, ROOM, "Ada"):
        await intake.until(lambda: intake.receives("Ada", "audio", "video"))
        taken = only(intake)
        before = taken.peer._remote_ice
        taken.states.changed("disconnected", "silence")  # as the transport says it after 5 s
        await intake.until(lambda: taken.offers == 2)
        assert taken.peer._remote_ice != before
        frames = taken.sink.frames["video"]
        await intake.until(lambda: taken.sink.frames["video"] > frames + 25)
        assert only(intake) is taken
        assert taken.peer.state == "connected"


async def test_a_room_that_wants_tokens_and_an_api_that_wants_a_secret(tmp_path: Path) -> None:
    with janus_server(tmp_path, api_secret=API_SECRET) as janus:
        async with JanusClient(janus.url, api_secret=API_SECRET) as owner:
            await owner.room({"request": "create", "room": 77, "allowed": ["one", "two"]})
            async with JanusPublisher(janus.url, 77, "Ada", token="one", api_secret=API_SECRET):
                intake = ReceivingIntake()
                source = JanusSource(url=janus.url, room=77, token="two", api_secret=API_SECRET)
                task = asyncio.create_task(JanusConnector(source, LOOPBACK).run(intake))
                await intake.until(lambda: intake.receives("Ada", "audio", "video"))
                task.cancel()
                await asyncio.wait([task])
        for wrong, code in (("wrong", "unauthorized"), (None, "unauthorized")):
            source = JanusSource(url=janus.url, room=77, token="two", api_secret=wrong)
            with pytest.raises(BystanderError, match=code):
                await JanusConnector(source, LOOPBACK).run(intake)
        source = JanusSource(url=janus.url, room=78, api_secret=API_SECRET)
        with pytest.raises(BystanderError, match="room_not_found"):
            await JanusConnector(source, LOOPBACK).run(intake)
