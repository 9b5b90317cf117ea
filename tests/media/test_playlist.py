"""HLS playlists: exact text, what an EVENT may change, and ffmpeg and Chromium playing the byte ranges."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.hls.playlist import event_playlist, vod_playlist
from media.hls.seek_index import read_places
from media.isobmff import FragmentPlace
from recorder.kernel.media import Fragment, FragmentKind
from tests.support import muxing
from tests.support.muxing import Muxed
from tests.support.ordinary import ordinary_file
from tests.support.player import chromium_player

PLACES = [FragmentPlace(1000, 500, 0, 2_000_000), FragmentPlace(1500, 400, 2_000_000, 3_480_000)]

places = st.lists(
    st.builds(
        FragmentPlace,
        offset=st.integers(0, 2**40),
        size=st.integers(1, 2**24),
        start_us=st.integers(0, 2**40),
        duration_us=st.integers(1, 8_000_000),
    ),
    max_size=20,
)


def test_a_finished_recording_is_this_text() -> None:
    assert vod_playlist("../media", 1000, PLACES) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:8\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="../media",BYTERANGE="1000@0"\n'
        "#EXTINF:2.000000,\n"
        "#EXT-X-BYTERANGE:500@1000\n"
        "../media\n"
        "#EXTINF:3.480000,\n"
        "#EXT-X-BYTERANGE:400@1500\n"
        "../media\n"
        "#EXT-X-ENDLIST\n"
    )


@given(places, st.integers(0, 20))
def test_a_growing_recording_only_adds_lines(fragments: list[FragmentPlace], seen: int) -> None:
    before, after = event_playlist("m", 10, fragments[:seen]), event_playlist("m", 10, fragments)
    assert after.startswith(before)
    assert event_playlist("m", 10, fragments, ended=True) == after + "#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(("duration_us", "target"), [(8_499_999, 8), (8_500_000, 9), (10_000_000, 10)])
def test_the_target_covers_a_fragment_that_broke_its_bound(duration_us: int, target: int) -> None:
    text = vod_playlist("m", 10, [FragmentPlace(10, 1, 0, duration_us)])
    assert f"#EXT-X-TARGETDURATION:{target}\n" in text


@pytest.mark.parametrize("uri", ['a"b', "a\nb", "a\rb"])
def test_a_uri_cannot_break_out_of_its_line(uri: str) -> None:
    with pytest.raises(ValueError):
        vod_playlist(uri, 10, PLACES)


def ffmpeg_packets(playlist: Path) -> tuple[int, int]:
    """How many packets of picture and sound ffmpeg gets; fails where it complains."""
    command = ["ffmpeg", "-v", "error", "-i", str(playlist), "-f", "framecrc", "-c", "copy", "-"]
    played = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert played.stderr == ""
    streams = [line.split(",")[0] for line in played.stdout.splitlines() if not line.startswith("#")]
    return streams.count("0"), streams.count("1")


@pytest.fixture
def ordinary(tmp_path: Path) -> Path:
    """A directory with an ordinary file and its playlist."""
    muxed = muxing.sample_file(6.0)
    data = ordinary_file([Fragment(kind=FragmentKind.INIT, data=muxed.init), *muxed_fragments(muxed)])
    (tmp_path / "media.mp4").write_bytes(data)
    placed = read_places(data)
    assert placed is not None
    assert [(place.offset, place.size) for place in placed.fragments] == [
        (place.offset, place.size) for place in muxed.places
    ]
    text = vod_playlist("media.mp4", placed.header_bytes, placed.fragments, init_offset=placed.header_offset)
    (tmp_path / "index.m3u8").write_text(text)
    return tmp_path


def test_ffmpeg_plays_the_byte_ranges_of_an_ordinary_file(ordinary: Path) -> None:
    assert ffmpeg_packets(ordinary / "index.m3u8") == (150, 281)


@pytest.mark.slow
async def test_chromium_plays_the_byte_ranges_of_an_ordinary_file(ordinary: Path) -> None:
    async with asyncio.timeout(60), chromium_player(ordinary) as player:
        assert (await player.open("index.m3u8"))["duration"] == pytest.approx(6.0, abs=0.05)
        assert 0 <= 4.5 - await player.seek(4.5) < 0.04


def muxed_fragments(muxed: Muxed) -> list[Fragment]:
    return [
        Fragment(kind=FragmentKind.MEDIA, data=data, start_us=place.start_us, duration_us=place.duration_us)
        for data, place in zip(muxed.fragments, muxed.places, strict=True)
    ]


@pytest.mark.parametrize("finalised", [False, True])
async def test_players_play_the_byte_ranges(tmp_path: Path, finalised: bool) -> None:
    muxed = muxing.sample_file(6.0)
    (tmp_path / "media.mp4").write_bytes(muxed.finalised if finalised else muxed.data)
    playlist = tmp_path / "index.m3u8"
    playlist.write_text(vod_playlist("media.mp4", len(muxed.init), muxed.places))

    assert ffmpeg_packets(playlist) == (150, 281)
    async with asyncio.timeout(60), chromium_player(tmp_path) as player:
        assert (await player.open("index.m3u8"))["duration"] == pytest.approx(6.0, abs=0.05)
        assert 0 <= 4.5 - await player.seek(4.5) < 0.04
