"""Screenshots of every page of the console: `python -m tests.console.screenshots [name]`."""

import asyncio
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from playwright.async_api import Browser, Page

from tests.support.browser import chromium
from tests.support.console_scene import ConsoleScene, console_scene

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LARGE = {"width": 3840, "height": 2160}
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
SEEK = "document.querySelector('video').currentTime = 6.5"
TEST = "document.querySelector('.button.primary').click()"
COLOURS = 256  # of a large PNG: flat pages need no more, and stay small


def shots(scene: ConsoleScene) -> dict[str, tuple[str, dict[str, Any]]]:
    """Names of files; the path, and what differs from English, light, on a laptop."""
    history = f"/console/history?selected={scene.conversation}"
    player = f"/console/recordings/{scene.played}"
    return {
        "sign-in": ("/console", {"signed_out": True}),
        "history": ("/console/history", {}),
        "history-dark": ("/console/history", {"dark": True}),
        "history-phone": ("/console/history", {"viewport": PHONE, "locale": "de-DE"}),
        "history-4k": ("/console/history", {"viewport": LARGE}),
        "fly-in": (history, {}),
        "conversation": (f"/console/conversations/{scene.conversation}", {}),
        "player": (player, {"before": SEEK}),
        "player-dark": (player, {"before": SEEK, "dark": True}),
        "player-phone": (player, {"viewport": PHONE, "locale": "de-DE"}),
        "live": ("/console/live", {"recording": True}),
        "usage": ("/console/usage", {}),
        "options": ("/console/options", {}),
        "options-phone": ("/console/options", {"viewport": PHONE}),
        "backgrounds": ("/console/backgrounds", {"backgrounds": True}),
        "storage": ("/console/storage", {"before": TEST, "waits": "[data-tone=good] >> nth=8"}),
        "webhooks": ("/console/webhooks", {}),
        "keys": ("/console/keys", {"keys": True}),
        "health": ("/console/health", {}),
    }


def make(only: list[str], folder: Path) -> None:
    """Make those named, or all."""
    with tempfile.TemporaryDirectory() as scratch, console_scene(Path(scratch), hostile=False) as scene:
        asyncio.run(_make(scene, only, folder))


async def _make(scene: ConsoleScene, only: list[str], folder: Path) -> None:
    async with chromium("--hide-scrollbars") as browser:
        for name, (path, options) in shots(scene).items():
            if not only or name in only:
                await _shoot(browser, scene, name, path, folder, **options)


async def _shoot(
    browser: Browser,
    scene: ConsoleScene,
    name: str,
    path: str,
    folder: Path,
    *,
    viewport: dict[str, int] = LAPTOP,
    locale: str = "en-GB",
    dark: bool = False,
    signed_out: bool = False,
    before: str | None = None,
    waits: str | None = None,
    recording: bool = False,
    keys: bool = False,
    backgrounds: bool = False,
) -> None:
    scheme: Any = "dark" if dark else "light"
    size: Any = viewport
    context = await browser.new_context(
        viewport=size,
        locale=locale,
        color_scheme=scheme,
        reduced_motion="reduce",
        timezone_id="Europe/Zurich",
    )
    page = await context.new_page()
    if not signed_out:
        await sign_in(page, scene)
    if recording:
        await _record(page, scene)
    if keys:
        await _make_keys(page, scene)
    if backgrounds:
        await _add_backgrounds(page, scene)
    await page.goto(scene.server.base_url + path)
    await settled(page)
    if before is not None:
        await page.evaluate(before)
        if waits is not None:
            await page.wait_for_selector(waits)
        await page.wait_for_timeout(600)
        await settled(page)
    await page.screenshot(path=folder / f"{name}.png")
    await context.close()
    await asyncio.to_thread(_shrink, folder / f"{name}.png")


async def sign_in(page: Page, scene: ConsoleScene) -> None:
    """A session for this context, as the page would make it."""
    answer = await page.request.post(
        f"{scene.server.base_url}/console/session", data={"key": scene.server.api_key}
    )
    assert answer.ok, await answer.text()


async def _record(page: Page, scene: ConsoleScene) -> None:
    """Start a recording in the conversation that still runs."""
    path = f"{scene.server.base_url}/v1/conversations"
    listed = await page.request.get(f"{path}?state=RUNNING", headers=scene.server.headers)
    of = (await listed.json())["items"][0]["id"]
    answer = await page.request.post(f"{path}/{of}/recordings", headers=scene.server.headers)
    assert answer.ok, await answer.text()


async def _make_keys(page: Page, scene: ConsoleScene) -> None:
    for name, scopes in (
        ("Contact centre", ["conversations:write", "recordings:write"]),
        ("Archive", ["usage"]),
    ):
        body = {"name": name, "scopes": scopes, "account": "default"}
        path = f"{scene.server.base_url}/v1/keys"
        assert (await page.request.post(path, headers=scene.server.headers, data=body)).ok


async def _add_backgrounds(page: Page, scene: ConsoleScene) -> None:
    for name, (dark, light) in {"Office": ("#3b4a54", "#d9e2e7"), "Spring": ("#3f6f4d", "#f1e9c9")}.items():
        drawn = io.BytesIO()
        shades = Image.linear_gradient("L").resize((1280, 720)).rotate(180)
        ImageOps.colorize(shades, dark, light).save(drawn, "JPEG")
        path = f"{scene.server.base_url}/v1/accounts/default/backgrounds?name={name}.jpg"
        headers = {**scene.server.headers, "Content-Type": "image/jpeg"}
        answer = await page.request.post(path, headers=headers, data=drawn.getvalue())
        assert answer.ok, await answer.text()


async def settled(page: Page) -> None:
    """Wait until the page shows what it waited for."""
    await page.wait_for_selector("h1")
    while await page.locator("[aria-busy=true]").count():  # noqa: ASYNC110 - pages announce nothing
        await asyncio.sleep(0.05)
    await page.wait_for_timeout(200)


def _shrink(file: Path) -> None:
    with Image.open(file) as picture:
        small = picture.convert("RGB")
        if small.width > LAPTOP["width"]:
            small = small.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        small.save(file, optimize=True)


if __name__ == "__main__":
    make(sys.argv[1:], FOLDER)
