"""Chromium as a publisher that knows only RFC 9725, and as the browsers of two people in a room."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from media.check.file import check_file
from media.video.layout import Rectangle, Tile, arrange, fit
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, SourceKind
from tests.support import oracle
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.loopback import NO_ICON, PAGE_PATH, serving, with_page
from tests.support.pictures import colour_in, picture_at
from tests.support.server import RunningServer
from tests.support.stored import stored_media

PUBLISHER = Path(__file__).with_name("whip_page.js")
README = Path(__file__).parents[2] / "README.md"
RECORDED_S = 2.0


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """A page of another origin than the server's, as a call service's own page is."""
    async with serving(with_page(f"<!doctype html>{NO_ICON}<title>A call service</title>")) as origin:
        yield origin + PAGE_PATH


async def test_a_page_of_another_origin_publishes_by_the_rfc(
    server: RunningServer, browser: Browser, elsewhere: str
) -> None:
    async with ApiClient(server) as api, Visitor(browser) as publisher:
        recording = await api.start()
        entry_point, identity = recording["entry_point"], recording["id"]
        await publisher.page.goto(elsewhere)
        told = await publisher.page.evaluate(
            PUBLISHER.read_text(),
            {"url": entry_point["url"] + "?name=Ada&role=agent", "token": entry_point["token"]},
        )
        assert told["statuses"][0] == 201
        assert told["statuses"][1:] and set(told["statuses"][1:]) == {204}
        assert told["candidates"] == 0  # all that it has came by PATCH
        assert told["tag"].startswith('"')
        await until(api, identity, RECORDED_S)
        assert await publisher.page.evaluate("restart()") == [200, True, True]
        restarted_s = (await api.recording(identity))["duration_s"]
        await until(api, identity, restarted_s + RECORDED_S)
        assert await publisher.page.evaluate("leave()") == [412, 200, 404]
        await api.stop(identity)
        over = await api.until(identity, "AVAILABLE", "FAILED")
        assert complaints_beyond(publisher, "404", "412") == []  # as provoked
    path = await whole(server, over)
    assert over["duration_s"] >= restarted_s + RECORDED_S
    (alone,) = arrange(Canvas(), [seat("ada")])
    shows_chromium(await asyncio.to_thread(picture_at, path, over["duration_s"] - 0.3), fit(640, 360, alone))


async def test_the_example_in_the_readme_publishes(
    server: RunningServer, browser: Browser, elsewhere: str
) -> None:
    (example,) = re.findall(r"^```js\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    program = f"""async ({{ url, token, iceServers }}) => {{
        const stream = await navigator.mediaDevices.getUserMedia({{ audio: true, video: true }});
        {example}
    }}"""
    async with ApiClient(server) as api, Visitor(browser) as publisher:
        recording = await api.start()
        entry_point = recording["entry_point"]
        told = {name: entry_point[name] for name in ("url", "token")} | {
            "iceServers": entry_point["ice_servers"]
        }
        await publisher.page.goto(elsewhere)
        await publisher.page.evaluate(program, told)
        await until(api, recording["id"], RECORDED_S)
        assert publisher.complaints == []
        await api.stop(recording["id"])
        await whole(server, await api.until(recording["id"], "AVAILABLE", "FAILED"))


@pytest.mark.slow
async def test_two_people_meet_talk_share_and_watch(server: RunningServer, browser: Browser) -> None:
    async with ApiClient(server) as api, Visitor(browser) as agent, Visitor(browser) as visitor:
        links = await created_on_the_landing_page(server, agent)
        for one, link in ((agent, links["AGENT"]), (visitor, links["VISITOR"])):
            await one.page.goto(link)
            await one.page.click("#join")
            await one.page.wait_for_selector("body[data-socket=open]")
        for one in (agent, visitor):
            await one.page.wait_for_selector(".tile[data-self=false][data-connection=connected]")
            await one.page.wait_for_selector(".tile[data-self=false][data-speaking=true]")
        await agent.page.click("#record")
        for one in (agent, visitor):
            await one.page.get_by_text("This call is being recorded").wait_for()
            await one.page.wait_for_selector("body[data-recording=recording][data-publishing=connected]")
            assert await one.page.locator("#grid .tile").count() == 2  # the recorder is in no roster
        recording = await the_recording(api, links["AGENT"])
        await until(api, recording, RECORDED_S)
        await visitor.page.click("[data-action=share]")
        await agent.page.wait_for_selector(".tile[data-self=false][data-kind=screen]")
        shared_s = (await api.recording(recording))["duration_s"]
        await until(api, recording, shared_s + 2 * RECORDED_S)
        await agent.page.click("#record")
        await agent.page.click(".toast [data-action=play]")
        await agent.until("document.getElementById('player-video').currentTime > 0.5")
        shown = await agent.page.evaluate("document.getElementById('player-video').duration")
        over = await api.recording(recording)
        assert shown == pytest.approx(over["duration_s"], abs=0.1)
        assert complaints_beyond(agent, "404") == complaints_beyond(visitor, "404") == []  # see below
    path = await whole(server, over)
    await asyncio.to_thread(shows_both, path, over["duration_s"])


def complaints_beyond(visitor: Visitor, *statuses: str) -> list[str]:
    """What a page complained of, but for answers of these statuses.

    A page that ends its session just after the recording has ended is told that there is none any more.
    """
    expected = [f"the server responded with a status of {status}" for status in statuses]
    return [said for said in visitor.complaints if not any(one in said for one in expected)]


async def created_on_the_landing_page(server: RunningServer, operator: Visitor) -> dict[str, str]:
    """A new call's links, by role."""
    await operator.page.goto(server.base_url)
    await operator.page.fill("#key", server.api_key)
    await operator.page.click("text=Continue")
    await operator.page.click("#create")
    await operator.page.wait_for_selector("[data-role=VISITOR] a")
    found = operator.page.locator("#links .link")
    return {
        str(await row.get_attribute("data-role")): str(await row.locator("a").get_attribute("href"))
        for row in await found.all()
    }


