"""Chromium as a player: files on a loopback server with byte ranges, and a page's <video> element to ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
_PAGE = "<!doctype html><video muted playsinline preload=metadata></video>"
OPEN_VIDEO = """url => new Promise((done, failed) => {
    const video = document.querySelector("video");
    video.onerror = () => failed(new Error(video.error.message || `code ${video.error.code}`));
    video.onloadedmetadata = () => done({duration: video.duration, width: video.videoWidth});
    video.src = url;
})"""
SEEK_VIDEO = """time => new Promise((done, failed) => {
    const video = document.querySelector("video");
    video.onerror = () => failed(new Error(video.error.message));
    // on a busy machine the picture from before is shown late, so only one from about there is believed
    const look = (_, frame) => Math.abs(frame.mediaTime - time) < 1
        ? done(frame.mediaTime) : video.requestVideoFrameCallback(look);
    video.requestVideoFrameCallback(look);
    video.currentTime = time;
})"""


@dataclass
class Player:
    """A page with one <video>; `requests` are the Range headers that the server saw."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)

    async def open(self, name: str) -> dict[str, Any]:
        """Load a file of the served directory; return its duration and width."""
        self.requests.clear()
        found: dict[str, Any] = await self.page.evaluate(OPEN_VIDEO, f"{self.origin}/files/{name}")
        return found

    async def seek(self, time_s: float) -> float:
        """Seek and return the time of the picture that is then shown."""
        shown: float = await self.page.evaluate(SEEK_VIDEO, time_s)
        return shown


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html")


@asynccontextmanager
async def chromium_player(directory: Path) -> AsyncIterator[Player]:
    """Serve `directory` on a free loopback port and open a headless Chromium on an empty player."""
    requests: list[str] = []

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/files/"):
            requests.append(request.headers.get("Range", ""))
        response: web.StreamResponse = await handler(request)
        return response

    app = web.Application(middlewares=[note])
    app.router.add_get("/", _page)
    app.router.add_static("/files", directory)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await browser.new_page()
            await page.goto(origin)
            yield Player(page, origin, requests)
            await browser.close()
    finally:
        await runner.cleanup()
