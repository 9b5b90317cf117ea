"""The spool's disk is full, or gives back less, or other, than was written."""

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import MIB
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter
from storage.spool import format as form
from storage.stores.memory import MemoryStore
from tests.faults.conftest import Figure
from tests.faults.recording_process import KEY, RECORDING, facts
from tests.faults.scene import kept, quick_settings, recording, shipping
from tests.faults.seeds import seeds
from tests.support.footage import FRAGMENT_US, Footage, load
from tests.support.s3_servers import ServerProcess
from tests.support.uploading import uploader_of

FRAGMENTS = 12
FRAGMENT_S = FRAGMENT_US / 1e6


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = random.Random(request.node.callspec.params["seed"]).randrange(6 * MIB, 20 * MIB)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mounting).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("seed", seeds(0, 10))
async def test_the_disk_is_full(
    seed: int, footage: Path, store_server: ServerProcess, small_disk: Path, figure: Figure
) -> None:
    settings = quick_settings(store_server.endpoint, f"full-{seed}")
    async with (
        recording(footage, small_disk, 100, 0.02) as recorder,
        shipping(small_disk, settings) as shipper,
    ):
        async with asyncio.timeout(30):
            await recorder.over()
        await shipper.stored()
    count = await kept(settings, footage, decode=seed == 0)
    assert count == recorder.acknowledged < 100
    figure("disk full", "acknowledged media lost, s", 0.0)


async def shipped(root: Path) -> tuple[bytes, int]:
    """The object that comes of a spool, and how many of its fragments are blank."""
    store = MemoryStore()
    uploader = uploader_of(store, root, StorageSettings())
    try:
        stored = await uploader.finish(RECORDING)
    finally:
        await uploader.close()
    return b"".join([chunk async for chunk in store.read(KEY, 0, stored.size)]), stored.damaged_fragments


def written(source: Footage, root: Path) -> None:
    writer = SpoolWriter.create(root, facts())
    for number in range(FRAGMENTS + 1):
        writer.append(source.fragment(number))
    writer.end(EndReason.NORMAL, None, writer.duration_us)
    writer.close()


def read_spool(root: Path) -> tuple[int, int]:
    """Media fragments that the index tells of, and bytes."""
    reader = SpoolReader.open(root, RECORDING)
    try:
        return len(reader.index()) - 1, reader.size
    finally:
        reader.close()


@pytest.mark.parametrize("seed", seeds(1, 50))
async def test_a_file_of_the_spool_is_cut_off(
    seed: int, footage: Path, tmp_path: Path, figure: Figure
) -> None:
    source, chance = load(footage), random.Random(seed)
    written(source, tmp_path)
    name = chance.choice((form.MEDIA, form.INDEX))
    path = tmp_path / RECORDING / name
    size = chance.randrange(path.stat().st_size)
    os.truncate(path, size)
    fragment = len(source.fragment(1).data)
    # An index is made again from the boxes of the media.
    media = (tmp_path / RECORDING / form.MEDIA).stat().st_size
    whole = (media - len(source.init)) // fragment
    if whole < 1:
        with pytest.raises(BystanderError) as caught:
            await shipped(tmp_path)
        assert caught.value.code == "recording_empty"
        return
    data, blank = await shipped(tmp_path)
    assert (len(data), blank) == (len(source.init) + whole * fragment, 0)
    assert data[len(source.init) :] == b"".join(source.fragment(n).data for n in range(1, whole + 1))
    figure("spool cut off", "media lost that was still there, s", 0.0)


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


@pytest.mark.parametrize("seed", seeds(3, 50))
async def test_a_bit_of_the_init_segment_flips(
    seed: int, footage: Path, tmp_path: Path, figure: Figure
) -> None:
    source, chance = load(footage), random.Random(seed)
    written(source, tmp_path / "sound")
    written(source, tmp_path / "damaged")
    name = form.INIT if seed % 2 else form.MEDIA
    told = (tmp_path / "damaged" / RECORDING / form.INIT).stat().st_size  # the rest of it is room: zeros
    flip(tmp_path / "damaged" / RECORDING / name, chance.randrange(told * 8))
    assert await shipped(tmp_path / "damaged") == await shipped(tmp_path / "sound")
    figure("a bit of the init segment flipped", "media lost, s", 0.0)


@pytest.mark.parametrize("seed", seeds(2, 50))
async def test_a_bit_of_the_spool_flips(seed: int, footage: Path, tmp_path: Path, figure: Figure) -> None:
    source, chance = load(footage), random.Random(seed)
    written(source, tmp_path)
    name = form.INDEX if seed % 2 else form.MEDIA
    path = tmp_path / RECORDING / name
    bit = chance.randrange(path.stat().st_size * 8)
    flip(path, bit)
    size, init = len(source.fragment(1).data), len(source.init)
    if name == form.MEDIA and bit // 8 < init:
        bit = chance.randrange(init * 8, path.stat().st_size * 8)  # one of the fragments, besides
        flip(path, bit)
    expected = [source.fragment(n).data for n in range(1, FRAGMENTS + 1)]
    if name == form.MEDIA:
        expected[(bit // 8 - init) // size] = size.to_bytes(4, "big") + b"free" + bytes(size - 8)
    elif bit // 8 // form.RECORD_BYTES == FRAGMENTS:
        expected.pop()  # nothing behind the last record says where its fragment ends
    data, blank = await shipped(tmp_path)
    assert data[init:] == b"".join(expected)
    assert blank == (name == form.MEDIA)
    lost = blank + FRAGMENTS - len(expected)
    figure(f"a bit of the {name} flipped", "media lost, s", lost * FRAGMENT_S)
