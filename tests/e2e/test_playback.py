"""Players on a real server: HLS while a recording runs and afterwards, and how little they ask for to seek.

A proxy between player and server counts what is asked for.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import av
import pytest
from aiohttp import web
from yarl import URL

from tests.support.api_client import ApiClient
from tests.support.browser import chromium
from tests.support.loopback import EMPTY_PLAYER, PAGE_PATH, serving, with_page
from tests.support.participants import Card, camera, joined
from tests.support.player import OPEN_VIDEO, SEEK_VIDEO
from tests.support.server import RunningServer

RANGE_REQUESTS_MAX = 15
RECORDED_S = 6.0  # at half a second a fragment; ffmpeg begins to follow after two of them
KEYFRAMES_S_MAX = 2.1  # apart: four fragments where nothing moves
PLAYER_S_MAX = 60.0
WHO = {"participant": "ada", "name": "Ada", "role": "AGENT"}


@dataclass
class Counted:
    """A server behind a proxy that writes down what is asked for."""

    origin: str
    requests: list[tuple[str, str]] = field(default_factory=list)  # path, Range

    def through(self, link: str) -> str:
        """The link, as the proxy has it."""
        return self.origin + URL(link).path_qs

    @property
    def of_media(self) -> list[str]:
        return [wanted for path, wanted in self.requests if "/media" in path]


NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "host"}


@asynccontextmanager
async def counted(server: RunningServer) -> AsyncIterator[Counted]:
    """Pass everything on, and note it."""
    seen = Counted("")
    async with aiohttp.ClientSession(auto_decompress=False) as upstream:

        async def passed_on(request: web.Request) -> web.StreamResponse:
            seen.requests.append((request.path, request.headers.get("Range", "")))
            headers = {k: v for k, v in request.headers.items() if k.lower() not in NOT_PASSED_ON}
            url = URL(server.base_url + request.raw_path, encoded=True)
            async with upstream.request(request.method, url, headers=headers) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in NOT_PASSED_ON}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                with suppress(ConnectionResetError):  # a player hangs up when it has enough
                    async for chunk in answer.content.iter_chunked(16 * 1024):
                        await response.write(chunk)
                return response

        app = with_page(EMPTY_PLAYER)
        app.router.add_route("*", "/{any:.*}", passed_on)
        async with serving(app) as seen.origin:
            yield seen


def packets(*source: str) -> tuple[float, dict[str, int]]:
    """What FFmpeg of Debian reads: seconds of picture, and packets by stream; it must not complain."""
    command = ["ffmpeg", "-v", "error", *source, "-map", "0", "-f", "framecrc", "-c", "copy", "-"]
    played = subprocess.run(command, capture_output=True, text=True, timeout=PLAYER_S_MAX, check=True)
    assert played.stderr == ""
    rows = [line.split(",") for line in played.stdout.splitlines() if not line.startswith("#")]
    times = {name: [int(row[2]) for row in rows if row[0] == name] for name in ("0", "1")}
    base = next(line for line in played.stdout.splitlines() if line.startswith("#tb 0"))
    ticks = int(base.rpartition("/")[2])
    return (max(times["0"]) - min(times["0"])) / ticks, {name: len(all_) for name, all_ in times.items()}


def decoded(url: str) -> int:
    """Pictures that a newer FFmpeg, which is stricter with names, decodes."""
    with av.open(url, timeout=PLAYER_S_MAX) as container:
        return sum(1 for _ in container.decode(video=0))


def shown_at(url: str, time_s: float) -> float:
    """The time of the first picture that a newer FFmpeg shows after it sought: of the key frame before."""
    with av.open(url, timeout=PLAYER_S_MAX) as container:
        container.seek(round(time_s * av.time_base))
        return float(next(container.decode(video=0)).time or 0.0)


async def text_of(link: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as stranger, stranger.get(link) as response:
        return response.status, await response.text()


async def test_players_follow_a_recording_and_seek_in_it_afterwards(server: RunningServer) -> None:
    async with ApiClient(server) as api:
        recording = await api.start()
        identity, playlist = recording["id"], recording["links"]["hls"]
        assert (await text_of(playlist))[0] == 409  # no_media
        async with joined(recording["entry_point"], *camera(Card((40, 160, 40)), 600), **WHO):
            await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 2)
            _, early = await text_of(playlist)
            assert "#EXT-X-PLAYLIST-TYPE:EVENT" in early
            assert "#EXT-X-ENDLIST" not in early
            following = asyncio.create_task(  # ffmpeg begins now, and ends when the playlist does
                asyncio.to_thread(packets, "-live_start_index", "0", "-i", playlist)
            )
            await api.until_it(identity, lambda now: (now["duration_s"] or 0) > RECORDED_S)
            _, later = await text_of(playlist)
            assert later.startswith(early)
        await api.stop(identity)
        over = await api.until(identity, "AVAILABLE", "FAILED")
    followed_s, followed = await following
    _, final = await text_of(playlist)
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in final
    assert final.endswith("#EXT-X-ENDLIST\n")
    whole_s, whole = await asyncio.to_thread(packets, "-i", over["links"]["media"])
    assert followed == whole  # it missed nothing of what was recorded before and while it looked
    assert followed_s == pytest.approx(whole_s, abs=0.05)
    assert (await asyncio.to_thread(packets, "-i", playlist))[1] == whole
    assert await asyncio.to_thread(decoded, playlist) == whole["0"]
    await few_requests(server, over)


async def few_requests(server: RunningServer, over: dict[str, Any]) -> None:
    """Opening a finished recording and seeking to its middle takes at most fifteen requests."""
    middle = over["duration_s"] / 2
    async with counted(server) as proxy:
        media, playlist = (proxy.through(over["links"][name]) for name in ("media", "hls"))
        for url in (media, playlist):
            shown, duration = await in_chromium(proxy, url, middle)
            assert duration == pytest.approx(over["duration_s"], abs=0.1)
            assert 0 <= middle - shown < 0.2
            assert 0 < len(proxy.of_media) <= RANGE_REQUESTS_MAX, proxy.requests
            proxy.requests.clear()
            assert 0 <= middle - await asyncio.to_thread(shown_at, url, middle) < KEYFRAMES_S_MAX
            assert 0 < len(proxy.of_media) <= RANGE_REQUESTS_MAX, proxy.requests
            proxy.requests.clear()
        # Debian's FFmpeg cannot seek in byte ranges of fMP4 by HLS, in its own playlists neither
        seconds, _ = await asyncio.to_thread(packets, "-ss", f"{middle}", "-i", media)
        assert seconds == pytest.approx(middle, abs=KEYFRAMES_S_MAX)
        assert 0 < len(proxy.of_media) <= RANGE_REQUESTS_MAX, proxy.requests


async def in_chromium(proxy: Counted, url: str, time_s: float) -> tuple[float, float]:
    """Open, seek; the time of the picture that is shown then, and the duration that was told first."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(proxy.origin + PAGE_PATH)
        proxy.requests.clear()
        async with asyncio.timeout(PLAYER_S_MAX):
            opened = await page.evaluate(OPEN_VIDEO, url)
            return await page.evaluate(SEEK_VIDEO, time_s), opened["duration"]
