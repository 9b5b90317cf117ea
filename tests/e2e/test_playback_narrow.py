"""Browsers on a recording whose pictures had half the columns for a while: same size, right places."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.media.test_overload import SlowMachine, caller
from tests.support.browser import chromium
from tests.support.encoded_source import NS
from tests.support.firefox import firefox
from tests.support.loopback import NO_ICON, PAGE_PATH, serving_files
from tests.support.player import OPEN_VIDEO

PLAYER_S_MAX = 60.0
SECONDS = 18.0
SLOW_UNTIL_S = 4.0
SOUGHT_S = (0.5, 6.5, 1.6, 8.7, 16.5, 7.6, 17.7)  # narrow between about 3 and 15 s
BEHIND_MAX = 10  # columns of 160: how far the bar travels while one of the fewest pictures is shown
PAGE = f"<!doctype html>{NO_ICON}<video muted playsinline preload=auto></video>"
# For each time: that of the picture shown, its columns, the element's size, the luma in 160 columns of a row.
LOOK = """async times => {
    const video = document.querySelector("video"), looked = [];
    const canvas = document.createElement("canvas");
    canvas.width = 160; canvas.height = 90;
    const paint = canvas.getContext("2d", {willReadFrequently: true});
    let shown = null;
    const note = (_, frame) => { shown = frame; video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (const time of times) {
        await new Promise((done, failed) => {
            video.onerror = () => failed(new Error(video.error.message));
            video.onseeked = done;
            video.currentTime = time;
        });
        do await drawn(); while (shown === null || Math.abs(shown.mediaTime - time) > 0.5);
        paint.drawImage(video, 0, 0, 160, 90);
        const row = paint.getImageData(0, 30, 160, 1).data, luma = [];
        for (let x = 0; x < 160; x++) luma.push(row[4 * x + 1]);
        const width = video.getBoundingClientRect().width;
        looked.push([shown.mediaTime, shown.width, video.videoWidth, width, luma]);
    }
    return looked;
}"""
Evaluate = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def narrowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    machine = SlowMachine(300 * NS // 1000, seconds=SECONDS)
    file = tmp_path_factory.mktemp("narrow") / "call.mp4"
    file.write_bytes(machine.run(caller(SECONDS), slow_until_s=SLOW_UNTIL_S))
    return file


async def all_is_shown_where_it_was(evaluate: Evaluate, url: str) -> None:
    async with asyncio.timeout(PLAYER_S_MAX):
        opened = await evaluate(OPEN_VIDEO, url)
        looked = await evaluate(LOOK, list(SOUGHT_S))
    assert opened["width"] == 320
    assert {columns for _, columns, *_ in looked} == {160, 320}
    assert {(intrinsic, shown) for _, _, intrinsic, shown, _ in looked} == {(320, 320)}
    for time_s, *_, luma in looked:
        bar = (round(time_s * 25) * 4 % 304 + 8) / 2  # in 160 columns
        seen = max(range(4, 156), key=lambda x: sum(luma[x - 4 : x + 4]))
        assert -2 <= bar - seen <= BEHIND_MAX  # Firefox tells the time that was sought, not the picture's own


@pytest.mark.timeout(PLAYER_S_MAX * 2)
async def test_chromium(narrowed: Path) -> None:
    async with serving_files(narrowed.with_name, page=PAGE) as served, chromium() as browser:
        page = await browser.new_page()
        await page.goto(served.origin + PAGE_PATH)
        await all_is_shown_where_it_was(page.evaluate, f"{served.origin}/{narrowed.name}")


@pytest.mark.slow
@pytest.mark.timeout(PLAYER_S_MAX * 3)
async def test_firefox(narrowed: Path) -> None:
    async with serving_files(narrowed.with_name, page=PAGE) as served, firefox() as browser:
        await browser.call("WebDriver:Navigate", url=served.origin + PAGE_PATH)
        await all_is_shown_where_it_was(browser.evaluate, f"{served.origin}/{narrowed.name}")
