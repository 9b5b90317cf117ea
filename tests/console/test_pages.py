"""The console in Chromium, on a real server: signing in, finding, looking, and texts that try to be HTML."""

import asyncio
import io

import pytest
from PIL import Image
from playwright.async_api import Page

from tests.console.pages import opened, pages, settled
from tests.support.browser import Visitor
from tests.support.console_scene import HOSTILE, ConsoleScene

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_call_is_ended_from_its_page_and_from_the_landing_page(
    visitor: Visitor, scene: ConsoleScene
) -> None:
    page, calls = visitor.page, f"{scene.server.base_url}/v1/conversations"
    key = {"Authorization": f"Bearer {scene.server.api_key}"}
    made = [(await (await page.request.post(calls, headers=key, data={})).json())["id"] for _ in range(2)]
    await opened(page, scene, f"/console/conversations/{made[0]}")
    await page.click("main button:has-text('End call')")
    await page.click("dialog button.danger")
    await page.wait_for_selector("main .badge:has-text('Ended')")
    assert await page.locator("main button:has-text('End call')").count() == 0
    await page.goto(f"{scene.server.base_url}/")
    await page.fill("#key", scene.server.api_key)
    await page.keyboard.press("Enter")
    item = page.locator("#conversations > li", has_text=made[1])
    await item.locator("summary").click()
    await item.locator("button:has-text('End call')").click()
    await page.click("#end-yes")
    await item.locator("summary:has-text('Ended')").wait_for()
    for one in made:
        found = await (await page.request.get(f"{calls}/{one}", headers=key)).json()
        assert found["ended_at"] is not None
        await page.request.delete(f"{calls}/{one}", headers=key)  # other tests count what is there
    assert visitor.complaints == []


async def test_the_steps_of_a_storage_test_stay_until_the_next(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    await opened(page, scene, "/console/storage")
    await page.click("button:has-text('Test')")
    async with page.expect_response("**/v1/storage") as asked_anew:
        pass
    await (await asked_anew.value).finished()
    await page.wait_for_selector("main button:enabled:has-text('Test')")
    await page.wait_for_selector(".notice:has-text('The last test succeeded')")
    assert await page.locator(".step").count() > 1
    assert await page.locator("[data-running]").count() == 0


async def playable(page: Page) -> None:
    """Wait until the video has a picture; asked from here, since the page allows no evaluation inside it."""
    while not await page.evaluate("document.querySelector('video')?.readyState >= 2"):  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.05)


async def test_somebody_signs_in_finds_a_recording_plays_it_and_signs_out(
    visitor: Visitor, scene: ConsoleScene
) -> None:
    page = visitor.page
    await visitor.context.clear_cookies()
    await opened(page, scene, "/console/history")
    await page.fill("input[name=key]", "wrong")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=This key is not valid")
    visitor.complaints.clear()  # the browser's own line about the 401
    await page.fill("input[name=key]", scene.server.api_key)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1:has-text('Conversation history')")
    await page.fill("input[name=metadata]", "case:K-4001")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**metadata=case*")
    await settled(page)
    await page.locator("tbody tr a").first.click()
    links = page.locator("dialog.fly-in a.recording-link")
    await links.nth(1).wait_for()
    assert await links.count() == 2
    async with visitor.context.expect_page() as opening:
        await links.nth(1).click()
    tab = await opening.value
    await tab.wait_for_selector(".lane >> nth=1")
    await playable(tab)
    assert await tab.locator(".bar[data-part=muted]").count() > 1  # one on a lane, one in the legend
    chapters = tab.locator(".chapters button")
    assert "Beginning" in await chapters.first.inner_text()
    assert await chapters.count() >= 2
    await tab.close()
    await page.keyboard.press("Escape")
    await page.click("text=Sign out")
    await page.wait_for_selector("input[name=key]")
    answer = await page.request.get(f"{scene.server.base_url}/v1/conversations")
    assert answer.status == 401
    assert visitor.complaints == []


