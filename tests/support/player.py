"""Chromium as a player: files on a loopback server with byte ranges, and a page's <video> element to ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.support.loopback import PAGE_PATH, Served, serving_files

CHROMIUM = "/usr/bin/chromium"
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
    """A page with one <video>, beside the files that it plays."""

    page: Page
    served: Served

    @property
    def requests(self) -> list[str]:
        """The Range headers that the server saw."""
        return self.served.ranges

    async def open(self, name: str) -> dict[str, Any]:
        """Load a file of the served directory; return its duration and width."""
        self.requests.clear()
        found: dict[str, Any] = await self.page.evaluate(OPEN_VIDEO, f"{self.served.origin}/{name}")
        return found

    async def seek(self, time_s: float) -> float:
        """Seek and return the time of the picture that is then shown."""
        shown: float = await self.page.evaluate(SEEK_VIDEO, time_s)
        return shown


@asynccontextmanager
async def chromium_player(directory: Path) -> AsyncIterator[Player]:
    """Serve `directory` on a free loopback port and open a headless Chromium on an empty player."""
    async with serving_files(directory.joinpath) as served, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(served.origin + PAGE_PATH)
        yield Player(page, served)
        await browser.close()