async def the_recording(api: ApiClient, link: str) -> str:
    """The only recording of the conversation that a room's link belongs to."""
    conversation = link.partition("/room/")[2].partition("#")[0]
    (recording,) = (await api.call("GET", f"/v1/conversations/{conversation}/recordings"))["items"]
    return str(recording["id"])


async def until(api: ApiClient, recording: str, duration_s: float) -> None:
    await api.until_it(recording, lambda now: (now["duration_s"] or 0) >= duration_s)


async def whole(server: RunningServer, recording: dict[str, Any]) -> Path:
    """The stored file, which two judges find whole."""
    assert (recording["state"], recording["end_reason"], recording["failure"]) == (
        "AVAILABLE",
        "NORMAL",
        None,
    )
    path = stored_media(server.data_dir / "recordings", recording["id"])
    report = await asyncio.to_thread(check_file, path)
    assert report.ok, report.problems
    assert {track.codec for track in report.tracks} == {"avc1", "mp4a"}
    assert await asyncio.to_thread(oracle.decode_errors, path) == ""
    return path


def seat(key: str, source: SourceKind = SourceKind.CAMERA) -> Tile:
    return Tile(key, key, Role.VISITOR, source, True)


def shows_chromium(picture: Any, where: Rectangle) -> None:
    """Chromium's fake camera is green all over."""
    red, green, blue = colour_in(picture, where)
    assert green > 100 and green > red + 60 and green > blue + 60, (red, green, blue)


def shows_both(path: Path, duration_s: float) -> None:
    """First two cameras side by side; in the end the shared screen beside both."""
    for region in arrange(Canvas(), [seat("agent"), seat("visitor")]):
        shows_chromium(picture_at(path, 1.0), Rectangle(region.x, 240, region.width, 240))
    everybody = [seat("agent"), seat("visitor"), seat("screen", SourceKind.SCREEN_SHARE)]
    picture = picture_at(path, duration_s - 0.5)
    *cameras, screen = arrange(Canvas(), everybody)
    for region in cameras:
        shows_chromium(picture, fit(640, 480, region))
    shows_chromium(picture, fit(1920, 1080, screen))
