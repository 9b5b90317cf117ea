"""The room's page in Chromium: two people talk, and a real receiver stands where the recorder would."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser
from prometheus_client import CollectorRegistry

from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import DecisionKind, InteractionKind, InteractionState, Participant, Role
from recorder.kernel.recording import EndReason, RecordingState
from signaling.app import build_app
from signaling.ports import Caller
from tests.support.browser import WAIT_MS, Visitor, chromium
from tests.support.fake_ports import API_KEY, FakeServer
from tests.support.http import LINK_SECRET
from tests.support.receiving import ReceivingEntryPoints, receiving

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser; every person is a fresh profile of it

FRAMES = "tile => document.querySelector(tile).getVideoPlaybackQuality().totalVideoFrames"
CONNECTED = ".tile[data-self=false][data-kind=camera][data-connection=connected]"
DENIED = """navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException("denied", "NotAllowedError");
}"""


class Stage:
    """The server, and what a test asks of it."""

    def __init__(self) -> None:
        self.fake = FakeServer(SystemClock())
        self.ports, self.entry_points = receiving(self.fake)
        self.port: int | None = None

    async def start(self) -> None:
        app = build_app(
            self.ports,
            registry=CollectorRegistry(),
            link_secret=LINK_SECRET,
            version="0",
            clock=self.fake.clock,
        )
        self.server = TestServer(app, port=self.port)
        await self.server.start_server(access_log=None)
        self.port = self.server.port

    async def people(self) -> tuple[Participant, Participant]:
        conversation = await self.ports.conversations.create(template=None, external_id=None, metadata={})
        add = self.ports.conversations.add_participant
        return (
            await add(conversation.id, role=Role.AGENT, name="Ada Lovelace"),
            await add(conversation.id, role=Role.VISITOR, name="Blaise Pascal"),
        )

    def link(self, participant: Participant) -> str:
        path = f"/room/{participant.conversation}"
        return f"{self.server.make_url(path)}#token={participant.token}"

    async def join(self, visitor: Visitor, participant: Participant) -> None:
        await visitor.page.goto(self.link(participant))
        await visitor.page.click("#join")
        await visitor.page.wait_for_selector("body[data-socket=open]")


@pytest_asyncio.fixture(loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    await made.start()
    yield made
    await made.entry_points.close()
    await made.server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_MS / 1000):
        while not condition():  # noqa: ASYNC110 - counters announce nothing
            await asyncio.sleep(0.02)


async def sees(visitor: Visitor, tile: str, more: int = 10) -> None:
    """Wait until the video of this tile has shown some more pictures."""
    video = f"{tile} video"
    await visitor.page.wait_for_selector(tile)
    start = await visitor.page.evaluate(FRAMES, video)
    await visitor.until(f"([video, count]) => ({FRAMES})(video) >= count", [video, start + more])


async def hears(visitor: Visitor) -> None:
    """Wait for the fake microphone's beep to arrive from the other side."""
    await visitor.page.wait_for_selector(".tile[data-self=false][data-speaking=true]")


async def receives(entry_points: ReceivingEntryPoints, who: Participant, source: str, *kinds: str) -> None:
    """Wait until frames of all these kinds come from this participant's session."""

    def flowing() -> bool:
        received = entry_points.of(who.id, source)
        return received is not None and all(received.frames[kind] > 10 for kind in kinds)

    await until(flowing)


