"""axe-core on every page of the console, light and dark, wide and narrow; and a second browser."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.console.pages import opened, pages
from tests.support.browser import DESKTOP, PHONE, Visitor
from tests.support.console_scene import ConsoleScene
from tests.support.firefox import firefox

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

AXE = Path(__file__).parents[2] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => {
    const {violations} = await axe.run(document, {resultTypes: ["violations"]});
    return violations.map(({id, impact, nodes}) => ({id, impact, where: nodes.map(({html}) => html)}));
}"""


async def violations(page: Any) -> list[dict[str, Any]]:
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(AXE.read_text())
    return list(await page.evaluate(RUN))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    browser: Browser, scene: ConsoleScene, scheme: str, size: dict[str, int]
) -> None:
    async with Visitor(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as visitor:
        page, found = visitor.page, {}
        await opened(page, scene, "/console")
        found["sign in"] = await violations(page)
        await page.request.post(
            f"{scene.server.base_url}/console/session", data={"key": scene.server.api_key}
        )
        for name, path in pages(scene).items():
            await opened(page, scene, path)
            found[name] = await violations(page)
        await page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        assert [one["id"] for one in await violations(page)] == ["button-name"], "it would find something"
    assert {name: each for name, each in found.items() if each} == {}


async def test_firefox_shows_the_same(scene: ConsoleScene) -> None:
    """A subset: signing in, the history, the player with its timeline."""
    show = "async url => { const f = await fetch(url); return f.status; }"
    sign_in = """async key => (await fetch("/console/session", {method: "POST",
        headers: {"Content-Type": "application/json"}, body: JSON.stringify({key})})).status"""
    until = """async selector => { for (let n = 0; n < 200; n += 1) {
        if (document.querySelector(selector)) return document.querySelectorAll(selector).length;
        await new Promise(r => setTimeout(r, 50)); } return 0; }"""
    async with firefox() as second:
        await second.call("WebDriver:Navigate", url=f"{scene.server.base_url}/console")
        assert await second.evaluate(until, "input[name=key]") == 1
        assert await second.evaluate(sign_in, scene.server.api_key) == 200
        assert await second.evaluate(show, "/v1/conversation-overviews") == 200
        for path, selector in (
            ("/console/history", "tbody tr"),
            (f"/console/history?selected={scene.conversation}", "dialog[open] .recording"),
            (f"/console/recordings/{scene.played}", ".lane .bar"),
            ("/console/storage", "tbody tr"),
            ("/console/options", ".option"),
        ):
            await second.call("WebDriver:Navigate", url=scene.server.base_url + path)
            assert await second.evaluate(until, selector) > 0, path
