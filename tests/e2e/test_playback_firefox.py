"""Firefox, as Chromium in test_playback: it opens a finished recording and seeks with few requests."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.test_playback import PLAYER_S_MAX, RANGE_REQUESTS_MAX, WHO, counted
from tests.media.test_isobmff_finalising import FILLER_BYTES, long_recording
from tests.support.api_client import ApiClient
from tests.support.firefox import firefox
from tests.support.loopback import PAGE_PATH, serving_files
from tests.support.participants import Card, camera, joined
from tests.support.player import OPEN_VIDEO, SEEK_VIDEO
from tests.support.server import RunningServer

LONG_S = 600
ROUNDING_S = 1e-3  # Firefox keeps microseconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(PLAYER_S_MAX * 3),
]


async def test_firefox_seeks_with_few_requests(server: RunningServer) -> None:
    async with ApiClient(server) as api:
        recording = await api.start()
        async with joined(recording["entry_point"], *camera(Card((40, 160, 40)), 600), **WHO):
            await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 10)
        await api.stop(recording["id"])
        over = await api.until(recording["id"], "AVAILABLE", "FAILED")
    middle = over["duration_s"] / 2
    async with counted(server) as proxy, firefox() as browser:
        await browser.call("WebDriver:Navigate", url=proxy.origin + PAGE_PATH)
        proxy.requests.clear()
        opened = await browser.evaluate(OPEN_VIDEO, proxy.through(over["links"]["media"]))
        assert opened["duration"] == pytest.approx(over["duration_s"], abs=0.1)
        assert -ROUNDING_S <= middle - await browser.evaluate(SEEK_VIDEO, middle) < 0.2
        assert 0 < len(proxy.of_media) <= RANGE_REQUESTS_MAX, proxy.requests


async def test_firefox_seeks_in_a_long_file_by_its_index(tmp_path: Path) -> None:
    """Ten minutes, 90 MB: far more than a browser reads ahead."""
    muxed = long_recording(LONG_S, reserved_bytes=8192, filler_bytes=FILLER_BYTES)
    await asyncio.to_thread((tmp_path / "final.mp4").write_bytes, muxed.finalised)
    async with serving_files(tmp_path.joinpath) as server, firefox() as browser:
        await browser.call("WebDriver:Navigate", url=server.origin + PAGE_PATH)
        opened = await browser.evaluate(OPEN_VIDEO, f"{server.origin}/final.mp4")
        assert opened["duration"] == pytest.approx(LONG_S, abs=0.1)
        for wanted_s in (300.02, 123.46, 590.1):
            assert -ROUNDING_S <= wanted_s - await browser.evaluate(SEEK_VIDEO, wanted_s) < 0.2
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX, server.ranges
