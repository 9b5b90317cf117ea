"""Players and ordinary files (`storage.container = "mp4"`): they open and seek with few requests."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import av
import pytest

from media.check.file import check_file
from recorder.kernel.media import Fragment, FragmentKind
from tests.e2e.conftest import SHORT_FRAGMENTS, serving
from tests.e2e.test_playback import PLAYER_S_MAX, RANGE_REQUESTS_MAX, WHO, packets, shown_at, text_of
from tests.e2e.test_playback_firefox import LONG_S, ROUNDING_S
from tests.media.test_isobmff_finalising import FILLER_BYTES, long_recording
from tests.support import firefox, oracle
from tests.support.api_client import ApiClient
from tests.support.browser import chromium
from tests.support.loopback import PAGE_PATH, serving_files
from tests.support.ordinary import ordinary_file
from tests.support.participants import Card, camera, joined
from tests.support.player import OPEN_VIDEO, SEEK_VIDEO

PLACES_S = (300.02, 123.46, 590.1)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes, 90 MB: far more than a player reads ahead."""
    muxed = long_recording(LONG_S, reserved_bytes=8192, filler_bytes=FILLER_BYTES)
    places = zip(muxed.fragments, muxed.places, strict=True)
    fragments = [
        Fragment(kind=FragmentKind.MEDIA, data=data, start_us=place.start_us, duration_us=place.duration_us)
        for data, place in places
    ]
    path = tmp_path_factory.mktemp("long") / "ordinary.mp4"
    path.write_bytes(ordinary_file([Fragment(kind=FragmentKind.INIT, data=muxed.init), *fragments]))
    return path


@pytest.mark.slow
async def test_chromium_seeks_with_few_requests(long_file: Path) -> None:
    async with serving_files(long_file.with_name) as server, chromium() as browser:
        page = await browser.new_page()
        await page.goto(server.origin + PAGE_PATH)
        opened = await page.evaluate(OPEN_VIDEO, f"{server.origin}/{long_file.name}")
        assert opened == {"duration": pytest.approx(LONG_S, abs=0.1), "width": 640}
        for wanted_s in PLACES_S:
            assert 0 <= wanted_s - await page.evaluate(SEEK_VIDEO, wanted_s) < 0.04
        print(f"chromium: {server.ranges}")  # noqa: T201
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX, server.ranges


@pytest.mark.slow
@pytest.mark.timeout(PLAYER_S_MAX * 3)
async def test_firefox_seeks_with_few_requests(long_file: Path) -> None:
    async with serving_files(long_file.with_name) as server, firefox.firefox() as browser:
        await browser.call("WebDriver:Navigate", url=server.origin + PAGE_PATH)
        opened = await browser.evaluate(OPEN_VIDEO, f"{server.origin}/{long_file.name}")
        assert opened["duration"] == pytest.approx(LONG_S, abs=0.1)
        for wanted_s in PLACES_S:
            assert -ROUNDING_S <= wanted_s - await browser.evaluate(SEEK_VIDEO, wanted_s) < 0.2
        print(f"firefox: {server.ranges}")  # noqa: T201
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX, server.ranges


@pytest.mark.slow
async def test_ffmpeg_old_and_new_seek_with_few_requests(long_file: Path) -> None:
    async with serving_files(long_file.with_name) as server:
        url = f"{server.origin}/{long_file.name}"
        shown_s = await asyncio.to_thread(shown_at, url, LONG_S / 2)
        assert shown_s == pytest.approx(LONG_S / 2, abs=0.01)
        print(f"FFmpeg of PyAV: {server.ranges}")  # noqa: T201
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX
        server.ranges.clear()
        seconds, counts = await asyncio.to_thread(packets, "-ss", str(LONG_S / 2), "-t", "4", "-i", url)
        assert seconds == pytest.approx(4, abs=0.1)
        assert counts["0"] >= 100
        print(f"FFmpeg of Debian: {server.ranges}")  # noqa: T201
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX


@pytest.mark.slow
async def test_vlc_takes_two_seconds_from_the_middle(long_file: Path, tmp_path: Path) -> None:
    """What it demultiplexes goes into another file; it runs as nobody, because it refuses to as root."""
    home = tmp_path / "home"
    home.mkdir()
    as_nobody: list[str] = []
    if os.geteuid() == 0:
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        home = Path(tempfile.mkdtemp())  # pytest's own directories are closed to others
        os.chown(home, 65534, 65534)
    taken = home / "taken.ts"
    async with serving_files(long_file.with_name) as server:
        command = [*as_nobody, "cvlc", "-I", "dummy", "--play-and-exit", f"{server.origin}/{long_file.name}"]
        command += ["--start-time", str(LONG_S // 2), "--stop-time", str(LONG_S // 2 + 2)]
        command += ["--sout", f"#std{{access=file,mux=ts,dst={taken}}}"]
        environment = os.environ | {"HOME": str(home)}
        run = partial(subprocess.run, command, env=environment, capture_output=True, timeout=PLAYER_S_MAX)
        await asyncio.to_thread(run)
        print(f"VLC: {server.ranges}")  # noqa: T201
        assert 0 < len(server.ranges) <= RANGE_REQUESTS_MAX, server.ranges
    times = [float(packet["pts_time"]) for packet in oracle.packets(taken, "v:0")]
    shutil.rmtree(home)
    assert max(times) - min(times) == pytest.approx(2, abs=0.5)  # it waits for both streams


@pytest.mark.slow
def test_it_can_be_written_anew_with_its_moov_in_front(long_file: Path, tmp_path: Path) -> None:
    """What every editing program does first; the samples are the same."""
    target = tmp_path / "remuxed.mp4"
    command = ["ffmpeg", "-v", "error", "-i", str(long_file), "-c", "copy", "-movflags", "+faststart"]
    written = subprocess.run([*command, str(target)], capture_output=True, timeout=PLAYER_S_MAX, check=True)
    assert written.stderr == b""
    assert packets("-i", str(target)) == packets("-i", str(long_file))


async def test_a_call_becomes_an_ordinary_file(tmp_path: Path) -> None:
    """While it runs, it is watched as ever; afterwards it is a file without fragments, with its playlist."""
    settings = SHORT_FRAGMENTS | {"BYSTANDER_STORAGE__CONTAINER": "mp4"}
    with serving(tmp_path / "data", settings) as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            identity, playlist = recording["id"], recording["links"]["hls"]
            async with joined(recording["entry_point"], *camera(Card((40, 160, 40)), 600), **WHO):
                await api.until_it(identity, lambda now: (now["duration_s"] or 0) > 3)
                _, early = await text_of(playlist)
                assert "#EXT-X-PLAYLIST-TYPE:EVENT" in early
                growing = await api.media(identity)
            await api.stop(identity)
            over = await api.until(identity, "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", None)
            data = await api.media(identity)
        _, final = await text_of(playlist)
        from_playlist = await asyncio.to_thread(packets, "-i", playlist)
        from_file = await asyncio.to_thread(packets, "-i", over["links"]["media"])
    assert b"moof" in growing[:100_000]
    assert growing[: growing.index(b"moov")].startswith(data[48 : 48 + 32])  # the same, enclosed
    file = tmp_path / "stored.mp4"
    await asyncio.to_thread(file.write_bytes, data)
    report = await asyncio.to_thread(check_file, file)
    assert report.ok, report.problems
    assert not report.fragmented
    assert report.duration_s == pytest.approx(over["duration_s"], abs=0.05)
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in final
    assert from_playlist[1] == from_file[1]
    with av.open(str(file)) as container:
        assert sum(1 for _ in container.decode(video=0)) == from_file[1]["0"]