async def test_a_held_call_connects_nobody_until_it_is_released(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    stage.fake.interactions_begin = InteractionState.HELD
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        for one in (agent, visitor):
            await one.page.get_by_text("The call begins as soon as it can be recorded").wait_for()
        (call,) = stage.fake.interactions.values()
        assert await agent.page.query_selector(CONNECTED) is None
        await stage.fake.decide(call.id, DecisionKind.RELEASE)
        for one in (agent, visitor):
            await sees(one, CONNECTED)
            assert not await one.page.is_visible("#alone")


async def test_an_aborted_call_ends_with_a_message(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        await sees(agent, CONNECTED)
        (call,) = stage.fake.interactions.values()
        await stage.fake.decide(call.id, DecisionKind.ABORT, "recording_interrupted")
        for one in (agent, visitor):
            await one.page.get_by_text("This call has to be recorded").wait_for()


async def test_two_people_talk_are_recorded_and_watch_it(
    stage: Stage, browser: Browser, tmp_path: Path
) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        assert await agent.page.is_visible("#alone")
        await stage.join(visitor, blaise)
        for one in (agent, visitor):
            await sees(one, CONNECTED)
            await hears(one)
        assert await agent.page.is_hidden("#banner")
        assert await visitor.page.is_hidden("#record")

        await agent.page.click("#record")
        for one in (agent, visitor):
            await one.page.get_by_text("The recording starts").first.wait_for()
            await one.page.wait_for_selector("body[data-publishing=connected]")
        (recording,) = stage.fake.recordings
        await stage.fake.change(recording, state=RecordingState.RECORDING, started_at=datetime.now(UTC))
        for one in (agent, visitor):
            await one.page.get_by_text("This call is being recorded").wait_for()
            assert await one.page.locator("#grid .tile").count() == 2  # the recorder is nobody
        for who in (ada, blaise):
            await receives(stage.entry_points, who, "camera", "audio", "video")

        await _shares_and_switches(stage, agent, visitor, blaise)
        await _ends_and_plays(stage, agent, visitor, tmp_path)
        assert agent.complaints == visitor.complaints == []


async def test_what_is_announced_is_what_is_so(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        await agent.page.click("#record")
        await announces(visitor, "starting", "The recording starts…")
        (recording,) = stage.fake.recordings
        now, running = datetime.now(UTC), RecordingState.RECORDING
        await stage.fake.change(recording, state=running, started_at=now)
        await announces(visitor, "recording", "This call is being recorded")
        await stage.fake.change(recording, receiving=False)
        await announces(visitor, "waiting", "The recording waits: no sound or picture arrives")
        over = {"state": RecordingState.FAILED, "end_reason": EndReason.ABORT_UNEXPECTED}
        await stage.fake.change(recording, **over, failure="disk_full")
        await announces(visitor, "interrupted", "The recording is interrupted")
        reason = "This call is not being recorded: the recorder's disk is full."
        await announces(agent, "interrupted", reason)
        await agent.page.click("[data-action=panel]")
        await agent.page.get_by_text("Not recorded: the recorder's disk is full").wait_for()


async def announces(visitor: Visitor, kind: str, text: str) -> None:
    """Wait until the page's banner says this, and its pill means it."""
    await visitor.page.wait_for_selector(f"body[data-recording={kind}]")
    assert await visitor.page.inner_text("#banner-text") == text
    assert await visitor.page.is_visible("#recording-pill")


async def _shares_and_switches(stage: Stage, agent: Visitor, visitor: Visitor, blaise: Participant) -> None:
    await visitor.page.click("[data-action=share]")
    await sees(agent, ".tile[data-self=false][data-kind=screen]", 3)
    await receives(stage.entry_points, blaise, "screen_share", "video")
    await visitor.page.click("#controls [data-action=camera]")
    await agent.page.wait_for_selector(".tile[data-self=false][data-kind=camera][data-camera=false]")
    camera = stage.entry_points.of(blaise.id, "camera")
    assert camera is not None
    await visitor.page.click("#controls [data-action=camera]")
    before = camera.frames["video"]
    await until(lambda: camera.frames["video"] > before + 5)  # the same session: no new offer
    await visitor.page.click("[data-action=share]")
    await until(lambda: stage.entry_points.of(blaise.id, "screen_share") is None)
    await agent.page.wait_for_selector(".tile[data-kind=screen]", state="detached")
    await sees(agent, CONNECTED)
    kinds = {one.kind: one.ended_at for one in stage.fake.interactions.values()}
    assert kinds[InteractionKind.COLLABORATION_LAYER] is not None
    assert kinds[InteractionKind.CALL] is None


async def _ends_and_plays(stage: Stage, agent: Visitor, visitor: Visitor, tmp_path: Path) -> None:
    (recording,) = stage.fake.recordings
    await agent.page.click("#record")
    for one in (agent, visitor):
        await one.page.wait_for_selector("body[data-recording=none][data-publishing=idle]")
        await one.page.wait_for_selector("#banner", state="hidden")
    await until(lambda: not stage.entry_points.sessions)
    stage.fake.media[recording].data += _mp4(tmp_path)
    await stage.fake.change(recording, duration_s=2.0)
    await stage.fake.finish(recording)
    await agent.page.click(".toast [data-action=play]")
    await agent.until("document.getElementById('player-video').currentTime > 0.5")
    assert await visitor.page.locator("[data-action=play]").count() == 0  # not for visitors, by policy


def _mp4(directory: Path) -> bytes:
    path = directory / "recording.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path.read_bytes()


async def test_a_call_outlives_its_server(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        await sees(agent, CONNECTED)
        stream = f"document.querySelector('{CONNECTED} video').srcObject.id"
        before = await agent.page.evaluate(stream)
        await stage.server.close()
        for one in (agent, visitor):
            await one.page.wait_for_selector("body[data-socket=reconnecting]")
        await sees(agent, CONNECTED)  # while there is no server at all
        await stage.start()
        for one in (agent, visitor):
            await one.page.wait_for_selector("body[data-socket=open]")
            await sees(one, CONNECTED)
        assert await agent.page.evaluate(stream) == before  # the same connection, not a new one
        assert await agent.page.locator("#grid .tile").count() == 2


async def test_somebody_who_reloads_is_met_again(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await stage.join(agent, ada)
        await stage.join(visitor, blaise)
        await sees(agent, CONNECTED)
        await visitor.page.reload()
        await agent.page.wait_for_selector("#alone")
        await visitor.page.click("#join")
        for one in (agent, visitor):
            await sees(one, CONNECTED)
        await visitor.page.click("[data-action=leave]")
        await visitor.page.get_by_text("You have left the call").wait_for()
        await agent.page.wait_for_selector("#alone")


async def test_a_lost_recorder_is_found_again(stage: Stage, browser: Browser) -> None:
    ada, _ = await stage.people()
    async with Visitor(browser) as agent:
        await stage.join(agent, ada)
        await agent.page.click("#record")
        await receives(stage.entry_points, ada, "camera", "video")
        first = stage.entry_points.of(ada.id, "camera")
        assert first is not None
        stage.entry_points.sessions.clear()  # as a worker's end does
        await first.peer.close()
        await receives(stage.entry_points, ada, "camera", "audio", "video")
        await agent.page.wait_for_selector("body[data-publishing=connected]")


async def test_without_devices_one_hears_why_and_takes_part(stage: Stage, browser: Browser) -> None:
    ada, blaise = await stage.people()
    async with Visitor(browser) as agent, Visitor(browser) as visitor:
        await visitor.page.add_init_script(DENIED)
        await stage.join(agent, ada)
        await visitor.page.goto(stage.link(blaise))
        await visitor.page.get_by_text("This page may not use your camera. Allow it").wait_for()
        await visitor.page.get_by_text("This page may not use your microphone. Allow it").wait_for()
        await visitor.page.click("#join")
        await sees(visitor, CONNECTED)
        await hears(visitor)
        await agent.page.wait_for_selector(f"{CONNECTED}[data-camera=false][data-microphone=false]")


@pytest.mark.parametrize("link", ["#token=nonsense", ""])
async def test_a_bad_link_is_explained(stage: Stage, browser: Browser, link: str) -> None:
    ada, _ = await stage.people()
    async with Visitor(browser) as one:
        await one.page.goto(stage.link(ada).split("#")[0] + link)
        if link:
            await one.page.click("#join")
        await one.page.wait_for_selector("body[data-phase=farewell]")
        assert "link" in await one.page.inner_text("#farewell")


async def test_an_operator_creates_a_call_and_finds_its_recordings(stage: Stage, browser: Browser) -> None:
    async with Visitor(browser) as operator:
        requested: list[str] = []
        operator.context.on("request", lambda request: requested.append(request.url))
        await operator.page.goto(str(stage.server.make_url("/")))
        await operator.page.fill("#key", "wrong")
        await operator.page.click("text=Continue")
        await operator.page.get_by_text("This key is not valid").wait_for()
        await operator.page.fill("#key", API_KEY)
        await operator.page.click("text=Continue")
        await operator.page.click("#create")
        async with operator.context.expect_page() as opened:
            await operator.page.click("[data-role=AGENT] a")
        room = await opened.value
        await room.wait_for_load_state()  # before it a click meets a button without its script
        await room.click("#join")
        await room.get_by_text("Agent (you)").wait_for()
        assert "token" not in room.url  # it has left the address bar, where screens are shared

        (conversation,) = stage.fake.conversations
        recording = await stage.ports.recordings.start(conversation, started_by=Caller())
        await stage.fake.change(recording.id, state=RecordingState.AVAILABLE, duration_s=61.0)
        await operator.page.click(".conversations summary")
        await operator.page.get_by_text("01:01").wait_for()
        assert await operator.page.locator(".conversations [data-action=play]").count() == 1
        tokens = [one.token for one in stage.fake.participants.values()]
        assert len(tokens) == 2
        assert not any(token in url for token in (*tokens, API_KEY) for url in requested if token)
