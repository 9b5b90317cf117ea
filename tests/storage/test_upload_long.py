"""A recording whose seek index outgrows its room opens and seeks like a short one."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from media.hls.seek_index import read_places
from media.isobmff.index import REFERENCES_MAX
from recorder.kernel.media import FragmentKind
from recorder.services.recording.playback import HEAD_BYTES_MAX
from storage.settings import StorageSettings
from storage.spool import IndexEntry
from storage.spool import format as form
from storage.store import ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import MemoryStore
from tests.storage.conftest import RECORDING, facts
from tests.support import footage
from tests.support.player import chromium_player
from tests.support.uploading import uploader_of

HOURS = 3
FRAGMENTS = HOURS * 3600 * 1_000_000 // footage.FRAGMENT_US
RANGE_REQUESTS_MAX = 15
BOX_BYTES = 200  # of a fragment that nobody plays


async def shipped(store: ObjectStore, root: Path, target: Path) -> None:
    uploader = uploader_of(store, root, StorageSettings())
    stored = await uploader.finish(RECORDING)
    await uploader.close()
    with target.open("wb") as file:
        async for chunk in store.read(facts().key, 0, stored.size):
            file.write(chunk)


class Elsewhere(LocalStore):
    """A directory on another file system: parts go to their offsets in its file."""

    async def can_adopt(self, file: Path) -> bool:
        return False


KINDS: dict[str, Callable[[Path], ObjectStore]] = {
    "parts": lambda _: MemoryStore(),
    "offsets": Elsewhere,
    "file": LocalStore,
}


@pytest.mark.parametrize("kind", list(KINDS))
async def test_three_hours_open_and_seek_with_a_handful_of_requests(kind: str, tmp_path: Path) -> None:
    source = footage.make(width=64, height=36, noise=0)
    footage.spool_of(source, tmp_path / "spool", facts(), FRAGMENTS)
    (tmp_path / "served").mkdir()
    target = tmp_path / "served" / "long.mp4"
    await shipped(KINDS[kind](tmp_path / "objects"), tmp_path / "spool", target)
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


def spool_of_boxes(root: Path, init: bytes, fragments: int) -> None:
    """A spool of a real init segment and so many fragments that are nothing but an empty `moof`."""
    box = BOX_BYTES.to_bytes(4, "big") + b"moof" + bytes(BOX_BYTES - 8)
    us, start = footage.FRAGMENT_US, len(init)
    entries = [IndexEntry(FragmentKind.INIT, 0, start, 0, 0, form.crc32c(init))]
    entries += [
        IndexEntry(FragmentKind.MEDIA, start + n * BOX_BYTES, BOX_BYTES, n * us, us, form.crc32c(box))
        for n in range(fragments)
    ]
    directory = root / RECORDING
    directory.mkdir(parents=True)
    (directory / form.MEDIA).write_bytes(init + box * fragments)
    (directory / form.INDEX).write_bytes(b"".join(map(form.pack_record, entries)))
    (directory / form.FACTS).write_bytes(msgspec.json.encode(facts()))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("fragments", [FRAGMENTS, pytest.param(REFERENCES_MAX, marks=pytest.mark.slow)])
async def test_the_index_leads_to_every_fragment(kind: str, fragments: int, tmp_path: Path) -> None:
    """Up to the most references that one index can have: a day and a half."""
    init = footage.make(width=64, height=36, noise=0).init
    spool_of_boxes(tmp_path / "spool", init, fragments)
    target = tmp_path / "long.mp4"
    await shipped(KINDS[kind](tmp_path / "objects"), tmp_path / "spool", target)
    data = target.read_bytes()
    placed = read_places(data[:HEAD_BYTES_MAX])
    assert placed is not None
    first = len(data) - fragments * BOX_BYTES
    assert [each.offset for each in placed.fragments] == list(range(first, len(data), BOX_BYTES))


async def test_without_room_on_the_disk_the_index_is_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.spool.insert_range._fallocate", full)
    monkeypatch.setattr("storage.finalise.hard_link.os.copy_file_range", full)
    source = footage.make(width=64, height=36, noise=0)
    footage.spool_of(source, tmp_path / "spool", facts(), FRAGMENTS)
    store = LocalStore(tmp_path / "objects")
    await shipped(store, tmp_path / "spool", tmp_path / "long.mp4")
    size = (tmp_path / "long.mp4").stat().st_size
    assert size == len(source.init) + FRAGMENTS * len(source.fragment(1).data)
    assert not await asyncio.to_thread(lambda: list(tmp_path.rglob("whole*")))
