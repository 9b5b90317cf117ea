"""A recording whose seek index outgrows its room opens and seeks like a short one."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from recorder.clock import SystemClock
from recorder.finalising import finalise_init, finalise_init_grown
from storage.local import LocalStore
from storage.memory import MemoryStore
from storage.objects import ObjectStore
from storage.settings import StorageSettings
from storage.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.support import footage
from tests.support.player import chromium_player

HOURS = 3
FRAGMENTS = HOURS * 3600 * 1_000_000 // footage.FRAGMENT_US
RANGE_REQUESTS_MAX = 15


async def shipped(store: ObjectStore, root: Path, target: Path) -> None:
    uploader = Uploader(
        store,
        root,
        SystemClock(),
        StorageSettings(),
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
    )
    stored = await uploader.finish(RECORDING)
    await uploader.close()
    with target.open("wb") as file:
        async for chunk in store.read(facts().key, 0, stored.size):
            file.write(chunk)


@pytest.mark.parametrize("kind", ["parts", pytest.param("file", marks=pytest.mark.slow)])
async def test_three_hours_open_and_seek_with_a_handful_of_requests(kind: str, tmp_path: Path) -> None:
    source = footage.make(width=64, height=36, noise=0)
    footage.spool_of(source, tmp_path / "spool", facts(), FRAGMENTS)
    store: ObjectStore = MemoryStore() if kind == "parts" else LocalStore(tmp_path / "objects")
    (tmp_path / "served").mkdir()
    target = tmp_path / "served" / "long.mp4"
    await shipped(store, tmp_path / "spool", target)
    duration_s = FRAGMENTS * footage.FRAGMENT_US / 1e6
    async with asyncio.timeout(60), chromium_player(tmp_path / "served") as player:
        opened = await player.open("long.mp4")
        assert opened == {"duration": pytest.approx(duration_s, abs=0.05), "width": 64}
        for wanted_s in (duration_s / 2, 123.46, duration_s - 10):
            assert 0 <= wanted_s - await player.seek(wanted_s) < 0.05
        assert 0 < len(player.requests) <= RANGE_REQUESTS_MAX
    command = ["ffmpeg", "-v", "error", "-ss", str(duration_s - 30), "-i", str(target), "-f", "null", "-"]
    played = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20)
    assert (played.returncode, played.stderr) == (0, b"")


async def test_without_room_on_the_disk_the_index_is_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.adoption.os.copy_file_range", full)
    source = footage.make(width=64, height=36, noise=0)
    footage.spool_of(source, tmp_path / "spool", facts(), FRAGMENTS)
    store = LocalStore(tmp_path / "objects")
    await shipped(store, tmp_path / "spool", tmp_path / "long.mp4")
    size = (tmp_path / "long.mp4").stat().st_size
    assert size == len(source.init) + FRAGMENTS * len(source.fragment(1).data)
    assert not await asyncio.to_thread(lambda: list(tmp_path.rglob("whole*")))
