"""Every page of the console, by what it is called, and how to wait for one."""

import asyncio

from playwright.async_api import Page

from tests.support.console_scene import ConsoleScene


def pages(scene: ConsoleScene) -> dict[str, str]:
    """Paths by name."""
    return {
        "history": "/console/history",
        "fly-in": f"/console/history?selected={scene.conversation}",
        "nothing found": "/console/history?participant=nobody+of+this+name",
        "conversation": f"/console/conversations/{scene.conversation}",
        "player": f"/console/recordings/{scene.played}",
        "live": "/console/live",
        "usage": "/console/usage",
        "options": "/console/options",
        "options of a template": "/console/options?scope=template&template=gold",
        "backgrounds": "/console/backgrounds",
        "storage": "/console/storage",
        "webhooks": "/console/webhooks",
        "keys": "/console/keys",
        "health": "/console/health",
        "not found": "/console/nothing-here",
    }


async def opened(page: Page, scene: ConsoleScene, path: str) -> None:
    """Go there, and wait until it shows what it asked for."""
    await page.goto(scene.server.base_url + path)
    await page.wait_for_selector("h1")
    await settled(page)


async def settled(page: Page) -> None:
    """Wait until nothing of the page waits any more."""
    while await page.locator("[aria-busy=true], .skeleton").count():  # noqa: ASYNC110 - pages announce nothing
        await asyncio.sleep(0.05)
