"""A full disk ends the recording with a reason and costs nothing of what was written."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.kernel.clock import ManualClock
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolReader, SpoolWriter
from storage.store import ObjectStore
from storage.stores.local.store import LocalStore
from storage.stores.memory import MemoryStore
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING, facts
from tests.storage.fragments import init, media

DISK_BYTES = 4 * 1024 * 1024

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)])
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a failed test may still hold files open


def fill(directory: Path) -> None:
    """Take all that is left, as another process would, down to the last block."""
    with (directory / "other").open("ab", buffering=0) as other:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    other.write(bytes(size))
            except OSError:
                continue


def record_until_full(root: Path) -> tuple[SpoolWriter, bytes, BystanderError]:
    writer = SpoolWriter.create(root, facts())
    written = b""
    fragment = init()
    for number in range(1, 1000):
        try:
            writer.append(fragment)
        except BystanderError as error:
            return writer, written, error
        written += fragment.data
        fragment = media(number, 150_001)
    raise AssertionError("the disk never became full")


@pytest.mark.parametrize("name", ["memory", "local"])
async def test_the_recording_ends_with_a_reason_and_is_shipped_whole(small_disk: Path, name: str) -> None:
    """Also into a directory on the same full disk, which the spool's file is given over to."""
    root = small_disk / "spool"
    store: ObjectStore = MemoryStore() if name == "memory" else LocalStore(small_disk / "objects")
    writer, written, error = record_until_full(root)
    assert (error.code, error.fault, error.status) == ("disk_full", Fault.DESTINATION, 507)
    assert len(written) > DISK_BYTES // 2
    assert (root / RECORDING / "media").stat().st_size == len(written)
    assert (writer.size, writer.fragments) == (len(written), 2 + (len(written) - 1024) // 150_001 - 1)

    fill(small_disk)
    ending = writer.end(EndReason.ABORT_UNEXPECTED, error.code, 1)
    writer.close()
    reader = SpoolReader.open(root, RECORDING)
    assert reader.ending == ending
    assert reader.read(0, reader.size) == written
    reader.close()

    fill(small_disk)
    uploader = Uploader(store, root, ManualClock(), StorageSettings(retry_delay_initial_s=0.01))
    stored = await uploader.finish(RECORDING)
    await uploader.close()
    assert stored.size == len(written)
    chunks = [chunk async for chunk in store.read(facts().key, 0, stored.size)]
    assert b"".join(chunks) == written


def test_the_spool_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    writer, written, _error = record_until_full(small_disk / "spool")
    with pytest.raises(BystanderError):
        writer.append(media(9, 150_001))
    small = media(1, 10)
    fill(small_disk)
    (small_disk / "other").unlink(missing_ok=True)
    writer.append(small)
    writer.close()
    reader = SpoolReader.open(small_disk / "spool", RECORDING)
    assert reader.read(0, reader.size) == written + small.data
    reader.close()


def test_a_recording_that_has_no_reserve_does_not_begin(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(BystanderError) as caught:
        SpoolWriter.create(small_disk / "spool", facts())
    assert caught.value.code == "disk_full"
    assert not (small_disk / "spool" / RECORDING).exists()
