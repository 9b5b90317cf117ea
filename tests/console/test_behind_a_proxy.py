"""The console behind a reverse proxy with TLS that gives it a part of its host: Chromium, real nginx."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request

from tests.support.nginx_proxy import PREFIX, proxied
from tests.support.ports import free_port
from tests.support.server import RunningServer, running_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PAGES = ("history", "live", "usage", "options", "storage", "webhooks", "keys", "health")


@pytest_asyncio.fixture(loop_scope="session")
async def behind(tmp_path: Path) -> AsyncIterator[tuple[str, RunningServer]]:
    """The public address, and the server behind it."""
    port = free_port()
    settings = {
        "BYSTANDER_SERVER__PUBLIC_URL": f"https://localhost:{port}{PREFIX}",
        "BYSTANDER_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
        "BYSTANDER_SERVER__LOG_LEVEL": "warning",
    }
    with (
        running_server(tmp_path / "data", settings=settings) as server,
        proxied(tmp_path / "nginx", port, server.base_url) as (url, _),
    ):
        yield url, server


async def settled(page: Page) -> None:
    await page.wait_for_selector("h1")
    while await page.locator("[aria-busy=true], .skeleton").count():  # noqa: ASYNC110 - pages announce nothing
        await asyncio.sleep(0.05)


async def test_every_page_works_below_the_path(browser: Browser, behind: tuple[str, RunningServer]) -> None:
    url, server = behind
    context = await browser.new_context(ignore_https_errors=True)
    page, outside, broken = await context.new_page(), [], []

    def watch(request: Request) -> None:
        if not re.match(r"https://localhost:\d+/recorder/", request.url):
            outside.append(request.url)

    page.on("request", watch)
    page.on("response", lambda answer: broken.append(answer.url) if answer.status >= 404 else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(f"{url}/console")
    await page.fill("input[name=key]", server.api_key)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1:has-text('Conversation history')")
    for name in PAGES:
        await page.click(f"nav a[data-name={name}]")
        await page.wait_for_url(f"{url}/console/{name}")
        await settled(page)
    await page.reload()
    await settled(page)
    assert await page.locator("nav a[aria-current=page]").get_attribute("data-name") == "health"
    (cookie,) = await context.cookies()
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-bystander", True, True)
    await page.click("text=Sign out")
    await page.wait_for_selector("input[name=key]")
    assert page.url == f"{url}/console"
    await context.close()
    assert (outside, broken) == ([], [])
