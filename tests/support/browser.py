"""Debian's Chromium, driven by playwright, with a fake camera, microphone and screen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream=display-media-type=monitor",  # a beep and a turning disc a second
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
POLL_S = 0.05
WAIT_MS = 20_000  # two loaded cores: ICE, DTLS and a first key frame take up to a few seconds


@asynccontextmanager
async def chromium(*more_arguments: str) -> AsyncIterator[Browser]:
    """A browser with a fresh profile for the length of the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *more_arguments], headless=True
        )
        try:
            yield browser
        finally:
            await browser.close()


class Visitor:
    """One person: a context of their own, a page, and everything the page complained about."""

    def __init__(self, browser: Browser, *, viewport: dict[str, int] | None = None, **options: Any) -> None:
        self._browser = browser
        self._options = {"viewport": viewport or DESKTOP, "locale": "en-GB", **options}
        self.complaints: list[str] = []

    async def __aenter__(self) -> "Visitor":
        self.context: BrowserContext = await self._browser.new_context(**self._options)
        self.page: Page = await self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", self._failed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    async def until(self, condition: str, argument: object = None) -> Any:
        """Wait until this JavaScript expression or function is truthy in the page; return its value.

        Asked from here, because waiting inside the page is forbidden by the page's content security policy.
        """
        async with asyncio.timeout(WAIT_MS / 1000):
            while not (value := await self.page.evaluate(condition, argument)):  # noqa: ASYNC110 - see above
                await asyncio.sleep(POLL_S)
        return value
