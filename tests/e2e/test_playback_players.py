"""VLC and ffplay: they seek to any page, show it, and go on without a hole, with few requests."""

import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from media.hls.playlist import event_playlist, vod_playlist
from media.hls.seek_index import header_bytes
from recorder.kernel.limits import STILL_FRAGMENT_DURATION_S_MAX
from tests.media.test_isobmff_finalising import FILLER_BYTES, long_recording
from tests.support.pages import Page, Recorded, page_at, recorded
from tests.support.players import PLAYER_S_MAX, Played, ffplay, serving, vlc

RANGE_REQUESTS_MAX = 15
PAGES = [Page(0, 0), Page(11.3, 1), Page(24, 2, scrolled=True), Page(32, 3), Page(51, 4), Page(52.5, 5)]
SECONDS, PLAYED_S = 60, 4
TARGETS_S = (3, 25.3, 50, 20)  # in long fragments and in a short one, before two turns, and back
HOLE_S_MAX = 0.3  # a tenth of a second is told to within a few hundredths
Player = Callable[..., Awaitable[Played]]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PLAYER_S_MAX * 6)]


@pytest.fixture(scope="module")
def made() -> Recorded:
    return recorded(PAGES, SECONDS)


def served(made: Recorded) -> dict[str, Callable[[], bytes]]:
    playlist = vod_playlist("media.mp4", header_bytes(made.init) or 0, made.places).encode()
    return {"media.mp4": lambda: made.finalised, "index.m3u8": lambda: playlist}


def assert_goes_on(played: Played, start_s: float, seconds: float = PLAYED_S) -> None:
    """From the key frame before `start_s` at the earliest, and without leaving out a page or a sound.

    Pictures are decoded ahead of time, so a page more may be seen.
    """
    assert len(played.heard_s) > 30
    assert all(abs(later - earlier) < HOLE_S_MAX for earlier, later in pairwise(played.heard_s))
    assert start_s - STILL_FRAGMENT_DURATION_S_MAX <= played.heard_s[0] <= start_s + HOLE_S_MAX
    assert played.heard_s[-1] > start_s + seconds - 1
    first, last = played.pages[0], played.pages[-1]
    assert played.pages == list(range(first, last + 1))
    assert page_at(PAGES, played.heard_s[0]).gray <= first <= page_at(PAGES, start_s).gray
    assert last >= page_at(PAGES, start_s + seconds - 1).gray


@pytest.mark.parametrize("player", [vlc, ffplay])
async def test_it_seeks_and_goes_on(player: Player, made: Recorded) -> None:
    async with serving(served(made)) as server:
        for start_s in TARGETS_S:
            played = await player(f"{server.origin}/media.mp4", start_s=start_s, seconds=PLAYED_S)
            assert_goes_on(played, start_s)


async def test_vlc_seeks_in_byte_ranges(made: Recorded) -> None:
    """Pictures are looked at where it begins: after a seek by HLS the scene filter takes no later ones."""
    async with serving(served(made)) as server:
        for start_s in TARGETS_S:
            played = await vlc(f"{server.origin}/index.m3u8", start_s=start_s, seconds=PLAYED_S)
            assert all(abs(later - earlier) < HOLE_S_MAX for earlier, later in pairwise(played.heard_s))
            assert played.heard_s[-1] > start_s + PLAYED_S - 1
            assert page_at(PAGES, start_s).gray in played.pages


async def test_ffplay_plays_byte_ranges(made: Recorded) -> None:
    """FFmpeg 5 cannot seek in fragmented MP4 by HLS, in its own playlists neither."""
    async with serving(served(made)) as server:
        played = await ffplay(f"{server.origin}/index.m3u8", start_s=0, seconds=14)
    assert_goes_on(played, 0, 14)


async def test_vlc_follows_a_recording_that_goes_on() -> None:
    growing = recorded(PAGES, 20)
    began = time.monotonic()

    def playlist() -> bytes:
        now_s = time.monotonic() - began + 8
        there = [place for place in growing.places if (place.start_us + place.duration_us) / 1e6 < now_s]
        ended = len(there) == len(growing.places)
        return event_playlist("media.mp4", header_bytes(growing.init) or 0, there, ended=ended).encode()

    async with serving({"media.mp4": lambda: growing.data, "index.m3u8": playlist}) as server:
        played = await vlc(f"{server.origin}/index.m3u8", start_s=0, seconds=18)
    assert all(abs(later - earlier) < HOLE_S_MAX for earlier, later in pairwise(played.heard_s))
    assert played.heard_s[-1] > 17
    assert played.pages[-1] == 1


@pytest.mark.parametrize("player", [vlc, ffplay])
async def test_long_files_take_few_requests(player: Player) -> None:
    """Ten minutes, 90 MB: far more than a player reads ahead."""
    muxed = long_recording(600, reserved_bytes=8192, filler_bytes=FILLER_BYTES)
    async with serving({"long.mp4": lambda: muxed.finalised}) as server:
        await player(f"{server.origin}/long.mp4", start_s=301, seconds=2)
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX * (2 if player is vlc else 1), server.ranges
