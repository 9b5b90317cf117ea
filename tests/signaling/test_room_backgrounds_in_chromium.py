"""Backgrounds in Chromium: a real model on the agent's page, and what the others see of them."""

import asyncio
import io
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Route

from signaling.room.segmentation import segmentation_parts
from tests.signaling.test_room_files_in_chromium import Call, calling
from tests.signaling.test_room_in_chromium import CONNECTED, sees
from tests.support.browser import WAIT_MS, Visitor, chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
# The mean colour of what the other one's camera shows here.
COLOUR = f"""() => {{
    const canvas = Object.assign(document.createElement("canvas"), {{ width: 1, height: 1 }});
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(document.querySelector("{CONNECTED} video"), 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
}}"""
SLOW = """mask = ((quick) => (pixels) => {
    for (const until = Date.now() + 140; Date.now() < until;);
    return quick(pixels);
})(mask);"""


@pytest.fixture(scope="module", autouse=True)
def parts() -> None:
    """What `make setup` brings."""
    if not segmentation_parts():
        if shutil.which("npm") is None:
            pytest.skip("npm is not there, so no backgrounds are offered")
        subprocess.run([ROOT / "deploy/install-segmentation", ROOT / ".venv"], check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(browser: Browser) -> AsyncIterator[Call]:
    async with calling(browser) as one:
        yield one


async def upload(call: Call) -> str:
    """A red wall, for everybody of the account; its id."""
    made = io.BytesIO()
    Image.new("RGB", (640, 360), (220, 20, 20)).save(made, "PNG")

    async def chunks() -> AsyncIterator[bytes]:
        yield made.getvalue()

    wall = await call.stage.fake.backgrounds.add("default", None, name="Red wall.png", chunks=chunks())
    return wall.id


async def choose(visitor: Visitor, background: str) -> None:
    if await visitor.page.is_hidden("#backgrounds"):
        await visitor.page.click("[data-action=backgrounds]")
    await visitor.page.click(f"[data-background='{background}']")
    await visitor.page.wait_for_selector(f"body[data-background='{background}']")


async def until_red(visitor: Visitor, red: bool) -> None:
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            r, g, _, _ = await visitor.page.evaluate(COLOUR)
            if (r > 120 and g < 80) == red:
                return
            await asyncio.sleep(0.1)


async def again(call: Call) -> None:
    """The store is off and on: what is offered is asked for again."""
    for on in (False, True):
        call.stage.fake.files.storage_on = on
        state = "enabled" if on else "disabled"
        await call.agent.page.wait_for_selector(f"[data-action=backgrounds]:{state}")


async def test_others_see_the_agent_before_what_was_uploaded(call: Call) -> None:
    wall = await upload(call)
    await again(call)
    await sees(call.visitor, CONNECTED)
    await until_red(call.visitor, False)
    await choose(call.agent, wall)
    await until_red(call.visitor, True)
    await choose(call.agent, "blur")
    await until_red(call.visitor, False)
    await choose(call.agent, "none")
    await sees(call.visitor, CONNECTED)


async def test_visitors_are_offered_none(call: Call) -> None:
    assert await call.visitor.page.is_hidden("[data-action=backgrounds]")


async def test_uploaded_ones_alone_where_the_others_are_not_to_be_shown(call: Call) -> None:
    call.stage.fake.backgrounds.built_in = False
    await again(call)
    await call.agent.page.click("[data-action=backgrounds]")
    names = await call.agent.page.locator(".background span").all_inner_texts()
    assert names == ["No background", "Red wall"]


async def slowed(agent: Visitor) -> None:
    """Let each picture take as long as on a machine that is not fit for it."""

    async def tampered(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=f"{await answer.text()}\n{SLOW}")

    await agent.context.route("**/background_worker.js", tampered)


@pytest.mark.slow
async def test_a_machine_that_is_too_slow_says_so_and_shows_the_plain_camera(browser: Browser) -> None:
    async with calling(browser, prepare=slowed) as call:
        wall = await upload(call)
        await again(call)
        await sees(call.visitor, CONNECTED)
        await choose(call.agent, wall)
        await call.agent.page.get_by_text("This computer is too slow for a background.").wait_for()
        await call.agent.page.wait_for_selector("body[data-background=none]")
        await until_red(call.visitor, False)