async def test_the_page_of_calls_shows_the_newest_first_a_page_at_a_time(
    visitor: Visitor, scene: ConsoleScene
) -> None:
    page = visitor.page
    await page.goto(scene.server.base_url)
    await page.fill("#key", scene.server.api_key)
    await page.keyboard.press("Enter")
    calls = page.locator(".conversations > li")
    await calls.nth(49).wait_for()
    assert await calls.count() == 50
    assert "Open" in await calls.first.inner_text()  # the one that runs is the newest
    await page.click("#older")
    await calls.nth(63).wait_for()
    assert await calls.count() == 64
    assert await page.locator("#older").is_hidden()


async def test_the_keyboard_alone_is_enough(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    await opened(page, scene, f"/console/recordings/{scene.played}")
    await playable(page)
    await page.wait_for_selector(".lane >> nth=1")
    await page.keyboard.press("l")
    await visitor.until("document.querySelector('video').currentTime >= 10")
    await page.focus("[role=slider]")
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowRight")
    await visitor.until("document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '5'")
    await opened(page, scene, "/console/history")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "skip"
    link = page.locator("tbody a").first
    await link.focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open] .recording, dialog[open] .soft")
    await page.keyboard.press("Escape")
    await visitor.until("!document.querySelector('dialog')")
    assert await link.evaluate("link => link === document.activeElement")


async def test_texts_of_others_stay_texts(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    about = [
        f"/console/history?selected={scene.hostile}",
        f"/console/conversations/{scene.hostile}",
        "/console/history?participant=%3Cimg%20src%3Dx%20onerror%3D%22window.hurt%3D1%22%3E",
        "/console/options?scope=template&template=%3Cscript%3Ewindow.hurt=1%3C/script%3E&account=default",
        "/console/usage?days=%3Cscript%3E",
    ]
    for path in about:
        await opened(page, scene, path)
        assert await page.evaluate("window.hurt") is None, path
        assert await page.locator("main img[src=x], main script, dialog img, dialog script").count() == 0, (
            path
        )
    await opened(page, scene, about[1])
    assert HOSTILE in await page.inner_text("main")
    refused = [one for one in visitor.complaints if "Content Security Policy" in one or "Trusted" in one]
    assert refused == []


async def test_files_and_pictures_stand_in_the_conversation(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    await opened(page, scene, f"/console/conversations/{scene.conversation}")
    await visitor.until("document.querySelector('.transcript .snapshot img').naturalWidth === 960")
    async with page.expect_download() as saving:
        await page.locator(".transcript .file-link").click()
    assert (await saving.value).suggested_filename == "Standing order (signed).pdf"
    assert await page.locator(".files li").count() == 2


async def test_backgrounds_are_uploaded_shown_and_removed(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    await opened(page, scene, "/console/backgrounds")
    await page.wait_for_selector("text=No backgrounds were uploaded")
    made = io.BytesIO()
    Image.new("RGB", (640, 360), (40, 120, 90)).save(made, "JPEG")
    wall = {"name": "Green wall.jpg", "mimeType": "image/jpeg", "buffer": made.getvalue()}
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    await page.set_input_files("input[type=file]", [wall, broken])
    await page.click("form.card button")
    await page.wait_for_selector("[role=alert] >> text=broken.png")
    await visitor.until("document.querySelector('.backgrounds img')?.naturalWidth === 640")
    visitor.complaints.clear()  # the browser's own line about the 422
    await page.click(".backgrounds button")
    await page.click("dialog .button.danger")
    await page.wait_for_selector("text=No backgrounds were uploaded")
    assert visitor.complaints == []


@pytest.mark.slow
async def test_every_page_fits_a_telephone_and_a_wall(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    for width, height in ((360, 740), (3840, 2160)):
        await page.set_viewport_size({"width": width, "height": height})
        for name, path in pages(scene).items():
            await opened(page, scene, path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


async def test_nobody_frames_it(visitor: Visitor, scene: ConsoleScene) -> None:
    page = visitor.page
    await page.goto("about:blank")
    await page.evaluate(
        "url => { const f = document.createElement('iframe'); f.src = url; document.body.append(f); }",
        f"{scene.server.base_url}/console",
    )
    await page.wait_for_timeout(500)
    (frame,) = [one for one in page.frames if one is not page.main_frame]
    assert await frame.locator("#main").count() == 0
